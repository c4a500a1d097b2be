"""Few numbers fitted on few patients: temperature, κ, and the scale of the volume interval.

Every fit weighs *patients* equally, not voxels: a large tumour is one patient, as a small one is. Each search is over
one number with a convex objective, so a golden section finds the optimum without derivatives or starting values.

Symbols: T → ``temperature``; κ → ``kappa``; v → ``volumes_ml``; v0 → ``OFFSET_ML``; s → ``_spread``.
Source: Guo et al., arXiv 1706.04599 (temperature); Lei et al., arXiv 1604.04173 (split conformal).
"""

from collections.abc import Callable, Sequence
from math import ceil, exp, inf, log, sqrt
from statistics import NormalDist, median

import numpy as np
from jaxtyping import Float, Integer

from entrust.errors import InvalidInputError

OFFSET_ML = 1.0
"""v0, added to volumes before the logarithm: below it differences count absolutely, above it relatively."""
MIN_LOG_SPREAD = 0.1
"""Smallest s: hypotheses that agree to the voxel do not claim to know a volume better than raters agree (10 %)."""
CLIP = 1e-6


def golden_section(objective: Callable[[float], float], low: float, high: float, tolerance: float = 1e-4) -> float:
    """Return the minimiser of a unimodal function on [low, high], to ``tolerance``; the ends are candidates too."""
    ratio = 0.5 * (sqrt(5.0) - 1.0)
    a, b = low, high
    inner, outer = b - ratio * (b - a), a + ratio * (b - a)
    at_inner, at_outer = objective(inner), objective(outer)
    while b - a > tolerance:
        if at_inner <= at_outer:
            b, outer, at_outer = outer, inner, at_inner
            inner = b - ratio * (b - a)
            at_inner = objective(inner)
        else:
            a, inner, at_inner = inner, outer, at_outer
            outer = a + ratio * (b - a)
            at_outer = objective(outer)
    return min((0.5 * (a + b), low, high), key=objective)


def temper(log_probability: Float[np.ndarray, "n c"], temperature: float) -> Float[np.ndarray, "n c"]:
    """Return softmax(ln p / T): the order of the classes stays, their distance shrinks with T > 1."""
    scaled = log_probability / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    np.exp(scaled, out=scaled)
    scaled /= scaled.sum(axis=1, keepdims=True)
    return scaled


def fit_temperature(
    log_probabilities: Sequence[Float[np.ndarray, "_ c"]], labels: Sequence[Integer[np.ndarray, "_"]]
) -> float:
    """Fit one temperature by negative log-likelihood.

    Args:
        log_probabilities: Per patient, logits or ln p of the voxels of the domain.
        labels: Per patient, their classes.

    Returns:
        T in [0.05, 20].

    Raises:
        InvalidInputError: No patient, or a patient without voxels.
    """
    _require_patients(log_probabilities, labels)

    def objective(log_temperature: float) -> float:
        scores = []
        for scores_n, truth in zip(log_probabilities, labels, strict=True):
            scaled = scores_n * np.float32(exp(-log_temperature))
            top = scaled.max(axis=1)
            normaliser = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
            scores.append(float(np.mean(normaliser - _at(scaled, truth), dtype=np.float64)))
        return sum(scores) / len(scores)

    return exp(golden_section(objective, log(0.05), log(20.0)))


def fit_kappa(
    marginals: Sequence[Float[np.ndarray, "_ c"]],
    samples_means: Sequence[Float[np.ndarray, "_ c"]],
    labels: Sequence[Integer[np.ndarray, "_"]],
) -> float:
    """Fit κ of p̄ = κ p1 + (1 − κ) mean_k p_k by negative log-likelihood, which is convex in κ.

    Args:
        marginals: Per patient, p1 of the voxels of the domain.
        samples_means: Per patient, mean_k p_k of the same voxels.
        labels: Per patient, their classes.

    Returns:
        κ in [0, 1].

    Raises:
        InvalidInputError: No patient, or a patient without voxels.
    """
    _require_patients(marginals, labels)
    pairs = [  # only the probability of the true class enters
        (_at(p1, truth), _at(mean, truth)) for p1, mean, truth in zip(marginals, samples_means, labels, strict=True)
    ]

    def objective(kappa: float) -> float:
        return sum(
            -float(np.mean(np.log(np.maximum(kappa * p1 + (1.0 - kappa) * mean, CLIP)), dtype=np.float64))
            for p1, mean in pairs
        ) / len(pairs)

    return golden_section(objective, 0.0, 1.0)


