"""What each method says about a case of ConflictWorld, raw and after each way of calibrating it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import nn

from entrust.calibration import fit_kappa, fit_volume_interval_scale, volume_interval
from entrust.conflict import ProbeShifts, probe_shifts
from entrust.contract import FittedConstants, Task
from entrust.metrics import best_overlap
from entrust.networks.calibration_head import CalibrationHead
from entrust.networks.release import ServedNetworks
from entrust.trustmap import calibration_features
from entrust.uncertainty import Hypotheses, entropy, label_maps, mix, pairwise_dice
from entrust.witnesses import weigh, witnesses
from training.baselines.features import fit_rival_temperature, rival_domain, rival_features, with_temperature
from training.baselines.rival import Rival
from training.baselines.volume import predict_volume
from training.datasets.case import TrainingCase
from training.entrust_model import EnTrustNetworks
from training.fit_conflict import fit_conflict_shares
from training.fit_head import BACKGROUND_WEIGHT, CalibrationCase, HeadFit, fit_head
from training.precision import autocast
from training.predict import predict_hypotheses
from training.scorecard import Answer

NUM_HYPOTHESES = 16
"""K of every method in the benchmark."""


@dataclass(frozen=True, eq=False)
class Raw:
    """What a method's networks say about a volume, before anything is fitted to calibration cases.

    Attributes:
        marginal: Class probabilities, [d, c, h, w].
        samples: Soft masks of the hypotheses, [k, d, c, h, w]; ``None`` of a deterministic method.
        conflict: A map of conflict; ``None`` without one.
        pair_conflict: The same by pair of modalities.
        hypotheses: EnTrust's whole answer; ``None`` of a rival.
        shifts: What the probes moved in it; the same.
    """

    marginal: Float32[np.ndarray, "d c h w"]
    samples: Float32[np.ndarray, "k d c h w"] | None
    conflict: Float32[np.ndarray, "d h w"] | None = None
    pair_conflict: Float32[np.ndarray, "p d h w"] | None = None
    hypotheses: Hypotheses | None = None
    shifts: ProbeShifts | None = None


def ask_entrust(
    networks: EnTrustNetworks | ServedNetworks,
    task: Task,
    case: TrainingCase,
    *,
    seed: int = 0,
    num_hypotheses: int = NUM_HYPOTHESES,
    probing: bool = True,
) -> Raw:
    """Ask EnTrust, as the gateway does: in ``task.num_steps`` steps, and ``probing`` or not."""
    found = predict_hypotheses(
        networks.enfuse,
        networks.denoiser,
        task,
        case,
        num_hypotheses=num_hypotheses,
        num_steps=task.num_steps,
        seed=seed,
        probing=probing,
    )
    shifts = probe_shifts(task, found.probes, found.probe_marginals)
    return Raw(found.marginal, found.samples, found.conflict, found.pair_conflict, found, shifts)


def ask_rival(rival: Rival, modules: Sequence[nn.Module], task: Task, case: TrainingCase, *, seed: int = 0) -> Raw:
    """Ask a rival; the noise of a hypothesis is that of the volume."""
    with autocast("cpu"):
        found = predict_volume(rival, modules, task, case, num_hypotheses=NUM_HYPOTHESES, seed=seed)
    return Raw(found.marginal, found.samples, found.conflict, found.pair_conflict)


def features_of(raw: Raw, task: Task, kappa: float, presence: Bool[np.ndarray, "m d h w"]) -> np.ndarray:
    """Return what the calibration head sees: [d, f, h, w]."""
    if raw.hypotheses is None or raw.shifts is None:
        return rival_features(task, raw.marginal, raw.samples, presence)
    return calibration_features(task, raw.hypotheses, raw.shifts, FittedConstants(kappa=kappa), presence)


def mixture_of(raw: Raw, kappa: float) -> Float32[np.ndarray, "d c h w"]:
    """Return p̄: the mixture of marginal and hypotheses for EnTrust, the marginal of a rival."""
    if raw.hypotheses is None or raw.samples is None:
        return raw.marginal
    return np.asarray(mix(raw.marginal, raw.samples.mean(axis=0), kappa), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Calibration:
    """What was fitted on calibration cases for one method.

    Attributes:
        kappa: Weight of the marginal in the mixture; 1 for a rival.
        temperature: One for all voxels.
        head: The calibration head.
        head_iterations: How long it was fitted; 0 is the identity.
        interval_scale: Factor on the spread of the hypotheses' volumes; ``None`` without hypotheses.
        conflict_threshold: From which the conflict map means a conflict.
        probe_share: Of the conflict map, see :mod:`entrust.witnesses`.
        doubt_share: The same.
    """

    kappa: float
    temperature: float
    head: CalibrationHead
    head_iterations: int
    interval_scale: float | None
    conflict_threshold: float = 0.5
    probe_share: float = 0.0
    doubt_share: float = 0.0

    def with_witnesses(self, raw: Raw, task: Task) -> Raw:
        """Return EnTrust's answer with the conflict map of these weights; a rival's as it is."""
        if raw.hypotheses is None or raw.shifts is None:
            return raw
        shares = FittedConstants(probe_share=self.probe_share, doubt_share=self.doubt_share)
        conflict, pairs = weigh(task, raw.hypotheses, raw.shifts, shares)
        return replace(raw, conflict=conflict, pair_conflict=pairs)


def lesion_volumes(labels: np.ndarray, level: int, voxel_ml: float) -> Float[np.ndarray, "k"]:
    """Return the lesion's volume in each label map, in millilitres."""
    return np.asarray((labels >= level).sum(axis=(-3, -2, -1)) * voxel_ml, dtype=np.float64)


