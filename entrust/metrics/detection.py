"""Does a score find what it should: wrong voxels, conflict; from counts that add over patients."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped

from entrust.errors import InvalidInputError
from entrust.metrics.quotient import quotient


@dataclass(frozen=True, eq=False)
class DetectionCounts:
    """How many positives and negatives have each score, by falling score.

    Leading axes keep several counts side by side; counts on the same thresholds add.

    Attributes:
        thresholds: Scores, falling: exact ones (:func:`detection_counts`) or lower edges of bins
            (:func:`binned_counts`), within which everything is a tie.
        hits: Positives per score.
        misses: Negatives per score.
    """

    thresholds: Shaped[np.ndarray, "t"]
    hits: Float[np.ndarray, "*a t"]
    misses: Float[np.ndarray, "*a t"]

    def __add__(self, other: "DetectionCounts") -> "DetectionCounts":
        if not np.array_equal(self.thresholds, other.thresholds):
            raise InvalidInputError("Counts on different thresholds do not add.", fix="Use binned_counts for both.")
        return DetectionCounts(self.thresholds, self.hits + other.hits, self.misses + other.misses)

    @property
    def auroc(self) -> Float[np.ndarray, "*a"]:
        """P(score of a positive > score of a negative), ties counting half; nan when one kind is missing."""
        positives, negatives = self.hits.sum(axis=-1), self.misses.sum(axis=-1)
        below = negatives[..., None] - np.cumsum(self.misses, axis=-1)  # thresholds fall
        won = (self.hits * (below + 0.5 * self.misses)).sum(axis=-1)
        return quotient(won, positives * negatives)

    @property
    def aupr(self) -> Float[np.ndarray, "*a"]:
        """Average precision Σ_i (R_i − R_{i−1}) P_i over falling thresholds; nan without positives."""
        found, called = np.cumsum(self.hits, axis=-1), np.cumsum(self.hits + self.misses, axis=-1)
        return quotient((self.hits * found / np.maximum(called, 1.0)).sum(axis=-1), self.hits.sum(axis=-1))

    @property
    def overlaps(self) -> Float[np.ndarray, "*a t"]:
        """Dice of {score ≥ τ} with the positives, for every threshold τ; 0 without positives."""
        found, called = np.cumsum(self.hits, axis=-1), np.cumsum(self.hits + self.misses, axis=-1)
        return np.asarray(2.0 * found / np.maximum(called + self.hits.sum(axis=-1, keepdims=True), 1.0))

    @property
    def best_threshold(self) -> float:
        """τ of the largest overlap, of a single count: chosen on some patients to judge others at."""
        return float(self.thresholds[int(self.overlaps.argmax())]) if self.hits.sum() else float("nan")


def detection_counts(score: Shaped[np.ndarray, "*s"], positive: Bool[np.ndarray, "*s"]) -> DetectionCounts:
    """Count at every distinct score: exact, for one patient."""
    flat = score.ravel()
    if not np.isfinite(flat).all():
        raise InvalidInputError("A score is not finite.")
    order = np.argsort(flat)[::-1]
    flat, hit = flat[order], positive.ravel()[order]
    if not flat.size:
        return DetectionCounts(flat, np.zeros(0), np.zeros(0))
    starts = np.flatnonzero(np.r_[True, flat[1:] != flat[:-1]])
    hits = np.add.reduceat(hit, starts, dtype=np.float64)
    sizes = np.diff(np.r_[starts, flat.size])
    return DetectionCounts(flat[starts], hits, sizes - hits)


def binned_counts(
    score: Float[np.ndarray, "*s"], positive: Bool[np.ndarray, "*s"], *, bins: int = 1000, high: float = 1.0
) -> DetectionCounts:
    """Count in bins of equal width on [0, high]: adds over patients and stays small.

    Scores of one bin are ties. The AUROC is then off by at most half the chance that a positive and a negative share a
    bin.

    Args:
        score: Not negative; what passes ``high`` falls into the last bin.
        positive: What the score should find.
        bins: Of equal width.
        high: Upper end: 1 for a probability, ln 2 for the entropy of two classes.
    """
    flat = score.ravel()
    if flat.size and not (np.isfinite(flat).all() and flat.min() >= 0.0):
        raise InvalidInputError("A score is negative or not finite.")
    index = np.minimum((flat * (bins / high)).astype(np.intp), bins - 1)
    total = np.bincount(index, minlength=bins).astype(np.float64)
    hits = np.bincount(index[positive.ravel()], minlength=bins).astype(np.float64)
    return DetectionCounts((high * np.arange(bins) / bins)[::-1], hits[::-1], (total - hits)[::-1])


def auroc(score: Shaped[np.ndarray, "*s"], positive: Bool[np.ndarray, "*s"]) -> float:
    """Return P(score of a positive > score of a negative), ties counting half; nan when one kind is missing.

    Source: Fawcett, Pattern Recognition Letters 2006.
    """
    return float(detection_counts(score, positive).auroc)


def aupr(score: Shaped[np.ndarray, "*s"], positive: Bool[np.ndarray, "*s"]) -> float:
    """Return the average precision Σ (R_i − R_{i−1}) P_i over falling thresholds; nan without positives.

    Source: Davis & Goadrich, ICML 2006.
    """
    return float(detection_counts(score, positive).aupr)


def best_overlap(score: Shaped[np.ndarray, "*s"], positive: Bool[np.ndarray, "*s"]) -> tuple[float, float]:
    """Return the largest Dice of {score ≥ τ} with the positives, and its τ (to be chosen on other patients).

    With uncertainty and errors this is the uncertainty–error overlap; with a conflict map, its localisation. Both are
    nan without positives.

    Source: Jungo & Reyes, arXiv 1907.03338.
    """
    counts = detection_counts(score, positive)
    return (float(counts.overlaps.max()) if counts.hits.sum() else float("nan")), counts.best_threshold


def pavpu(
    correct: Bool[np.ndarray, "*d h w"], uncertainty: Float[np.ndarray, "*d h w"], threshold: float, patch: int = 4
) -> float:
    """Return the share of patches that are accurate and certain, or inaccurate and uncertain.

    Args:
        correct: Whether a voxel is right; a patch is accurate when at least half of its voxels are.
        uncertainty: A patch is uncertain when its mean reaches ``threshold``.
        threshold: In the unit of ``uncertainty``; report the curve over several.
        patch: Edge in pixels; what does not fill a patch at the ends is left out.

    Source: Mukhoti & Gal, arXiv 1811.12709.
    """
    accurate = _patch_means(correct, patch) >= 0.5
    uncertain = _patch_means(uncertainty, patch) >= threshold
    return float(np.mean(accurate != uncertain))


def _patch_means(values: Shaped[np.ndarray, "*d h w"], patch: int) -> Float[np.ndarray, "*d i j"]:
    rows, columns = (n // patch for n in values.shape[-2:])
    cropped = values[..., : rows * patch, : columns * patch]
    # [..., rows · patch, columns · patch] → [..., rows, patch, columns, patch]
    means: np.ndarray = cropped.reshape(*values.shape[:-2], rows, patch, columns, patch).mean(axis=(-3, -1))
    return means
