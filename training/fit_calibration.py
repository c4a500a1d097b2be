"""Fit what turns hypotheses into calibrated answers: κ, the head, the volume interval, the threshold of conflict.

Only the calibration patients of a run are used, each also once with a modality taken away, so that the head has seen
what a missing modality does. How the head itself is fitted is in :mod:`training.fit_head`.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool

from entrust.calibration import fit_kappa, fit_volume_interval_scale
from entrust.conflict import probe_shifts
from entrust.contract import FittedConstants, Task
from entrust.metrics import best_overlap, foreground_domain
from entrust.networks.calibration_head import CalibrationHead
from entrust.trustmap import calibration_features
from entrust.uncertainty import Hypotheses, label_maps, mix
from training.datasets.case import TrainingCase
from training.datasets.simulated import CALIBRATION_SEEDS, load_phantom
from training.entrust_model import EnTrustNetworks
from training.fit_head import BACKGROUND_WEIGHT, MARGIN_MM, CalibrationCase, fit_head
from training.hypotheses_cache import hypotheses_of, without
from training.runs import Run

CONFLICT_MARGIN_MM = 15.0
NUM_CONFLICT_PHANTOMS = 6


def domain_of(hypotheses: Hypotheses, constants: FittedConstants, case: TrainingCase) -> Bool[np.ndarray, "d h w"]:
    """Return the foreground domain of the mixture's mask and the truth."""
    mixture = mix(hypotheses.marginal, hypotheses.samples.mean(axis=0), constants.kappa)
    return foreground_domain(
        mixture.argmax(axis=1) > 0, case.label > 0, spacing_mm=case.spacing_mm, margin_mm=MARGIN_MM
    )


def calibration_variants(run: Run) -> list[TrainingCase]:
    """Return the calibration patients, complete and once each without one modality (in turn)."""
    patients = run.patients(run.split.calibration)
    droppable = range(1, run.task.num_modalities)
    return patients + [without(case, [droppable[i % len(droppable)]]) for i, case in enumerate(patients)]


def fit_constants(cases: list[TrainingCase], drawn: list[Hypotheses]) -> FittedConstants:
    """Fit κ and the factor of the volume interval on complete patients."""
    marginals, means, labels = [], [], []
    for case, hypotheses in zip(cases, drawn, strict=True):
        domain = domain_of(hypotheses, FittedConstants(), case)
        marginals.append(np.moveaxis(hypotheses.marginal, 1, -1)[domain])
        means.append(np.moveaxis(hypotheses.samples.mean(axis=0), 1, -1)[domain])
        labels.append(case.label[domain])
    kappa = round(fit_kappa(marginals, means, labels), 3)
    volumes, truths, estimates = [], [], []
    for case, hypotheses in zip(cases, drawn, strict=True):
        mixture = mix(hypotheses.marginal, hypotheses.samples.mean(axis=0), kappa)
        volumes.append((label_maps(hypotheses.samples) > 0).sum(axis=(1, 2, 3)) * case.voxel_ml)
        truths.append(float((case.label > 0).sum()) * case.voxel_ml)
        estimates.append(float((mixture.argmax(axis=1) > 0).sum()) * case.voxel_ml)
    scale = fit_volume_interval_scale(volumes, truths, estimates_ml=estimates)
    return FittedConstants(kappa=kappa, volume_interval_scale=round(scale, 3))


def fit_conflict_threshold(run: Run, model: str, networks: EnTrustNetworks) -> float:
    """Return the G that best separates the known conflicts of the calibration phantoms, by Dice over all of them.

    Patients cannot serve: nobody knows where their modalities truly contradict each other.
    """
    maps, truths = [], []
    for seed in CALIBRATION_SEEDS[:NUM_CONFLICT_PHANTOMS]:
        case = load_phantom(seed, conflict=True)
        if case.conflict is None:
            continue
        around = foreground_domain(
            case.label > 0, case.conflict, spacing_mm=case.spacing_mm, margin_mm=CONFLICT_MARGIN_MM
        )
        maps.append(hypotheses_of(run, model, networks, case).conflict[around])
        truths.append(case.conflict[around])
    _, threshold = best_overlap(np.concatenate(maps), np.concatenate(truths))
    return round(float(threshold), 3)


def prepare_for_head(
    task: Task, case: TrainingCase, hypotheses: Hypotheses, constants: FittedConstants
) -> CalibrationCase:
    """Return what the head sees of a case."""
    shifts = probe_shifts(task, hypotheses.probes, hypotheses.probe_marginals)
    domain = domain_of(hypotheses, constants, case)
    return CalibrationCase(
        name=case.name,
        features=calibration_features(task, hypotheses, shifts, constants, case.presence),
        label=case.label,
        weight=np.where(domain, 1.0, BACKGROUND_WEIGHT).astype(np.float32),
    )


def calibrate(run: Run, model: str, networks: EnTrustNetworks) -> tuple[CalibrationHead, FittedConstants, int]:
    """Fit everything that a run's calibration patients are for."""
    cases = calibration_variants(run)
    drawn = [hypotheses_of(run, model, networks, case) for case in cases]
    complete = len(run.split.calibration)
    constants = replace(
        fit_constants(cases[:complete], drawn[:complete]),
        conflict_threshold=fit_conflict_threshold(run, model, networks),
    )
    head, iterations = fit_head(
        run.task, [prepare_for_head(run.task, c, h, constants) for c, h in zip(cases, drawn, strict=True)]
    )
    return head, constants, iterations