def fit_mixture(raws: Sequence[Raw], cases: Sequence[TrainingCase]) -> float:
    """Return κ of EnTrust's answers about calibration cases, by likelihood in the foreground domain."""
    domains = [rival_domain(raw.marginal, case) for raw, case in zip(raws, cases, strict=True)]
    first, last = (
        [np.moveaxis(p, 1, -1)[domain] for p, domain in zip(parts, domains, strict=True)]
        for parts in (
            [raw.marginal for raw in raws],
            [raw.samples.mean(axis=0) for raw in raws if raw.samples is not None],
        )
    )
    return round(fit_kappa(first, last, [c.label[d] for c, d in zip(cases, domains, strict=True)]), 3)


def calibrate(
    raws: Sequence[Raw], cases: Sequence[TrainingCase], task: Task, lesion_level: int, fit: HeadFit
) -> Calibration:
    """Fit everything that a method's calibration cases are for."""
    kappa = 1.0 if raws[0].hypotheses is None else fit_mixture(raws, cases)
    mixtures = [mixture_of(raw, kappa) for raw in raws]
    temperature = fit_rival_temperature(mixtures, cases)
    prepared = [
        CalibrationCase(
            name=case.name,
            features=features_of(raw, task, kappa, case.presence),
            label=case.label,
            weight=np.where(rival_domain(mixture, case), 1.0, BACKGROUND_WEIGHT).astype(np.float32),
        )
        for raw, mixture, case in zip(raws, mixtures, cases, strict=True)
    ]
    head, iterations = fit_head(task, prepared, fit)
    scale = None
    if all(raw.samples is not None for raw in raws):
        voxel = cases[0].voxel_ml
        scale = fit_volume_interval_scale(
            [lesion_volumes(label_maps(r.samples), lesion_level, voxel) for r in raws if r.samples is not None],
            [float(lesion_volumes(case.label, lesion_level, voxel)) for case in cases],
            estimates_ml=[float(lesion_volumes(m.argmax(axis=1), lesion_level, voxel)) for m in mixtures],
        )
    threshold, probe_share, doubt_share = 0.5, 0.0, 0.0
    known = [case.conflict for case in cases if case.conflict is not None]
    if raws[0].hypotheses is not None:
        asked = [witnesses(task, r.hypotheses, r.shifts) for r in raws if r.hypotheses is not None and r.shifts]
        probe_share, doubt_share, threshold = fit_conflict_shares(asked, known)
    elif all(raw.conflict is not None for raw in raws):
        found = np.concatenate([raw.conflict.ravel() for raw in raws if raw.conflict is not None])
        threshold = float(best_overlap(found, np.concatenate([k.ravel() for k in known]))[1])
    return Calibration(kappa, temperature, head, iterations, scale, threshold, probe_share, doubt_share)


@torch.inference_mode()
def answers(
    raw: Raw, calibration: Calibration, task: Task, case: TrainingCase, lesion_level: int, spread: bool
) -> dict[str, Answer]:
    """Return the answers ``raw``, ``temperature`` and ``head`` of a method about a case.

    Args:
        raw: What its networks say.
        calibration: What was fitted for it.
        task: The task.
        case: The case.
        lesion_level: First structure that is a lesion.
        spread: Whether hypotheses' agreement is the confidence in the case; else it is the sureness of the voxels
            that may be lesion.
    """
    raw = calibration.with_witnesses(raw, task)
    mixture = mixture_of(raw, calibration.kappa)
    features = features_of(raw, task, calibration.kappa, case.presence)
    probability, error, _ = calibration.head(torch.from_numpy(features))
    tempered = with_temperature(mixture, calibration.temperature)
    said = {
        "raw": (mixture, 1.0 - mixture.max(axis=1)),
        "temperature": (tempered, 1.0 - tempered.max(axis=1)),
        "head": (probability.numpy(), error[:, 0].numpy()),
    }
    found = {}
    mask = mixture.argmax(axis=1).astype(np.uint8)  # no calibration changes it
    masks = mask[None] if raw.samples is None else label_maps(raw.samples)
    for name, (p, doubt) in said.items():
        interval = None
        if calibration.interval_scale is not None:
            interval = volume_interval(
                lesion_volumes(masks, lesion_level, case.voxel_ml),
                calibration.interval_scale,
                estimate_ml=float(lesion_volumes(mask, lesion_level, case.voxel_ml)),
                limit_ml=mask.size * case.voxel_ml,
            )
        h = entropy(p, axis=1)
        maybe = p[:, lesion_level:].sum(axis=1) > 0.05
        found[name] = Answer(
            probability=np.moveaxis(p, 1, 0),
            hypotheses=masks,
            error_probability=doubt,
            confidence=pairwise_dice(masks >= lesion_level)
            if spread
            else -float(h[maybe].mean() if maybe.any() else 0),
            interval_ml=interval,
            conflict=h / np.log(task.num_classes) if raw.conflict is None else raw.conflict,
            conflict_threshold=calibration.conflict_threshold,
            pair_evidence=raw.pair_conflict,
        )
    return found
