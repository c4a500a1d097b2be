"""A rival's answer as the calibration head and the temperature see it: the same head, the same fit, the same data."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32

from entrust.calibration import fit_temperature, temper
from entrust.conflict import ProbeShifts
from entrust.contract import FittedConstants, Task
from entrust.metrics import foreground_domain
from entrust.trustmap import PROBABILITY_FLOOR, calibration_features
from entrust.uncertainty import Hypotheses
from training.datasets.case import TrainingCase
from training.fit_head import BACKGROUND_WEIGHT, MARGIN_MM, CalibrationCase


def rival_domain(marginal: Float[np.ndarray, "d c h w"], case: TrainingCase) -> Bool[np.ndarray, "d h w"]:
    """Return the foreground domain of a rival's mask and the truth."""
    predicted = marginal.argmax(axis=1) > 0
    return foreground_domain(predicted, case.label > 0, spacing_mm=case.spacing_mm, margin_mm=MARGIN_MM)


def rival_features(
    task: Task,
    marginal: Float32[np.ndarray, "d c h w"],
    samples: Float32[np.ndarray, "k d c h w"] | None,
    presence: Bool[np.ndarray, "m d h w"],
) -> Float32[np.ndarray, "d f h w"]:
    """Return the channels of :func:`entrust.trustmap.calibration_features` for a rival.

    With one probability map, p1 is p̄. Of its hypotheses come mutual information and agreement (0 and 1 without any).
    Conflict, sensitivity and the modalities' influence are EnTrust's own; they are 0 here.

    Args:
        task: Gives C and the number of channels.
        marginal: Class probabilities of a volume.
        samples: Of each hypothesis; ``None`` of a deterministic rival.
        presence: Where each modality was acquired.
    """
    d, _, h, w = marginal.shape
    nothing = np.zeros((d, h, w), dtype=np.float32)
    hypotheses = Hypotheses(
        marginal=marginal,
        samples=marginal[None] if samples is None else samples,
        conflict=nothing,
        pair_conflict=np.zeros((len(task.pairs), d, h, w), dtype=np.float32),
        unimodal=np.zeros((task.num_modalities, *marginal.shape), dtype=np.float32),
        probes=(),
        probe_marginals=np.zeros((0, *marginal.shape), dtype=np.float32),
    )
    shifts = ProbeShifts(np.zeros((task.num_modalities, d, h, w), dtype=np.float32), nothing)
    return calibration_features(task, hypotheses, shifts, FittedConstants(kappa=1.0), presence)


def prepare_rival_for_head(
    task: Task,
    case: TrainingCase,
    marginal: Float32[np.ndarray, "d c h w"],
    samples: Float32[np.ndarray, "k d c h w"] | None,
) -> CalibrationCase:
    """Return a calibration case for :func:`training.fit_head.fit_head`."""
    weight = np.where(rival_domain(marginal, case), 1.0, BACKGROUND_WEIGHT).astype(np.float32)
    features = rival_features(task, marginal, samples, case.presence)
    return CalibrationCase(name=case.name, features=features, label=case.label, weight=weight)


def fit_rival_temperature(marginals: Sequence[Float32[np.ndarray, "d c h w"]], cases: Sequence[TrainingCase]) -> float:
    """Fit one temperature on whole patients, in their foreground domains.

    Of an ensemble the marginal is the members' mean: pooled first, then calibrated. The other order leaves the mean
    of calibrated members less sure than it should be.

    Source: Rahaman & Thiery, arXiv 2007.08792.
    """
    log_probabilities, labels = [], []
    for marginal, case in zip(marginals, cases, strict=True):
        domain = rival_domain(marginal, case)
        inside = np.moveaxis(marginal, 1, -1)[domain]
        log_probabilities.append(np.log(np.maximum(inside, PROBABILITY_FLOOR)).astype(np.float32))
        labels.append(case.label[domain])
    return fit_temperature(log_probabilities, labels)


def with_temperature(marginal: Float32[np.ndarray, "d c h w"], temperature: float) -> Float32[np.ndarray, "d c h w"]:
    """Return softmax(ln p / T)."""
    d, c, h, w = marginal.shape
    logs = np.log(np.maximum(np.moveaxis(marginal, 1, -1).reshape(-1, c), PROBABILITY_FLOOR))  # [d·h·w, c]
    return np.ascontiguousarray(np.moveaxis(temper(logs, temperature).reshape(d, h, w, c), -1, 1))
