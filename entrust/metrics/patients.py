"""Statistics over patients, the only independent units.

A statistic is a number of the cohort as a function of how often each patient is counted. Means, pooled calibration
errors and risk–coverage areas are all of that kind, computed from one small sum per patient; so the bootstrap recounts
patients and never touches a voxel again. Differences and ratios of two statistics count the same patients on both
sides: they are paired.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from entrust.errors import InvalidInputError
from entrust.metrics.detection import DetectionCounts
from entrust.metrics.quotient import quotient
from entrust.metrics.reliability import Reliability

CHUNK = 500
"""Resamples that are evaluated at once."""

MAX_UNDEFINED = 0.01
"""Share of resamples in which a statistic may be undefined (no patient with a conflict among them, say)."""


@dataclass(frozen=True, eq=False)
class Statistic:
    """A number of a cohort, for any count of its patients.

    Attributes:
        num_patients: Size of the cohort.
        of: Counts of the patients [r, n] → the number for each of the r recounts.
    """

    num_patients: int
    of: Callable[[Float[np.ndarray, "r n"]], Float[np.ndarray, "r"]]

    @property
    def value(self) -> float:
        """The number of the cohort itself, every patient counted once."""
        return float(self.of(np.ones((1, self.num_patients)))[0])

    def __sub__(self, other: "Statistic") -> "Statistic":
        """The paired difference."""
        self._require_pairs(other)
        return Statistic(self.num_patients, lambda counts: self.of(counts) - other.of(counts))

    def __truediv__(self, other: "Statistic") -> "Statistic":
        """The paired ratio; undefined where the other is 0."""
        self._require_pairs(other)

        def ratio(counts: Float[np.ndarray, "r n"]) -> Float[np.ndarray, "r"]:
            return quotient(self.of(counts), other.of(counts))

        return Statistic(self.num_patients, ratio)

    def _require_pairs(self, other: "Statistic") -> None:
        if self.num_patients != other.num_patients:
            raise InvalidInputError("Two statistics are paired only over the same patients.")


@dataclass(frozen=True)
class Estimate:
    """A statistic of the cohort with its 95 % bootstrap interval.

    Attributes:
        value: Of the cohort itself; over several seeds, their mean.
        low: Lower end.
        high: Upper end.
        p_value: Two-sided, of no difference from the null value.
        seed_spread: Standard deviation between training seeds; None for a single one.
    """

    value: float
    low: float
    high: float
    p_value: float
    seed_spread: float | None


def patient_mean(values: Float[np.ndarray, "n"], applies: Bool[np.ndarray, "n"] | None = None) -> Statistic:
    """Return the mean over patients.

    Args:
        values: One number per patient.
        applies: Patients that have such a number (a conflict to find, say); for a paired comparison the same ones on
            both sides. All without it.

    Raises:
        InvalidInputError: No patient, or a number that is not finite: leave that patient out knowingly.
    """
    counted = np.ones(len(values), bool) if applies is None else applies
    return pooled_mean(np.where(counted, values, 0.0), counted.astype(np.float64))


def pooled_mean(totals: Float[np.ndarray, "n"], sizes: Float[np.ndarray, "n"]) -> Statistic:
    """Return Σ totals / Σ sizes: the mean over all voxels, blobs or cases of all patients.

    Args:
        totals: Sum over the patient's items.
        sizes: Number of them; a patient without any counts for nothing.

    Raises:
        InvalidInputError: No item, or a total that is not finite.
    """
    if not sizes.sum() or not np.isfinite(totals).all():
        raise InvalidInputError("A mean over patients needs at least one of them and a finite number for each.")
    return Statistic(len(totals), lambda counts: quotient(counts @ totals, counts @ sizes))


def mean_of_groups(groups: Sequence[Statistic]) -> Statistic:
    """Return the mean of the same number of several groups of patients, of the patients of all in order.

    Over- and underconfidence of different groups do not cancel in it, as they do where all voxels are pooled.

    Raises:
        InvalidInputError: No group.
    """
    if not groups:
        raise InvalidInputError("A mean of groups needs at least one of them.")
    ends = np.cumsum([group.num_patients for group in groups])

    def of(counts: Float[np.ndarray, "r n"]) -> Float[np.ndarray, "r"]:
        parts = np.split(counts, ends[:-1], axis=1)
        return np.asarray(np.mean([group.of(part) for group, part in zip(groups, parts, strict=True)], axis=0))

    return Statistic(int(ends[-1]), of)


def pooled_reliability(
    diagrams: Sequence[Reliability], error: Callable[[Reliability], Float[np.ndarray, "*a"]]
) -> Statistic:
    """Return a calibration error of all patients' voxels together (*micro*), averaged over classes.

    Args:
        diagrams: One per patient, all with the same classes and bins.
        error: For instance ``lambda d: d.expected_error``.
    """
    if not diagrams:
        raise InvalidInputError("A pooled calibration error needs at least one patient.")
    sums = [np.stack([getattr(d, name) for d in diagrams]) for name in ("count", "confidence_sum", "hit_sum")]

    def of(counts: Float[np.ndarray, "r n"]) -> Float[np.ndarray, "r"]:
        errors = error(Reliability(*(np.tensordot(counts, s, axes=1) for s in sums)))
        return np.asarray(errors.reshape(len(counts), -1).mean(axis=1))

    return Statistic(len(diagrams), of)


def pooled_detection(
    patients: Sequence[DetectionCounts], area: Callable[[DetectionCounts], Float[np.ndarray, "*a"]]
) -> Statistic:
    """Return an area under the curve of all patients' voxels together.

    Args:
        patients: One per patient, all on the same thresholds (:func:`~entrust.metrics.binned_counts`).
        area: For instance ``lambda c: c.auroc``.
    """
    if not patients or any(not np.array_equal(p.thresholds, patients[0].thresholds) for p in patients):
        raise InvalidInputError("A pooled area needs at least one patient, and all on the same thresholds.")
    hits, misses = np.stack([p.hits for p in patients]), np.stack([p.misses for p in patients])
    return Statistic(
        len(patients), lambda counts: area(DetectionCounts(patients[0].thresholds, counts @ hits, counts @ misses))
    )


def bootstrap(
    statistic: Statistic | Sequence[Statistic], *, null: float = 0.0, num: int = 10_000, seed: int = 0
) -> Estimate:
    """Return a statistic with its 95 % percentile interval over patients, and over training seeds where there are any.

    Args:
        statistic: Of one method, or the difference or ratio of two; a sequence holds the same statistic for each
            training seed, on the same patients. Seeds are then drawn with replacement too, and averaged.
        null: What the statistic would be without an effect: 0 for a difference, 1 for a ratio.
        num: Resamples of the patients.
        seed: Of the resampling.

    Raises:
        InvalidInputError: The statistic is undefined on the cohort or on more than 1 % of the resamples.

    Source: Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    by_seed = [statistic] if isinstance(statistic, Statistic) else list(statistic)
    n = by_seed[0].num_patients
    values = np.asarray([s.value for s in by_seed])
    rng = np.random.default_rng(seed)
    parts = []
    for start in range(0, num, CHUNK):
        size = min(CHUNK, num - start)
        drawn = rng.integers(n, size=(size, n)) + n * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)
        parts.append(np.stack([s.of(counts) for s in by_seed]))
    draws = np.concatenate(parts, axis=1)  # [seeds, resamples]
    if len(by_seed) > 1:
        chosen = rng.integers(len(by_seed), size=draws.shape)
        draws = np.take_along_axis(draws, chosen, axis=0)
    means = draws.mean(axis=0)
    kept = means[np.isfinite(means)]
    if not np.isfinite(values).all() or len(kept) < (1.0 - MAX_UNDEFINED) * num:
        raise InvalidInputError("A statistic is undefined on the cohort or on too many resamples of it.")
    low, high = np.percentile(kept, [2.5, 97.5])
    beyond = min(np.count_nonzero(kept <= null), np.count_nonzero(kept >= null))
    p_value = min(2.0 * (beyond + 1.0) / (len(kept) + 1.0), 1.0)
    spread = float(values.std(ddof=1)) if len(values) > 1 else None
    return Estimate(float(values.mean()), float(low), float(high), p_value, spread)


def holm(p_values: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """Return p-values adjusted for n comparisons: rejecting those below α errs anywhere with probability at most α.

    Source: Holm, Scandinavian Journal of Statistics 1979.
    """
    order = np.argsort(p_values)
    scaled = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted
