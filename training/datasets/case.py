"""The value every data set yields: one patient, normalised, on the task's grid."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from entrust.contract import Task
from entrust.normalisation import normalise


@dataclass(frozen=True, eq=False)
class TrainingCase:
    """One patient as the networks see it.

    Attributes:
        name: Public identifier of the case in its data set.
        images: Normalised intensities, zero where absent.
        presence: Where each modality was acquired.
        label: Label map.
        spacing_mm: Voxel size (depth, row, column).
        conflict: Known conflict mask of a phantom; ``None`` for real patients.
    """

    name: str
    images: Float32[np.ndarray, "m d h w"]
    presence: Bool[np.ndarray, "m d h w"]
    label: UInt8[np.ndarray, "d h w"]
    spacing_mm: tuple[float, float, float]
    conflict: Bool[np.ndarray, "d h w"] | None = None

    @property
    def depth(self) -> int:
        """Number of slices."""
        return int(self.label.shape[0])

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel in millilitres."""
        return float(np.prod(self.spacing_mm)) / 1000.0


def normalised_case(
    task: Task,
    name: str,
    arrays: Mapping[str, np.ndarray],
    fields_of_view: Mapping[str, np.ndarray],
    label: np.ndarray,
    conflict: np.ndarray | None = None,
) -> TrainingCase:
    """Normalise images as the gateway would.

    Args:
        task: Gives modalities and grid.
        name: Public identifier of the case.
        arrays: HU, SUV or arbitrary intensities by modality slug, [d, h, w] on the task's grid.
        fields_of_view: Where a modality was acquired, by slug; one that is not named was acquired everywhere.
        label: Label map [d, h, w].
        conflict: Known conflict of a phantom.
    """
    everywhere = np.ones(label.shape, dtype=bool)
    presence = np.stack([fields_of_view.get(slug, everywhere) for slug in task.slugs])
    images = np.stack([normalise(m, arrays[m.slug], presence[i]) for i, m in enumerate(task.modalities)])
    return TrainingCase(name, images, presence, label.astype(np.uint8), task.spacing_mm, conflict)