def volume_interval(
    volumes_ml: Float[np.ndarray, "k"],
    scale: float,
    level: float = 0.9,
    *,
    estimate_ml: float | None = None,
    limit_ml: float = inf,
) -> tuple[float, float]:
    """Return an interval for the true volume from the volumes of the hypotheses.

    On the axis ln(v + v0) the interval is estimate ± scale · z · s, with s the hypotheses' standard deviation there,
    not below :data:`MIN_LOG_SPREAD`. The offset v0 keeps it finite when some or all hypotheses are empty.

    Args:
        volumes_ml: Volume of each hypothesis.
        scale: Fitted by :func:`fit_volume_interval_scale`.
        level: Wanted coverage in (0, 1).
        estimate_ml: Volume of the final mask, the centre; the hypotheses' median on the log axis where not given.
        limit_ml: What was imaged: no structure is larger. It matters where hypotheses differ by orders of magnitude.

    Returns:
        (low, high) in millilitres, 0 ≤ low ≤ centre ≤ high ≤ limit.
    """
    centre = _log_volume(volumes_ml, estimate_ml)
    half_width = scale * _z(level) * _spread(volumes_ml)
    low, high = exp(centre - half_width) - OFFSET_ML, exp(min(centre + half_width, 50.0)) - OFFSET_ML
    return min(max(low, 0.0), limit_ml), min(max(high, 0.0), limit_ml)


def fit_volume_interval_scale(
    volumes_ml: Sequence[Float[np.ndarray, "k"]],
    truths_ml: Sequence[float],
    *,
    estimates_ml: Sequence[float] | None = None,
    level: float = 0.9,
) -> float:
    """Fit the factor on the hypotheses' spread so that intervals cover the truth with probability ``level``.

    The score of a patient is r = |ln(truth + v0) − ln(estimate + v0)| / s. With n patients:

    * ⌈(n + 1) · level⌉ ≤ n (9 patients for 90 %): split conformal, the ⌈(n + 1) · level⌉-th smallest r. Coverage of a
      new exchangeable patient is then at least ``level`` whatever the distribution.
    * fewer: no method can promise that. The root mean square of r, with one far outlier pulled in to three times the
      median of the others, times Student's t quantile in place of the normal one, which pays for estimating a spread
      from n numbers.

    Args:
        volumes_ml: Per patient, volume of each hypothesis.
        truths_ml: Per patient, volume of the reference mask.
        estimates_ml: Per patient, volume of the final mask; must be given here if it is given to
            :func:`volume_interval`.
        level: Wanted coverage in (0, 1).

    Returns:
        A positive factor; 1 means that the spread of the hypotheses is already right.

    Raises:
        InvalidInputError: No patient, or sequences of different length.
    """
    n = len(truths_ml)
    if n == 0 or len(volumes_ml) != n or (estimates_ml is not None and len(estimates_ml) != n):
        raise InvalidInputError("The volume interval needs hypotheses and truth of at least one patient.")
    centres = [None] * n if estimates_ml is None else list(estimates_ml)
    scores = sorted(
        abs(log(truth + OFFSET_ML) - _log_volume(volumes, centre)) / _spread(volumes)
        for volumes, truth, centre in zip(volumes_ml, truths_ml, centres, strict=True)
    )
    rank = ceil((n + 1) * level)
    if rank <= n:
        return max(scores[rank - 1] / _z(level), 1e-3)
    if n > 2:
        scores[-1] = min(scores[-1], 3.0 * max(median(scores[:-1]), 1.0))
    root_mean_square = sqrt(sum(r * r for r in scores) / n)
    return max(root_mean_square * _student_quantile(0.5 + 0.5 * level, n) / _z(level), 1e-3)


def interval_coverage(intervals_ml: Float[np.ndarray, "n 2"], truths_ml: Float[np.ndarray, "n"]) -> float:
    """Return the share of intervals (low, high) that hold the truth."""
    low, high = intervals_ml.T
    return float(np.mean((low <= truths_ml) & (truths_ml <= high)))


def _require_patients(values: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> None:
    if not values or len(values) != len(labels) or any(len(v) == 0 for v in values):
        raise InvalidInputError("A fit needs at least one patient, each with at least one voxel and as many labels.")


def _at(values: Float[np.ndarray, "n c"], labels: Integer[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """Return the value of each voxel's class."""
    return np.take_along_axis(values, labels.astype(np.intp)[:, None], axis=1)[:, 0]


def _log_volume(volumes_ml: Float[np.ndarray, "k"], estimate_ml: float | None) -> float:
    return log((float(np.median(volumes_ml)) if estimate_ml is None else estimate_ml) + OFFSET_ML)


def _spread(volumes_ml: Float[np.ndarray, "k"]) -> float:
    """Return s, the standard deviation of ln(v + v0) over hypotheses, floored."""
    if len(volumes_ml) < 2:
        return MIN_LOG_SPREAD
    return max(float(np.std(np.log(volumes_ml + OFFSET_ML), ddof=1)), MIN_LOG_SPREAD)


def _z(level: float) -> float:
    return NormalDist().inv_cdf(0.5 + 0.5 * level)


def _student_quantile(probability: float, dof: int) -> float:
    """Return Student's t quantile by its expansion in 1/dof around the normal one (error < 1 % from 3 degrees up)."""
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4.0,
        (5.0 * z**5 + 16.0 * z**3 + 3.0 * z) / 96.0,
        (3.0 * z**7 + 19.0 * z**5 + 17.0 * z**3 - 15.0 * z) / 384.0,
    )
    return z + sum(term / float(dof) ** power for power, term in enumerate(terms, start=1))
