"""One number per case: the volume of a structure, from the hypotheses or as an interval."""

import numpy as np
from jaxtyping import Float

from entrust.errors import InvalidInputError


def crps(samples: Float[np.ndarray, "k"], truth: float, *, fair: bool = True) -> float:
    """Return the continuous ranked probability score of K draws, in the unit of the input; lower is better.

    Args:
        samples: Draws, for instance volumes of the hypotheses in ml.
        truth: What happened.
        fair: Correct for the finite K (the expected score then does not depend on it). A single draw has its absolute
            error.

    Source: Gneiting & Raftery, JASA 2007; Ferro, QJRMS 2014 (fair).
    """
    k = len(samples)
    ordered = np.sort(samples.astype(np.float64))
    # Σ_{i,j} |x_i − x_j| from the order statistics
    spread = 2.0 * float(((2.0 * np.arange(1, k + 1) - k - 1.0) * ordered).sum())
    pairs = k * (k - 1) if fair else k * k
    return float(np.abs(ordered - truth).mean()) - (0.5 * spread / pairs if k > 1 else 0.0)


def interval_score(
    intervals: Float[np.ndarray, "n 2"], truths: Float[np.ndarray, "n"], level: float = 0.9
) -> Float[np.ndarray, "n"]:
    """Return width + 2/(1 − level) · the distance by which the interval misses the truth, per case; lower is better.

    Coverage alone is cheap to have, with wide intervals; this score is proper: it is least in expectation for the true
    quantiles.

    Args:
        intervals: Low and high, for instance in ml; the score has the same unit.
        truths: What happened.
        level: Wanted coverage in (0, 1).

    Source: Gneiting & Raftery, JASA 2007, section 6.2.
    """
    if not 0.0 < level < 1.0:
        raise InvalidInputError("The level of an interval lies between 0 and 1.")
    low, high = intervals.T
    missed = np.maximum(low - truths, 0.0) + np.maximum(truths - high, 0.0)
    return np.asarray(high - low + 2.0 / (1.0 - level) * missed)
