"""The answer against the truth."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from demo.truth import Truth
from entrust.metrics import auroc, dice, foreground_domain
from entrust.resampling import from_sitk
from entrust.volume import Volume


@dataclass(frozen=True)
class Scores:
    """How good the answer was.

    Attributes:
        truth_source: Where the truth comes from.
        truth_ml: True volume.
        dice: Overlap of the mask with the truth.
        error_auroc: How well the error probability ranks wrong voxels above right ones, within 5 mm of either mask.
        injected_ml: Volume of the injected conflict; ``None`` where nobody knows of one.
        found_ml: Part of it that the conflict map reports.
        reported_ml: All that the conflict map reports near the mask, the truth and the injected conflict.
        conflict_auroc: How well the conflict map ranks it above its surroundings.
        pair: The modalities that were made to disagree.
        pair_named: Whether an uncertain region that touches the conflict names this pair.
    """

    truth_source: str
    truth_ml: float
    dice: float
    error_auroc: float
    injected_ml: float | None = None
    found_ml: float | None = None
    reported_ml: float | None = None
    conflict_auroc: float | None = None
    pair: tuple[str, ...] = ()
    pair_named: bool | None = None


def read_volume(path: Path) -> Volume:
    """Read a NIfTI of the results."""
    return from_sitk(sitk.ReadImage(str(path)))


def evaluate(folder: Path, summary: Mapping[str, Any], truth: Truth) -> Scores:
    """Compare the results in ``folder`` with the truth, on the grid of the results."""
    mask_volume = read_volume(folder / "mask.nii.gz")
    grid, mask = mask_volume.grid, mask_volume.array > 0
    error_probability = read_volume(folder / "error_probability.nii.gz").array
    domain = foreground_domain(mask, truth.label, spacing_mm=grid.spacing_mm)
    scores: dict[str, Any] = {
        "truth_source": truth.source,
        "truth_ml": float(truth.label.sum()) * grid.voxel_volume_ml,
        "dice": dice(mask, truth.label),
        "error_auroc": auroc(error_probability[domain], (mask != truth.label)[domain]),
    }
    if truth.conflict is not None and truth.conflict.any():
        conflict = read_volume(folder / "conflict.nii.gz").array
        around = foreground_domain(mask | truth.conflict, truth.label, spacing_mm=grid.spacing_mm)
        reported = conflict >= summary["conflict_threshold"]
        index = np.argwhere(truth.conflict)
        world_mm = grid.to_world(index.astype(float))
        scores |= {
            "injected_ml": len(index) * grid.voxel_volume_ml,
            "found_ml": float((reported & truth.conflict).sum()) * grid.voxel_volume_ml,
            "reported_ml": float((reported & around).sum()) * grid.voxel_volume_ml,
            "conflict_auroc": auroc(conflict[around], truth.conflict[around]),
            "pair": truth.conflict_pair,
            "pair_named": _named(summary, world_mm, set(truth.conflict_pair)),
        }
    return Scores(**scores)


def _named(summary: Mapping[str, Any], world_mm: np.ndarray, pair: set[str]) -> bool:
    """Tell whether an uncertain region around some of the points gives this pair's conflict as a cause."""
    for region in summary["uncertain"]["regions"]:
        low, high = (np.asarray(corner) for corner in region["box_mm"])
        touches = ((world_mm >= low) & (world_mm <= high)).all(axis=1).any()
        if touches and any(c["cause"] == "conflict" and set(c["modalities"]) == pair for c in region["causes"]):
            return True
    return False
