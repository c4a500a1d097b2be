"""Proper scores of a probability, and its distance from the true one where that is known."""

import numpy as np
from jaxtyping import Bool, Float, Integer

CLIP = 1e-6
"""Lower clip of a probability inside a logarithm."""


def brier(
    probability: Float[np.ndarray, "c *s"], labels: Integer[np.ndarray, "*s"], domain: Bool[np.ndarray, "*s"]
) -> float:
    """Return the mean over voxels of Σ_c (p_c − [y = c])², between 0 and 2; nan without voxels.

    Source: Brier, Monthly Weather Review 1950.
    """
    y = labels[domain]
    if not y.size:
        return float("nan")
    squares = (np.mean((p[domain] - (y == c)) ** 2, dtype=np.float64) for c, p in enumerate(probability))
    return float(sum(squares))


def nll(
    probability: Float[np.ndarray, "c *s"], labels: Integer[np.ndarray, "*s"], domain: Bool[np.ndarray, "*s"]
) -> float:
    """Return the mean of −ln p_y in nats, p clipped at 1e-6; nan without voxels."""
    if not domain.any():
        return float("nan")
    total = 0.0
    for c, p in enumerate(probability):
        total -= float(np.log(np.maximum(p[domain & (labels == c)], CLIP)).sum(dtype=np.float64))
    return total / np.count_nonzero(domain)


def probability_error(
    probability: Float[np.ndarray, "c *s"], truth: Float[np.ndarray, "c *s"], domain: Bool[np.ndarray, "*s"]
) -> float:
    """Return the mean |p − p*|, averaged over foreground classes; nan without voxels."""
    if not domain.any():
        return float("nan")
    errors = [np.mean(np.abs(p[domain] - t[domain]), dtype=np.float64) for p, t in zip(probability, truth, strict=True)]
    return float(np.mean(errors[1:]))


def kl_divergence(
    probability: Float[np.ndarray, "c *s"], truth: Float[np.ndarray, "c *s"], domain: Bool[np.ndarray, "*s"]
) -> float:
    """Return the mean KL(p* ‖ p) in nats, p clipped at 1e-6; nan without voxels.

    It is what :func:`nll` costs above the least that is possible, the entropy of p*.
    """
    if not domain.any():
        return float("nan")
    total = 0.0
    for p, t in zip(probability, truth, strict=True):
        said, true = (np.maximum(values[domain], CLIP) for values in (p, t))
        total += float(np.mean(t[domain] * np.log(true / said), dtype=np.float64))
    return max(total, 0.0)  # below zero by the clip only
