"""Evaluate a run on its test patients: EnTrust as it is served, and its rivals beside it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from jaxtyping import Float32
from torch import nn

from entrust.calibration import volume_interval
from entrust.conflict import probe_shifts
from entrust.contract import FittedConstants, Task
from entrust.metrics import auroc, brier, classwise_ece, crps, dice, foreground_domain, nll
from entrust.networks.calibration_head import CalibrationHead
from entrust.trustmap import TrustMap, build_trust_map, calibration_features
from entrust.uncertainty import Hypotheses, entropy, label_maps, pairwise_dice
from training.baselines.features import fit_rival_temperature, with_temperature
from training.baselines.rival import Rival
from training.baselines.volume import VolumeDraw, predict_volume
from training.datasets.case import TrainingCase
from training.entrust_model import EnTrustNetworks
from training.fit_head import MARGIN_MM
from training.hypotheses_cache import SEED, hypotheses_of
from training.runs import Run


@dataclass(frozen=True)
class PatientScore:
    """What one method scored on one patient.

    Attributes:
        patient: Name.
        method: A name of :data:`training.report.METHODS`.
        available: Modalities that were given, joined by ``+``.
        dice: Dice of the mask.
        ece: Class-wise expected calibration error in the foreground domain, 20 bins.
        brier: In the foreground domain.
        nll: Nats, in the foreground domain.
        error_auroc: How well the uncertainty finds wrong voxels of the foreground domain.
        confidence: Confidence in the case; higher is surer.
        volume_ml: Volume of the mask.
        truth_ml: Volume of the reference.
        interval_low_ml: 90 % interval; nan for methods without one.
        interval_high_ml: Its upper end.
        volume_crps_ml: CRPS of the hypotheses' volumes; absolute error for a single answer.
        mean_error_probability: Mean over the voxels within the margin of the predicted foreground.
    """

    patient: str
    method: str
    available: str
    dice: float
    ece: float
    brier: float
    nll: float
    error_auroc: float
    confidence: float
    volume_ml: float
    truth_ml: float
    interval_low_ml: float
    interval_high_ml: float
    volume_crps_ml: float
    mean_error_probability: float

    def as_dict(self) -> dict[str, str | float]:
        """Return the score as plain values."""
        return {k: v if isinstance(v, str) else round(float(v), 5) for k, v in asdict(self).items()}


@dataclass(frozen=True, eq=False)
class CalibratedModel:
    """Everything that turns a case into a trust map.

    Attributes:
        run: Where it was fitted.
        name: Which of the run's models.
        networks: EnFuse and the denoiser.
        head: Its calibration head.
        constants: Its fitted numbers.
    """

    run: Run
    name: str
    networks: EnTrustNetworks
    head: CalibrationHead
    constants: FittedConstants

    def trust_map(self, case: TrainingCase) -> TrustMap:
        """Run EnTrust on a case as the gateway does."""
        hypotheses = hypotheses_of(self.run, self.name, self.networks, case)
        return trust_map_of(self.run.task, hypotheses, self.head, self.constants, case)


@torch.inference_mode()
def trust_map_of(
    task: Task, hypotheses: Hypotheses, head: CalibrationHead, constants: FittedConstants, case: TrainingCase
) -> TrustMap:
    """Calibrate a case's hypotheses and join them with the reasons for doubt, as the gateway does."""
    shifts = probe_shifts(task, hypotheses.probes, hypotheses.probe_marginals)
    features = calibration_features(task, hypotheses, shifts, constants, case.presence)
    probability, error_probability, _ = head(torch.from_numpy(features))
    error, imaged = error_probability[:, 0].numpy(), np.asarray(case.presence.any(axis=0))
    return build_trust_map(task, hypotheses, shifts, constants, probability.numpy(), error, imaged)


def _available(run: Run, case: TrainingCase) -> str:
    """Name the modalities of a case."""
    return "+".join(slug for slug, present in zip(run.task.slugs, case.presence, strict=True) if present.any())


