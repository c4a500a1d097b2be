"""Does the confidence find the bad patients: areas under risk–coverage curves.

The patients are kept by falling confidence; risk is 1 − Dice, confidence the mean pairwise Dice of the hypotheses
(``entrust.uncertainty.pairwise_dice``). Equal confidences keep their expected risk over random order, so that the order
of the input does not matter; a patient that is counted several times is such a tie.
"""

import numpy as np
from jaxtyping import Float

from entrust.errors import InvalidInputError
from entrust.metrics.patients import Statistic


def aurc(confidence: Float[np.ndarray, "n"], risk: Float[np.ndarray, "n"]) -> float:
    """Return the mean risk of the cases kept, over all coverages 1/n … 1; lower is better.

    Source: Geifman & El-Yaniv, arXiv 1805.08206; Jaeger et al., arXiv 2211.15259.
    """
    return patient_aurc(confidence, risk).value


def excess_aurc(confidence: Float[np.ndarray, "n"], risk: Float[np.ndarray, "n"]) -> float:
    """Return :func:`aurc` minus that of the oracle's order; 0 is perfect."""
    return patient_excess_aurc(confidence, risk).value


def augrc(confidence: Float[np.ndarray, "n"], risk: Float[np.ndarray, "n"]) -> float:
    """Return the area under coverage → coverage · selective risk (trapezoids from 0); lower is better.

    Source: Traub et al., arXiv 2407.01032.
    """
    return patient_augrc(confidence, risk).value


def patient_aurc(confidence: Float[np.ndarray, "n"], risk: Float[np.ndarray, "n"]) -> Statistic:
    """Return :func:`aurc` for any count of the patients."""
    group = _groups(confidence, risk)

    def of(counts: Float[np.ndarray, "r n"]) -> Float[np.ndarray, "r"]:
        size, mean, size_before, risk_before = _by_group(group, risk, counts)
        harmonic = np.r_[0.0, np.cumsum(1.0 / np.arange(1, size.sum(axis=1).max() + 1))]
        # Σ_{i = 1..w} (R + i r) / (N + i) = w r + (R − r N) (H(N + w) − H(N))
        first, last = (harmonic[np.rint(edge).astype(np.intp)] for edge in (size_before, size_before + size))
        area = size * mean + (risk_before - mean * size_before) * (last - first)
        return np.asarray(area.sum(axis=1) / size.sum(axis=1))

    return Statistic(len(risk), of)


def patient_excess_aurc(confidence: Float[np.ndarray, "n"], risk: Float[np.ndarray, "n"]) -> Statistic:
    """Return :func:`excess_aurc` for any count of the patients."""
    return patient_aurc(confidence, risk) - patient_aurc(-risk, risk)


def patient_augrc(confidence: Float[np.ndarray, "n"], risk: Float[np.ndarray, "n"]) -> Statistic:
    """Return :func:`augrc` for any count of the patients."""
    group = _groups(confidence, risk)

    def of(counts: Float[np.ndarray, "r n"]) -> Float[np.ndarray, "r"]:
        size, mean, _, risk_before = _by_group(group, risk, counts)
        area = size * risk_before + 0.5 * mean * size**2
        return np.asarray(area.sum(axis=1) / size.sum(axis=1) ** 2)

    return Statistic(len(risk), of)


def _groups(confidence: Float[np.ndarray, "n"], risk: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n g"]:
    """Return which patient is of which confidence, by falling confidence, as zeros and ones."""
    if not len(risk) or not (np.isfinite(confidence).all() and np.isfinite(risk).all()):
        raise InvalidInputError("A risk–coverage curve needs at least one case, with finite risk and confidence.")
    _, group = np.unique(-confidence, return_inverse=True)
    return np.eye(group.max() + 1)[group]


def _by_group(
    group: Float[np.ndarray, "n g"], risk: Float[np.ndarray, "n"], counts: Float[np.ndarray, "r n"]
) -> tuple[Float[np.ndarray, "r g"], Float[np.ndarray, "r g"], Float[np.ndarray, "r g"], Float[np.ndarray, "r g"]]:
    """Return each group's size and mean risk, and the size and summed risk of those that are kept before it."""
    size, total = counts @ group, (counts * risk) @ group
    mean = np.divide(total, size, out=np.zeros_like(size), where=size > 0)
    return size, mean, np.cumsum(size, axis=1) - size, np.cumsum(total, axis=1) - total
