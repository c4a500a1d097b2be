"""How well the conflict map G finds conflicts that are known: fresh phantoms, by kind of conflict."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32

from entrust.contract import Task
from entrust.metrics import aupr, auroc, foreground_domain
from entrust.networks.enfuse import EnFuse
from entrust.slices import crop_plane
from training.datasets.case import TrainingCase
from training.datasets.phantoms.limb import make_phantom
from training.datasets.simulated import LOCALISATION_SEEDS, simulated_case
from training.precision import autocast
from training.predict import slice_chunks

MARGIN_MM = 15.0
"""Judged within this distance of tumour and conflict: a map that lights up tumours as such gains nothing."""


@dataclass(frozen=True)
class Localisation:
    """What G scored on one phantom.

    Attributes:
        kind: Which modality sees the disputed place: ``pet-only`` or ``mr-only``.
        auroc: How well G ranks the voxels of the conflict above the others of the domain.
        aupr: Area under its precision–recall curve.
        prevalence: Share of the domain that is in conflict; what a blind map would score as ``aupr``.
        found: Share of the conflict where G passes the threshold.
        precision: Share of what passes it that is conflict; nan where nothing does.
    """

    kind: str
    auroc: float
    aupr: float
    prevalence: float
    found: float
    precision: float


@torch.inference_mode()
def conflict_map(enfuse: EnFuse, task: Task, case: TrainingCase) -> Float32[np.ndarray, "d h w"]:
    """Return G of a case at full resolution, with every modality that it has."""
    h, w = case.label.shape[1:]
    parts = []
    with autocast("cpu"):
        for _, images, presence in slice_chunks(task, case):
            b, m = images.shape[:2]
            finest = enfuse(images, presence, torch.ones(b, 1, m), torch.ones(b, 1)).scales[0]
            gate = torch.sigmoid(finest.conflict_logit.float())
            full = torch.nn.functional.interpolate(gate, scale_factor=2.0, mode="bilinear", align_corners=False)
            parts.append(crop_plane(full[:, 0].numpy(), h, w))
    return np.concatenate(parts)


def localise(enfuse: EnFuse, task: Task, threshold: float) -> list[Localisation]:
    """Score G on fresh phantoms, each with a conflict.

    Args:
        enfuse: Fitted EnFuse.
        task: The task.
        threshold: G from which a voxel counts as contradicted.
    """
    scores = []
    for seed in LOCALISATION_SEEDS:
        phantom = make_phantom(seed, conflict=True)
        if not phantom.conflict.any():  # there was no room beside the tumour
            continue
        case = simulated_case(phantom)
        domain = foreground_domain(case.label > 0, phantom.conflict, spacing_mm=case.spacing_mm, margin_mm=MARGIN_MM)
        gate, truth = conflict_map(enfuse, task, case)[domain], phantom.conflict[domain]
        passed = gate >= threshold
        scores.append(
            Localisation(
                kind=phantom.conflict_kind,
                auroc=auroc(gate, truth),
                aupr=aupr(gate, truth),
                prevalence=float(truth.mean()),
                found=float(passed[truth].mean()),
                precision=float(truth[passed].mean()) if passed.any() else float("nan"),
            )
        )
    return scores


def table(scores: list[Localisation]) -> str:
    """Return the means by kind in Markdown."""
    lines = [
        "| conflict | phantoms | AUROC (least) | AUPR | prevalence | found | precision |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in ("pet-only", "mr-only"):
        chosen = [s for s in scores if s.kind == kind]
        if not chosen:
            continue
        rows = np.asarray([(s.auroc, s.aupr, s.prevalence, s.found, s.precision) for s in chosen])
        means = np.nanmean(rows, axis=0)
        lines.append(
            f"| {kind} | {len(chosen)} | {means[0]:.2f} ({rows[:, 0].min():.2f}) | {means[1]:.2f} | {means[2]:.3f} | "
            f"{means[3]:.2f} | {means[4]:.2f} |"
        )
    return "\n".join(lines)