def _pixel_scores(
    case: TrainingCase, probability: Float32[np.ndarray, "c d h w"], uncertainty: Float32[np.ndarray, "d h w"]
) -> dict[str, float]:
    mask, truth = probability.argmax(axis=0), case.label
    domain = foreground_domain(mask > 0, truth > 0, spacing_mm=case.spacing_mm, margin_mm=MARGIN_MM)
    near = foreground_domain(mask > 0, mask > 0, spacing_mm=case.spacing_mm, margin_mm=MARGIN_MM)
    return {
        "dice": dice(mask > 0, truth > 0),
        "ece": classwise_ece(probability, truth, domain),
        "brier": brier(probability, truth, domain),
        "nll": nll(probability, truth, domain),
        "error_auroc": auroc(uncertainty[domain], (mask != truth)[domain]),
        "mean_error_probability": float(uncertainty[near].mean()) if near.any() else float("nan"),
    }


def score_entrust(model: CalibratedModel, method: str, case: TrainingCase) -> PatientScore:
    """Score EnTrust on one case; the case confidence is the mean pairwise Dice of the hypotheses."""
    trust, constants = model.trust_map(case), model.constants
    voxel_ml = case.voxel_ml
    volumes = (trust.hypothesis_label_maps > 0).sum(axis=(1, 2, 3)) * voxel_ml
    volume = float((trust.label_map > 0).sum()) * voxel_ml
    truth = float((case.label > 0).sum()) * voxel_ml
    imaged = float(case.presence.any(axis=0).sum()) * voxel_ml
    low, high = volume_interval(volumes, constants.volume_interval_scale, estimate_ml=volume, limit_ml=imaged)
    return PatientScore(
        patient=case.name,
        method=method,
        available=_available(model.run, case),
        confidence=trust.agreement,
        volume_ml=volume,
        truth_ml=truth,
        interval_low_ml=low,
        interval_high_ml=high,
        volume_crps_ml=crps(volumes, truth),
        **_pixel_scores(case, trust.probability, trust.error_probability),
    )


def score_rival(
    run: Run, rival: Rival, modules: Sequence[nn.Module], temperature: float, method: str, case: TrainingCase
) -> PatientScore:
    """Score a rival on one case.

    The confidence is the mean pairwise Dice of an ensemble's members; without any, minus the mean entropy over the
    predicted foreground.
    """
    draw = ask_rival(run, rival, modules, case)
    probability = np.moveaxis(with_temperature(draw.marginal, temperature), 1, 0)
    uncertainty = entropy(probability, axis=0)
    mask = probability.argmax(axis=0) > 0
    if draw.samples is None:
        masks = mask[None]
        confidence = -float(uncertainty[mask].mean()) if mask.any() else -float(np.log(run.task.num_classes))
    else:
        masks = label_maps(draw.samples) > 0
        confidence = pairwise_dice(masks)
    truth = float((case.label > 0).sum()) * case.voxel_ml
    scores = _pixel_scores(case, probability, uncertainty)
    scores["mean_error_probability"] = float("nan")
    return PatientScore(
        patient=case.name,
        method=method,
        available=_available(run, case),
        confidence=confidence,
        volume_ml=float(mask.sum()) * case.voxel_ml,
        truth_ml=truth,
        interval_low_ml=float("nan"),
        interval_high_ml=float("nan"),
        volume_crps_ml=crps(masks.sum(axis=(1, 2, 3)) * case.voxel_ml, truth),
        **scores,
    )


def ask_rival(run: Run, rival: Rival, modules: Sequence[nn.Module], case: TrainingCase) -> VolumeDraw:
    """Ask a rival about a case, with as many hypotheses as EnTrust has where it draws any."""
    return predict_volume(rival, modules, run.task, case, num_hypotheses=run.task.num_hypotheses, seed=SEED)


def rival_temperature(run: Run, rival: Rival, modules: Sequence[nn.Module]) -> float:
    """Fit one temperature on the run's calibration patients, in their foreground domain; of an ensemble's mean."""
    cases = run.patients(run.split.calibration)
    return fit_rival_temperature([ask_rival(run, rival, modules, case).marginal for case in cases], cases)
