"""Does a score find what it should: wrong voxels, conflict, bad cases."""

import numpy as np
from jaxtyping import Bool, Float, Shaped

from entrust.errors import InvalidInputError


def auroc(score: Shaped[np.ndarray, "*s"], positive: Bool[np.ndarray, "*s"]) -> float:
    """Return P(score of a positive > score of a negative), ties counting half; nan when one kind is missing."""
    _, hits, misses = _by_threshold(score, positive)
    num_positive, num_negative = hits.sum(), misses.sum()
    if not num_positive or not num_negative:
        return float("nan")
    negatives_below = num_negative - np.cumsum(misses)  # thresholds fall
    return float((hits * (negatives_below + 0.5 * misses)).sum() / (num_positive * num_negative))


def aupr(score: Shaped[np.ndarray, "*s"], positive: Bool[np.ndarray, "*s"]) -> float:
    """Return the average precision Σ (R_i − R_{i−1}) P_i over falling thresholds; nan without positives."""
    _, hits, misses = _by_threshold(score, positive)
    if not hits.sum():
        return float("nan")
    found = np.cumsum(hits)
    return float((hits / hits.sum() * found / (found + np.cumsum(misses))).sum())


def best_overlap(score: Shaped[np.ndarray, "*s"], positive: Bool[np.ndarray, "*s"]) -> tuple[float, float]:
    """Return the largest Dice of {score ≥ τ} with the positives, and its τ (to be chosen on other patients).

    With uncertainty and errors this is the uncertainty–error overlap; with a conflict map, its localisation.

    Source: Jungo & Reyes, arXiv 1907.03338.
    """
    thresholds, hits, misses = _by_threshold(score, positive)
    if not hits.sum():
        return float("nan"), float("nan")
    found = np.cumsum(hits)
    overlap = 2.0 * found / (found + np.cumsum(misses) + hits.sum())
    best = int(overlap.argmax())
    return float(overlap[best]), float(thresholds[best])


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


def _by_threshold(
    score: Shaped[np.ndarray, "*s"], positive: Bool[np.ndarray, "*s"]
) -> tuple[Shaped[np.ndarray, "n"], Float[np.ndarray, "n"], Float[np.ndarray, "n"]]:
    """Return distinct scores, falling, with how many positives and negatives have each."""
    flat = score.ravel()
    if not np.isfinite(flat).all():
        raise InvalidInputError("A score is not finite.")
    order = np.argsort(flat)[::-1]
    flat, hit = flat[order], positive.ravel()[order]
    starts = np.flatnonzero(np.r_[True, flat[1:] != flat[:-1]]) if flat.size else np.zeros(0, np.intp)
    if not starts.size:
        return flat, np.zeros(0), np.zeros(0)
    hits = np.add.reduceat(hit, starts, dtype=np.float64)
    sizes = np.diff(np.r_[starts, flat.size])
    return flat[starts], hits, sizes - hits


def aurc(confidence: Float[np.ndarray, "n"], risk: Float[np.ndarray, "n"]) -> float:
    """Return the mean risk of the cases kept, over all coverages 1/n … 1; lower is better.

    Equal confidences keep their expected risk over random order, so the order of the input does not matter.
    """
    kept = np.cumsum(_risk_in_order(confidence, risk))
    return float(np.mean(kept / np.arange(1, len(kept) + 1)))


def excess_aurc(confidence: Float[np.ndarray, "n"], risk: Float[np.ndarray, "n"]) -> float:
    """Return :func:`aurc` minus that of the oracle's order."""
    return aurc(confidence, risk) - aurc(-risk, risk)


def augrc(confidence: Float[np.ndarray, "n"], risk: Float[np.ndarray, "n"]) -> float:
    """Return the area under coverage → coverage · selective risk (trapezoids from 0); lower is better.

    Source: Traub et al., arXiv 2407.01032.
    """
    ordered = _risk_in_order(confidence, risk)
    generalised = np.cumsum(ordered) / len(ordered)
    return float(np.mean(generalised - 0.5 * ordered / len(ordered)))


def _risk_in_order(confidence: Float[np.ndarray, "n"], risk: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """Return risks by falling confidence, each replaced by the mean over its ties."""
    if not len(risk):
        raise InvalidInputError("A risk–coverage curve needs at least one case.")
    _, group, size = np.unique(-confidence, return_inverse=True, return_counts=True)
    means = np.bincount(group, weights=risk) / size
    return np.repeat(means, size)
