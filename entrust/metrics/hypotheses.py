"""A set of hypotheses judged as a distribution: against several truths, known states, or a volume.

Distances between masks are 1 − IoU, 0 when both are empty, averaged over foreground classes. A set of hypotheses can
have perfect marginals and be nonsense (independent noise per voxel); coherence and mode frequency tell them apart.
"""

from math import lcm

import numpy as np
from jaxtyping import Bool, Float, Integer, UInt8
from scipy.optimize import linear_sum_assignment

from entrust.errors import InvalidInputError


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
    used = a.any(axis=0) | b.any(axis=0)
    x, y = a[:, used].astype(np.float64), b[:, used].astype(np.float64)
    return x @ y.T, x.sum(axis=1), y.sum(axis=1)


# ---- where the conflict's blobs and their probabilities are known -----------------------------------------------


def blob_fractions(masks: Bool[np.ndarray, "k *s"], blobs: Bool[np.ndarray, "n *s"]) -> Float[np.ndarray, "k n"]:
    """Return the fraction of each ambiguous blob that each hypothesis switches on."""
    if not blobs.reshape(len(blobs), -1).any(axis=1).all():
        raise InvalidInputError("An ambiguous blob has no voxel.")
    return np.stack([masks[:, blob].mean(axis=1) for blob in blobs], axis=1)


def mode_frequency_error(fractions: Float[np.ndarray, "k n"], probability: Float[np.ndarray, "n"]) -> float:
    """Return the mean over blobs of |share of hypotheses with the blob on − its true probability|."""
    return float(np.abs((fractions > 0.5).mean(axis=0) - probability).mean())


def coherence(fractions: Float[np.ndarray, "k n"]) -> float:
    """Return 1 − mean 4 f (1 − f): 1 if every hypothesis takes a blob whole or not at all, 0 if half of it."""
    return float(1.0 - (4.0 * fractions * (1.0 - fractions)).mean())


def joint_state_distance(fractions: Float[np.ndarray, "k n"], table: Float[np.ndarray, "states"]) -> float:
    """Return the total variation distance of the hypotheses' joint states from the true table.

    Args:
        fractions: On-fraction of the n blobs per hypothesis; on from one half.
        table: True probability of each of the 2ⁿ states; state = Σ_i on_i · 2^i.
    """
    n = fractions.shape[1]
    if len(table) != 2**n:
        raise InvalidInputError("A table of n blobs has 2 to the n states.")
    states: Integer[np.ndarray, "k"] = ((fractions > 0.5) * 2 ** np.arange(n)).sum(axis=1)
    observed = np.bincount(states, minlength=2**n) / len(states)
    return float(0.5 * np.abs(observed - table).sum())


# ---- one number per case -----------------------------------------------------------------------------------------


def crps(samples: Float[np.ndarray, "k"], truth: float, *, fair: bool = True) -> float:
    """Return the continuous ranked probability score of K draws, in the unit of the input.

    Args:
        samples: Draws, for instance volumes of the hypotheses in ml.
        truth: What happened.
        fair: Correct for the finite K (the expected score then does not depend on it); needs K > 1.
    """
    k = len(samples)
    ordered = np.sort(samples.astype(np.float64))
    # Σ_{i,j} |x_i − x_j| from the order statistics
    spread = 2.0 * float(((2.0 * np.arange(1, k + 1) - k - 1.0) * ordered).sum())
    pairs = k * (k - 1) if fair else k * k
    return float(np.abs(ordered - truth).mean()) - (0.5 * spread / pairs if k > 1 else 0.0)
