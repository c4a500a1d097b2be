"""Hypotheses and what their spread says: mixture, entropies, agreement.

Two different means of the same denoiser appear here. The *marginal* p1 is its answer at t = 1 and carries the
calibration; the mean of the K *samples* (their last step) carries the joint. The served probability p̄ mixes them.
The split into expected entropy and mutual information is taken over the samples alone, with their own mean, so that
it is an identity: H(mean_k p_k) = mean_k H(p_k) + MI.

Symbols: p_k → ``samples``; p1 → ``marginal``; κ → ``kappa``; p̄ → ``mix(...)``; H → ``entropy``; MI →
``mutual_information``; G → ``conflict``; C_mn → ``pair_conflict``; p_m → ``unimodal``.
Source: Depeweg et al., arXiv 1710.07283 (entropy decomposition).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from entrust.conflict import Probe

TINY = 1e-12
"""Probabilities are raised to this before a logarithm; p · ln p is then zero at zero."""


@dataclass(frozen=True, eq=False)
class Hypotheses:
    """What SegDiff and EnFuse say about a volume, on the model's grid.

    Attributes:
        marginal: p1, the mean over hypotheses of the first step's softmax.
        samples: p_k, the softmax of each hypothesis' last step.
        conflict: G, the gate of EnFuse, in [0, 1].
        pair_conflict: C_mn in the order of ``task.pairs``, in [0, 1].
        unimodal: p_m, what each modality says alone.
        probes: The questions that were asked; the first is the unchanged study.
        probe_marginals: The answers at t = 1, in the order of ``probes``.
    """

    marginal: Float[np.ndarray, "d c h w"]
    samples: Float[np.ndarray, "k d c h w"]
    conflict: Float[np.ndarray, "d h w"]
    pair_conflict: Float[np.ndarray, "p d h w"]
    unimodal: Float[np.ndarray, "m d c h w"]
    probes: tuple[Probe, ...]
    probe_marginals: Float[np.ndarray, "v d c h w"]


@dataclass(frozen=True, eq=False)
class Entropies:
    """Uncertainty per voxel in nats; ``predictive`` = ``expected`` + ``mutual_information``."""

    predictive: Float[np.ndarray, "d h w"]
    expected: Float[np.ndarray, "d h w"]
    mutual_information: Float[np.ndarray, "d h w"]


def softmax(logits: Float[np.ndarray, "..."], axis: int) -> Float[np.ndarray, "..."]:
    """Return exp(logits) normalised along ``axis``, without overflow."""
    shifted: np.ndarray = logits - logits.max(axis=axis, keepdims=True)
    np.exp(shifted, out=shifted)
    shifted /= shifted.sum(axis=axis, keepdims=True)
    return shifted


def entropy(probability: Float[np.ndarray, "..."], axis: int) -> Float[np.ndarray, "..."]:
    """Return the Shannon entropy along ``axis`` in nats; zero probability contributes nothing."""
    terms = np.maximum(probability, TINY)
    np.log(terms, out=terms)
    terms *= probability
    total: np.ndarray = np.asarray(-terms.sum(axis=axis))
    np.maximum(total, 0.0, out=total)  # below zero by rounding only
    return total


def decompose(samples: Float[np.ndarray, "k d c h w"], mean: Float[np.ndarray, "d c h w"] | None = None) -> Entropies:
    """Split the entropy of the samples' mean into what each sample admits and what they dispute.

    Args:
        samples: p_k, softmax over c.
        mean: Mean of ``samples`` over k where it is already at hand; not the mixture with the marginal, for which
            the difference would be no mutual information.

    Returns:
        Nats per voxel. The mutual information is at least 0 and the sum holds to the last bit.
    """
    mean = samples.mean(axis=0) if mean is None else mean
    expected = np.zeros_like(samples[0, :, 0])
    for sample in samples:  # one hypothesis at a time: a volume of K times C channels is not held twice
        expected += entropy(sample, axis=1)
    expected /= len(samples)
    mutual_information = np.maximum(entropy(mean, axis=1) - expected, 0.0)  # below zero by rounding only
    return Entropies(expected + mutual_information, expected, mutual_information)


def mix(
    marginal: Float[np.ndarray, "*s"], samples_mean: Float[np.ndarray, "*s"], kappa: float
) -> Float[np.ndarray, "*s"]:
    """Return p̄ = κ p1 + (1 − κ) mean_k p_k."""
    return kappa * marginal + (1.0 - kappa) * samples_mean


def label_maps(samples: Float[np.ndarray, "k d c h w"]) -> UInt8[np.ndarray, "k d h w"]:
    """Return the most probable class of every hypothesis."""
    return np.stack([sample.argmax(axis=1).astype(np.uint8) for sample in samples])


def pairwise_dice(masks: Bool[np.ndarray, "k *s"]) -> float:
    """Return the mean Dice over all pairs of masks: how far the hypotheses agree.

    Two empty masks agree (1). One mask alone agrees with itself (1).

    Source: Zenk et al., arXiv 2406.03323 (the strongest image-level confidence of their comparison).
    """
    if len(masks) < 2:
        return 1.0
    used = masks[:, masks.any(axis=0)].astype(np.float64)  # [k, n] without the common background
    overlap = used @ used.T
    sizes = overlap.diagonal()
    total = sizes[:, None] + sizes[None]
    dice = np.divide(2.0 * overlap, total, out=np.ones_like(overlap), where=total > 0)
    return float(dice[np.triu_indices(len(masks), k=1)].mean())
