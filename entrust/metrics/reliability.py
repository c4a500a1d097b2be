"""Calibration errors and proper scores.

Probabilities have the class axis first; every function takes its domain, for an "ECE" without one means nothing.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Integer

CLIP = 1e-6
"""Lower clip of the true class' probability in the log-likelihood."""


@dataclass(frozen=True, eq=False)
class Reliability:
    """A reliability diagram: what was said and what happened, by bin of equal width on [0, 1].

    Attributes:
        count: Voxels per bin.
        confidence: Mean probability per bin, 0 where empty.
        frequency: Share of hits per bin, 0 where empty.
    """

    count: Float[np.ndarray, "n"]
    confidence: Float[np.ndarray, "n"]
    frequency: Float[np.ndarray, "n"]

    @property
    def gaps(self) -> Float[np.ndarray, "n"]:
        """|frequency − confidence| per bin."""
        gaps: np.ndarray = np.abs(self.frequency - self.confidence)
        return gaps

    @property
    def expected_error(self) -> float:
        """Gap averaged over voxels (ECE); nan without voxels."""
        total = self.count.sum()
        return float((self.count * self.gaps).sum() / total) if total else float("nan")

    @property
    def average_error(self) -> float:
        """Gap averaged over non-empty bins (ACE); nan without voxels."""
        used = self.count > 0
        return float(self.gaps[used].mean()) if used.any() else float("nan")

    @property
    def maximum_error(self) -> float:
        """Largest gap of a non-empty bin (MCE), to be read with ``count``; nan without voxels."""
        used = self.count > 0
        return float(self.gaps[used].max()) if used.any() else float("nan")


def reliability(probability: Float[np.ndarray, "n"], hit: Bool[np.ndarray, "n"], bins: int = 20) -> Reliability:
    """Bin probabilities and hits on [0, 1]; the last bin holds 1."""
    index = np.minimum((probability * bins).astype(np.intp), bins - 1)
    count = np.bincount(index, minlength=bins).astype(np.float64)
    filled = np.maximum(count, 1.0)
    confidence = np.bincount(index, weights=probability, minlength=bins) / filled
    frequency = np.bincount(index, weights=hit, minlength=bins) / filled
    return Reliability(count, confidence, frequency)


def ece_toplabel(
    probability: Float[np.ndarray, "c *s"],
    labels: Integer[np.ndarray, "*s"],
    domain: Bool[np.ndarray, "*s"],
    bins: int = 20,
) -> float:
    """Return the expected calibration error of the winning class."""
    p, y = probability[:, domain], labels[domain]
    return reliability(p.max(axis=0), p.argmax(axis=0) == y, bins).expected_error


def classwise_ece(
    probability: Float[np.ndarray, "c *s"],
    labels: Integer[np.ndarray, "*s"],
    domain: Bool[np.ndarray, "*s"],
    bins: int = 20,
    *,
    include_background: bool = False,
) -> float:
    """Return the expected calibration error per class, averaged over foreground classes."""
    diagrams = _by_class(probability, labels, domain, bins, include_background=include_background)
    return float(np.mean([diagram.expected_error for diagram in diagrams]))


def ace(
    probability: Float[np.ndarray, "c *s"],
    labels: Integer[np.ndarray, "*s"],
    domain: Bool[np.ndarray, "*s"],
    bins: int = 20,
    *,
    include_background: bool = False,
) -> float:
    """Return the average (not adaptive) calibration error: non-empty bins weigh the same, averaged over classes."""
    diagrams = _by_class(probability, labels, domain, bins, include_background=include_background)
    return float(np.mean([diagram.average_error for diagram in diagrams]))


def _by_class(
    probability: Float[np.ndarray, "c *s"],
    labels: Integer[np.ndarray, "*s"],
    domain: Bool[np.ndarray, "*s"],
    bins: int,
    *,
    include_background: bool,
) -> list[Reliability]:
    """Return one diagram per class: its probability against whether the voxel is of it."""
    p, y = probability[:, domain], labels[domain]
    return [reliability(p[c], y == c, bins) for c in range(0 if include_background else 1, len(p))]


def brier(
    probability: Float[np.ndarray, "c *s"], labels: Integer[np.ndarray, "*s"], domain: Bool[np.ndarray, "*s"]
) -> float:
    """Return the mean over voxels of Σ_c (p_c − y_c)², between 0 and 2; nan without voxels."""
    p, y = probability[:, domain], labels[domain]
    if not y.size:
        return float("nan")
    # Σ (p − y)² = Σ p² − 2 p_y + 1, without a one-hot array
    return float(np.mean((p * p).sum(axis=0) - 2.0 * _at(p, y) + 1.0, dtype=np.float64))


def nll(
    probability: Float[np.ndarray, "c *s"], labels: Integer[np.ndarray, "*s"], domain: Bool[np.ndarray, "*s"]
) -> float:
    """Return the mean of −ln p_y in nats, p clipped at 1e-6; nan without voxels."""
    p, y = probability[:, domain], labels[domain]
    return float(np.mean(-np.log(np.maximum(_at(p, y), CLIP)), dtype=np.float64)) if y.size else float("nan")


def _at(p: Float[np.ndarray, "c n"], y: Integer[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    chosen: np.ndarray = np.take_along_axis(p, y.astype(np.intp)[None], axis=0)[0]
    return chosen


def probability_error(
    probability: Float[np.ndarray, "c *s"], truth: Float[np.ndarray, "c *s"], domain: Bool[np.ndarray, "*s"]
) -> float:
    """Return the mean |p − p*| where the true probability is known (simulation), averaged over foreground classes."""
    return float(np.mean(np.abs(probability[1:, domain] - truth[1:, domain]), dtype=np.float64))
