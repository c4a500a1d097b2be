"""Calibration errors, from sums that add over patients.

Probabilities have the class axis first; every function takes its domain, for an "ECE" without one means nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Integer

from entrust.errors import InvalidInputError
from entrust.metrics.quotient import quotient

CHUNK = 1 << 20
"""Voxels that are binned at once: what is held beside the input stays below 32 MB."""


ROUNDING = 1e-4
"""How far outside [0, 1] a half-precision softmax may end."""


@dataclass(frozen=True, eq=False)
class Reliability:
    """A reliability diagram: what was said and what happened, by bin of equal width on [0, 1].

    It holds sums, so that diagrams of slices, patients or folds add up to that of all their voxels. Leading axes (a
    patient, a class) keep several diagrams side by side.

    Attributes:
        count: Voxels per bin.
        confidence_sum: Sum of the probabilities per bin.
        hit_sum: Sum of the hits per bin.
    """

    count: Float[np.ndarray, "*a n"]
    confidence_sum: Float[np.ndarray, "*a n"]
    hit_sum: Float[np.ndarray, "*a n"]

    def __add__(self, other: "Reliability") -> "Reliability":
        return Reliability(
            self.count + other.count, self.confidence_sum + other.confidence_sum, self.hit_sum + other.hit_sum
        )

    @property
    def confidence(self) -> Float[np.ndarray, "*a n"]:
        """Mean probability per bin, 0 where empty."""
        return np.asarray(self.confidence_sum / np.maximum(self.count, 1.0))

    @property
    def frequency(self) -> Float[np.ndarray, "*a n"]:
        """Share of hits per bin, 0 where empty."""
        return np.asarray(self.hit_sum / np.maximum(self.count, 1.0))

    @property
    def gaps(self) -> Float[np.ndarray, "*a n"]:
        """|frequency − confidence| per bin."""
        return np.asarray(np.abs(self.frequency - self.confidence))

    @property
    def expected_error(self) -> Float[np.ndarray, "*a"]:
        """ECE = Σ_b n_b / N · gap_b, in [0, 1]; nan without voxels.

        Source: Naeini et al., AAAI 2015.
        """
        return quotient(np.abs(self.hit_sum - self.confidence_sum).sum(axis=-1), self.count.sum(axis=-1))

    @property
    def average_error(self) -> Float[np.ndarray, "*a"]:
        """ACE, the mean gap of the non-empty bins, in [0, 1]; nan without voxels.

        Source: Neumann et al., NeurIPS MLITS workshop 2018.
        """
        return quotient(self.gaps.sum(axis=-1), (self.count > 0).sum(axis=-1))

    @property
    def maximum_error(self) -> Float[np.ndarray, "*a"]:
        """MCE, the largest gap of a bin, to be read with ``count``; nan without voxels."""
        return np.where(self.count.any(axis=-1), self.gaps.max(axis=-1), np.nan)


def reliability(
    probability: Float[np.ndarray, "n"], hit: Bool[np.ndarray, "n"] | Float[np.ndarray, "n"], bins: int = 20
) -> Reliability:
    """Bin probabilities and hits on [0, 1]; the last bin holds 1.

    Args:
        probability: What was said.
        hit: What happened; or how probable it was, where that is known.
        bins: Of equal width.

    Raises:
        InvalidInputError: A probability lies outside [0, 1] by more than rounding, or is no number.
    """
    sums = np.zeros((3, bins))
    for start in range(0, len(probability), CHUNK):
        p, h = probability[start : start + CHUNK], hit[start : start + CHUNK]
        if not (p.min() >= -ROUNDING and p.max() <= 1.0 + ROUNDING):
            raise InvalidInputError("A probability lies outside 0 to 1, or is not a number.")
        index = np.minimum((p * bins).astype(np.intp), bins - 1)
        for row, weights in enumerate((None, p, h)):
            sums[row] += np.bincount(index, weights=weights, minlength=bins)
    return Reliability(*sums)


def classwise_reliability(
    probability: Float[np.ndarray, "c *s"],
    labels: Integer[np.ndarray, "*s"],
    domain: Bool[np.ndarray, "*s"],
    bins: int = 20,
    *,
    include_background: bool = False,
) -> Reliability:
    """Return one diagram per foreground class [c − 1, n]: its probability against whether a voxel is of it."""
    y = labels[domain]
    first = 0 if include_background else 1
    targets = (y == c for c in range(first, len(probability)))
    return _stack(reliability(p[domain], hit, bins) for p, hit in zip(probability[first:], targets, strict=True))


def truth_reliability(
    probability: Float[np.ndarray, "c *s"],
    truth: Float[np.ndarray, "c *s"],
    domain: Bool[np.ndarray, "*s"],
    bins: int = 20,
) -> Reliability:
    """Return one diagram per foreground class [c − 1, n]: its probability against the true one, free of label noise."""
    return _stack(reliability(p[domain], t[domain], bins) for p, t in zip(probability[1:], truth[1:], strict=True))


def _stack(diagrams: Iterator[Reliability]) -> Reliability:
    kept = list(diagrams)
    return Reliability(
        np.stack([d.count for d in kept]),
        np.stack([d.confidence_sum for d in kept]),
        np.stack([d.hit_sum for d in kept]),
    )


def ece_toplabel(
    probability: Float[np.ndarray, "c *s"],
    labels: Integer[np.ndarray, "*s"],
    domain: Bool[np.ndarray, "*s"],
    bins: int = 20,
) -> float:
    """Return the expected calibration error of the winning class."""
    winner = probability.argmax(axis=0)[domain]
    return float(reliability(probability.max(axis=0)[domain], winner == labels[domain], bins).expected_error)


def classwise_ece(
    probability: Float[np.ndarray, "c *s"],
    labels: Integer[np.ndarray, "*s"],
    domain: Bool[np.ndarray, "*s"],
    bins: int = 20,
    *,
    include_background: bool = False,
) -> float:
    """Return the expected calibration error per class, averaged over foreground classes; nan without voxels.

    Source: Kull et al., arXiv 1910.12656 (class-wise ECE).
    """
    diagrams = classwise_reliability(probability, labels, domain, bins, include_background=include_background)
    return float(diagrams.expected_error.mean())


def ace(
    probability: Float[np.ndarray, "c *s"],
    labels: Integer[np.ndarray, "*s"],
    domain: Bool[np.ndarray, "*s"],
    bins: int = 20,
    *,
    include_background: bool = False,
) -> float:
    """Return the average (not adaptive) calibration error: non-empty bins weigh the same, averaged over classes."""
    diagrams = classwise_reliability(probability, labels, domain, bins, include_background=include_background)
    return float(diagrams.average_error.mean())


def ece_to_truth(
    probability: Float[np.ndarray, "c *s"],
    truth: Float[np.ndarray, "c *s"],
    domain: Bool[np.ndarray, "*s"],
    bins: int = 20,
) -> float:
    """Return the class-wise ECE against the true probability p* (simulation): 0 for p* itself, no sampled label."""
    return float(truth_reliability(probability, truth, domain, bins).expected_error.mean())
