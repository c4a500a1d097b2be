"""Hypotheses judged where the ambiguous blobs, and the probability of each joint state of them, are known.

Independent noise per voxel can have perfect marginals, and so a perfect calibration error: coherence and mode frequency
find it out. Nested thresholds of the marginal are coherent, and right for one blob alone: the joint state of several
blobs finds those out.

A blob is on in a hypothesis when more than half of it is foreground. A state of n blobs is the number Σ_i on_i · 2^i.
"""

import numpy as np
from jaxtyping import Bool, Float, Integer

from entrust.errors import InvalidInputError


def blob_fractions(masks: Bool[np.ndarray, "k *s"], blobs: Bool[np.ndarray, "n *s"]) -> Float[np.ndarray, "k n"]:
    """Return the fraction of each ambiguous blob that each hypothesis switches on."""
    if not all(blob.any() for blob in blobs):
        raise InvalidInputError("An ambiguous blob has no voxel.")
    fractions = np.zeros((len(masks), len(blobs)))
    for i, blob in enumerate(blobs):
        fractions[:, i] = [mask[blob].mean() for mask in masks]
    return fractions


def mode_frequency_error(fractions: Float[np.ndarray, "k n"], probability: Float[np.ndarray, "n"]) -> float:
    """Return the mean over blobs of |share of hypotheses with the blob on − its true probability|; nan without blobs.

    Between 0 and 1. K draws from the truth have :func:`~entrust.metrics.mode_frequency_floor`.
    """
    if not len(probability):
        return float("nan")
    return float(np.abs((fractions > 0.5).mean(axis=0) - probability).mean())


def coherence(fractions: Float[np.ndarray, "k n"]) -> float:
    """Return 1 − mean 4 f (1 − f); nan without blobs.

    1 if every hypothesis takes a blob whole or not at all, 0 if half of it; noise of probability π has 1 − 4 π (1 − π).
    """
    return float(1.0 - (4.0 * fractions * (1.0 - fractions)).mean()) if fractions.size else float("nan")


def slice_coherence(masks: Bool[np.ndarray, "k d h w"], blobs: Bool[np.ndarray, "n d h w"]) -> float:
    """Return 1 − 2 · mean |f_z − f_{z+1}| over hypotheses, blobs and neighbouring slices of a blob.

    1 if a hypothesis treats a blob alike in all its slices, 0 if it tosses a fair coin for each slice, −1 if it
    alternates. Slice-wise networks can have a perfect :func:`coherence` within each slice and none through the volume.

    Returns:
        nan when no blob has two neighbouring slices.
    """
    changes = []
    for blob in blobs:
        occupied = np.flatnonzero(blob.any(axis=(1, 2)))
        fractions = np.asarray([[mask[z][blob[z]].mean() for z in occupied] for mask in masks])  # [k, slices]
        neighbours = np.diff(occupied) == 1
        changes.append(np.abs(np.diff(fractions, axis=1))[:, neighbours].ravel())
    pooled = np.concatenate(changes) if changes else np.zeros(0)
    return float(1.0 - 2.0 * pooled.mean()) if pooled.size else float("nan")


def joint_states(fractions: Float[np.ndarray, "k n"]) -> Integer[np.ndarray, "k"]:
    """Return the state Σ_i on_i · 2^i of each hypothesis."""
    return np.asarray((fractions > 0.5) @ (1 << np.arange(fractions.shape[1])))


def joint_state_distance(fractions: Float[np.ndarray, "k n"], table: Float[np.ndarray, "states"]) -> float:
    """Return the total variation distance of the hypotheses' joint states from the true table; nan without blobs.

    Args:
        fractions: On-fraction of the n blobs per hypothesis.
        table: True probability of each of the 2ⁿ states.

    Returns:
        ½ Σ |observed − true|, between 0 and 1. K draws from the truth have
        :func:`~entrust.metrics.joint_state_floor`.
    """
    n = fractions.shape[1]
    if len(table) != 1 << n:
        raise InvalidInputError("A table of n blobs has 2 to the n states.")
    if not n:
        return float("nan")
    observed = np.bincount(joint_states(fractions), minlength=len(table)) / len(fractions)
    return float(0.5 * np.abs(observed - table).sum())


def state_marginals(table: Float[np.ndarray, "states"]) -> Float[np.ndarray, "n"]:
    """Return the probability of each blob to be on."""
    n = len(table).bit_length() - 1
    if len(table) != 1 << n or not np.isclose(table.sum(), 1.0):
        raise InvalidInputError("A table of n blobs has 2 to the n states, and their probabilities sum to 1.")
    on = np.arange(len(table))[:, None] >> np.arange(n) & 1  # [states, blobs]
    return np.asarray(table @ on, dtype=np.float64)
