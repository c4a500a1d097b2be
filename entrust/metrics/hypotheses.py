"""A set of hypotheses judged as a distribution against several truths.

Distances between masks are 1 − IoU, 0 when both are empty, averaged over foreground classes. They are blind to much
nonsense: ``entrust.metrics.states`` judges hypotheses where the ambiguous blobs are known.
"""

from math import lcm

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.optimize import linear_sum_assignment

CHUNK = 1 << 20
"""Voxels that are compared at once."""


def ged(hypotheses: UInt8[np.ndarray, "k *s"], truths: UInt8[np.ndarray, "j *s"], num_classes: int) -> float:
    """Return the squared generalised energy distance 2 E d(S, Y) − E d(S, S') − E d(Y, Y'), self-pairs included.

    Source: Kohl et al., arXiv 1806.05034.
    """
    cross = iou_distances(hypotheses, truths, num_classes).mean()
    within = [iou_distances(maps, maps, num_classes).mean() for maps in (hypotheses, truths)]
    return float(2.0 * cross - sum(within))


def hungarian_iou(hypotheses: UInt8[np.ndarray, "k *s"], truths: UInt8[np.ndarray, "j *s"], num_classes: int) -> float:
    """Return the mean IoU of the best one-to-one matching, both sets repeated to their least common multiple."""
    k, j = len(hypotheses), len(truths)
    n = lcm(k, j)
    distances = np.tile(iou_distances(hypotheses, truths, num_classes), (n // k, n // j))
    rows, columns = linear_sum_assignment(distances)
    return float(1.0 - distances[rows, columns].mean())


def best_dice(hypotheses: Bool[np.ndarray, "k *s"], truths: Bool[np.ndarray, "j *s"]) -> float:
    """Return the Dice of each truth's closest hypothesis, averaged over truths; it rises with K, so state K."""
    overlap, sizes_h, sizes_t = _overlaps(hypotheses, truths)
    total = sizes_h[:, None] + sizes_t[None]
    scores = np.divide(2.0 * overlap, total, out=np.ones_like(overlap), where=total > 0)
    return float(scores.max(axis=0).mean())


def iou_distances(
    a: UInt8[np.ndarray, "k *s"], b: UInt8[np.ndarray, "j *s"], num_classes: int
) -> Float[np.ndarray, "k j"]:
    """Return 1 − IoU of each pair of label maps, averaged over foreground classes."""
    distances = np.zeros((len(a), len(b)))
    for label in range(1, num_classes):
        overlap, sizes_a, sizes_b = _overlaps(a == label, b == label)
        union = sizes_a[:, None] + sizes_b[None] - overlap
        distances += 1.0 - np.divide(overlap, union, out=np.ones_like(overlap), where=union > 0)
    return distances / (num_classes - 1)


def _overlaps(
    a: Bool[np.ndarray, "k *s"], b: Bool[np.ndarray, "j *s"]
) -> tuple[Float[np.ndarray, "k j"], Float[np.ndarray, "k"], Float[np.ndarray, "j"]]:
    """Return |A ∩ B| of each pair and the sizes, in voxels."""
    used = (a.any(axis=0) | b.any(axis=0)).ravel()
    x, y = a.reshape(len(a), -1), b.reshape(len(b), -1)
    overlap, sizes_a, sizes_b = np.zeros((len(a), len(b))), np.zeros(len(a)), np.zeros(len(b))
    for start in range(0, used.size, CHUNK):  # a volume of K + J masks is not held in floats
        part = slice(start, start + CHUNK)
        u, v = (m[:, part][:, used[part]].astype(np.float32) for m in (x, y))
        overlap += u @ v.T  # whole numbers below 2²⁴: exact
        sizes_a += u.sum(axis=1)
        sizes_b += v.sum(axis=1)
    return overlap, sizes_a, sizes_b
