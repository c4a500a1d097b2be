"""TrustMap: where the segmentation may be wrong, and why.

The calibration head sees :func:`calibration_features` and answers with a calibrated probability (same argmax) and an
error probability; :func:`build_trust_map` joins its answers with what the hypotheses and probes say.

Symbols: p̄ → mixture of marginal and samples; H, MI → ``uncertainty``; G → ``conflict``; S_cf → ``sensitivity``;
D_m → ``attribution``; e(x) → ``error_probability``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from entrust.conflict import ProbeShifts
from entrust.contract import FittedConstants, Task
from entrust.uncertainty import Hypotheses, decompose, entropy, label_maps, mix, pairwise_dice
from entrust.witnesses import weigh

PROBABILITY_FLOOR = 1e-6
"""Lower clip of a probability before its logarithm becomes a feature."""


@dataclass(frozen=True, eq=False)
class TrustMap:
    """The answer for a volume, on the model's grid.

    Attributes:
        probability: Calibrated probability per class, background first.
        label_map: The class of highest probability.
        error_probability: *Where*: probability that ``label_map`` is wrong at a voxel.
        predictive_entropy: H of the hypotheses' mean, nats; the sum of the next two.
        expected_entropy: Mean H of the hypotheses, nats: what each of them leaves open.
        mutual_information: What the hypotheses dispute, nats.
        conflict: *Why*: where modalities contradict each other, in [0, 1]; see :mod:`entrust.witnesses`.
        pair_conflict: Evidence for each pair in the order of ``task.pairs``, in [0, 1].
        attribution: *Why*: D_m by modality slug, how far the answer moves without it, nats.
        hypothesis_label_maps: The K masks.
        agreement: Mean pairwise Dice of the hypotheses' foreground, in [0, 1].
    """

    probability: Float[np.ndarray, "c d h w"]
    label_map: UInt8[np.ndarray, "d h w"]
    error_probability: Float[np.ndarray, "d h w"]
    predictive_entropy: Float[np.ndarray, "d h w"]
    expected_entropy: Float[np.ndarray, "d h w"]
    mutual_information: Float[np.ndarray, "d h w"]
    conflict: Float[np.ndarray, "d h w"]
    pair_conflict: Float[np.ndarray, "p d h w"]
    attribution: Mapping[str, Float[np.ndarray, "d h w"]]
    hypothesis_label_maps: UInt8[np.ndarray, "k d h w"]
    agreement: float


def calibration_features(
    task: Task,
    hypotheses: Hypotheses,
    shifts: ProbeShifts,
    constants: FittedConstants,
    presence: Bool[np.ndarray, "m d h w"],
) -> Float32[np.ndarray, "d f h w"]:
    """Return what the calibration head sees; the one definition for fitting and serving.

    Args:
        task: Gives the number of classes C.
        hypotheses: Marginal, samples and conflict.
        shifts: Answers of the probes.
        constants: Gives κ.
        presence: Where each modality was acquired.

    Returns:
        Channels f = ``task.num_features``: ln p̄ (C), ln p1 (C), H(p̄) / ln C, MI of the samples (nats), G, S_cf,
        max_m D_m (nats), max_m D_m − min_m D_m, share of modalities present at the voxel, mean pairwise Dice of the
        hypotheses' foreground (one number for the volume).
    """
    d, c, h, w = hypotheses.marginal.shape
    samples_mean = hypotheses.samples.mean(axis=0)
    mixture = mix(hypotheses.marginal, samples_mean, constants.kappa)
    features = np.empty((d, task.num_features, h, w), dtype=np.float32)
    np.log(np.maximum(mixture, PROBABILITY_FLOOR), out=features[:, :c])
    np.log(np.maximum(hypotheses.marginal, PROBABILITY_FLOOR), out=features[:, c : 2 * c])
    rest = features[:, 2 * c :]
    rest[:, 0] = entropy(mixture, axis=1) / log(c)
    rest[:, 1] = decompose(hypotheses.samples, samples_mean).mutual_information
    rest[:, 2] = hypotheses.conflict
    rest[:, 3] = shifts.sensitivity
    rest[:, 4] = shifts.leave_one_out.max(axis=0)
    rest[:, 5] = rest[:, 4] - shifts.leave_one_out.min(axis=0)
    rest[:, 6] = presence.mean(axis=0, dtype=np.float32)
    rest[:, 7] = pairwise_dice(label_maps(hypotheses.samples) > 0)
    return features


def build_trust_map(
    task: Task,
    hypotheses: Hypotheses,
    shifts: ProbeShifts,
    constants: FittedConstants,
    probability: Float[np.ndarray, "d c h w"],
    error_probability: Float[np.ndarray, "d h w"],
    imaged: Bool[np.ndarray, "d h w"],
) -> TrustMap:
    """Join the calibrated answer with the reasons for doubt.

    Where nothing was acquired the networks' answer means nothing: it is background there, without doubt or reason.

    Args:
        task: Gives the modality slugs.
        hypotheses: Marginal, samples and conflict.
        shifts: Answers of the probes.
        constants: Give the weights of the conflict map's witnesses.
        probability: Calibrated probability of the calibration head.
        error_probability: Its second output.
        imaged: Where any modality was acquired.
    """
    conflict, pairs = weigh(task, hypotheses, shifts, constants)
    entropies = decompose(hypotheses.samples)
    masks = label_maps(hypotheses.samples) * imaged
    by_class = np.ascontiguousarray(probability.transpose(1, 0, 2, 3)) * imaged
    by_class[0][~imaged] = 1.0
    return TrustMap(
        probability=by_class,
        label_map=by_class.argmax(axis=0).astype(np.uint8),
        error_probability=error_probability * imaged,
        predictive_entropy=entropies.predictive * imaged,
        expected_entropy=entropies.expected * imaged,
        mutual_information=entropies.mutual_information * imaged,
        conflict=conflict * imaged,
        pair_conflict=pairs * imaged,
        attribution=dict(zip(task.slugs, shifts.leave_one_out * imaged, strict=True)),
        hypothesis_label_maps=masks,
        agreement=pairwise_dice(masks > 0),
    )
