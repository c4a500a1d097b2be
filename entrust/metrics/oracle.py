"""What the truth itself scores: the floor below which no method gets, in expectation.

A score of sampled labels is not 0 for the true probability, nor one of K hypotheses for K draws from the truth. A table
without these numbers makes a method look bad that cannot be better, and "40 % lower" mean little near the floor. What
has no closed form (ECE, ACE, AUROC, Dice on sampled labels) is had by scoring p* as if it were a method.
"""

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy import special

from entrust.errors import InvalidInputError
from entrust.metrics.hypotheses import iou_distances
from entrust.metrics.states import state_marginals


def brier_floor(truth: Float[np.ndarray, "c *s"], domain: Bool[np.ndarray, "*s"]) -> float:
    """Return the expected Brier score of p*: the mean of 1 − Σ_c p*_c²; nan without voxels."""
    if not domain.any():
        return float("nan")
    return 1.0 - float(sum(np.mean(p[domain] ** 2, dtype=np.float64) for p in truth))


def nll_floor(truth: Float[np.ndarray, "c *s"], domain: Bool[np.ndarray, "*s"]) -> float:
    """Return the expected log-likelihood loss of p*, its mean entropy in nats; nan without voxels."""
    if not domain.any():
        return float("nan")
    return float(sum(np.mean(special.entr(p[domain]), dtype=np.float64) for p in truth))


def ged_floor(truths: UInt8[np.ndarray, "j *s"], num_classes: int, num_hypotheses: int) -> float:
    """Return the expected squared GED of K draws from the truth against the J truths: E d(Y, Y′) · (1/K + 1/J).

    It is not 0 because the self-pairs of both sets count with distance 0. E d(Y, Y′) is taken over distinct truths.
    """
    j = len(truths)
    if j < 2:
        raise InvalidInputError("The floor of the energy distance needs several truths of the same image.")
    distance = float(iou_distances(truths, truths, num_classes).sum()) / (j * (j - 1))
    return distance * (1.0 / num_hypotheses + 1.0 / j)


def mode_frequency_floor(table: Float[np.ndarray, "states"], num_hypotheses: int) -> float:
    """Return the expected mode-frequency error of K draws from the true states, in closed form; nan without blobs."""
    marginals = state_marginals(table)
    return float(_share_deviation(marginals, num_hypotheses).mean()) if marginals.size else float("nan")


def joint_state_floor(table: Float[np.ndarray, "states"], num_hypotheses: int) -> float:
    """Return the expected total variation distance of K draws from the true table, in closed form; nan without blobs.

    The count of a state is binomial, and the distance half the sum of the states' mean absolute deviations.
    """
    if not state_marginals(table).size:
        return float("nan")
    return float(0.5 * _share_deviation(table, num_hypotheses).sum())


def _share_deviation(probability: Float[np.ndarray, "n"], k: int) -> Float[np.ndarray, "n"]:
    """Return E|B/k − p| of B ~ Binomial(k, p): 2 m (1 − p) P(B = m) / k with m = ⌊k p⌋ + 1.

    Source: de Moivre, 1730; Diaconis & Zabell, Statistical Science 1991.
    """
    p = np.asarray(probability, dtype=np.float64)
    m = np.minimum(np.floor(k * p) + 1.0, k)
    # ln P(B = m), with ln C(k, m) = −ln (k + 1) − ln B(m + 1, k − m + 1)
    log_mass = special.xlogy(m, p) + special.xlog1py(k - m, -p) - special.betaln(m + 1.0, k - m + 1.0) - np.log(k + 1.0)
    return np.asarray(2.0 * m * (1.0 - p) * np.exp(log_mass) / k)


def crps_floor(truths: Float[np.ndarray, "j"]) -> float:
    """Return the expected fair CRPS of draws from the truth, ½ E|V − V′| over distinct truths, in the input's unit."""
    j = len(truths)
    if j < 2:
        raise InvalidInputError("The floor of the CRPS needs several truths of the same case.")
    ordered = np.sort(truths.astype(np.float64))
    return float(((2.0 * np.arange(1, j + 1) - j - 1.0) * ordered).sum()) / (j * (j - 1))
