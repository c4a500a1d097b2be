"""Volumes, each on a grid of its own → what the networks see. One preparation for evaluation and serving.

Every modality is sampled once, from the grid that it was acquired on; the grid is laid over the reference modality,
axial or in its planes as the task says, and cropped to the body.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from entrust.contract import Modality, Task
from entrust.errors import GeometryConflictError, MissingModalityError
from entrust.normalisation import normalise
from entrust.presence import acquired
from entrust.region import axial_grid, body_box, reference_grid
from entrust.resampling import coverage, resample
from entrust.volume import Grid, Volume

_MR_RESOLUTION_MM = 1.0
"""In-plane low-pass before MR is sampled. The training images were sampled from 0.98 mm without one, so the networks
know MR this sharp; finer acquisitions are brought to it. CT was low-passed to the grid, as resampling does."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """Every modality of a task on one grid.

    Attributes:
        grid: Of the task's planes and spacing, around the body.
        intensities: HU, SUV or arbitrary units, zero where absent.
        presence: Where each modality was acquired; nowhere for one that is missing.
        images: Normalised intensities, zero where absent.
    """

    grid: Grid
    intensities: Float[np.ndarray, "m d h w"]
    presence: Bool[np.ndarray, "m d h w"]
    images: Float[np.ndarray, "m d h w"]


def reference_slug(task: Task, volumes: Mapping[str, Volume]) -> str:
    """Return the modality over which the grid is laid: the first in the task's order of preference.

    Raises:
        MissingModalityError: There is no modality of the task.
    """
    for slug in (*task.reference_order, *task.slugs):
        if slug in volumes:
            return slug
    raise MissingModalityError("There is no modality of the task.", fix=f"Give one of: {', '.join(task.slugs)}.")


def prepare(task: Task, volumes: Mapping[str, Volume]) -> Prepared:
    """Bring the modalities of a patient to the task's grid.

    Args:
        task: Gives modalities, spacing and the reference.
        volumes: HU, SUV or arbitrary intensities by slug, each on its own grid; a modality may be missing.

    Raises:
        MissingModalityError: There is no modality of the task.
        GeometryConflictError: A modality does not overlap the reference.
    """
    lay = axial_grid if task.plane == "axial" else reference_grid
    grid = lay(volumes[reference_slug(task, volumes)].grid, task.spacing_mm)
    there = [m for m in task.modalities if m.slug in volumes]
    values, present = {}, {}
    for modality in there:
        slug = modality.slug
        values[slug], present[slug] = _on_grid(volumes[slug], grid, modality)
        if not present[slug].any():
            raise GeometryConflictError(
                f"The {slug} series does not overlap the reference series.",
                fix=f"Send series of the same region, or leave it out: {slug}=none.",
            )
    start, shape = body_box(there, values, present, grid)
    box = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
    nothing, nowhere = np.zeros(shape, np.float32), np.zeros(shape, bool)
    intensities = np.stack([values[slug][box] if slug in values else nothing for slug in task.slugs])
    presence = np.stack([present[slug][box] if slug in present else nowhere for slug in task.slugs])
    images = np.stack([normalise(m, intensities[i], presence[i]) for i, m in enumerate(task.modalities)])
    return Prepared(grid.crop(start, shape), intensities, presence, images)


def _on_grid(
    volume: Volume, grid: Grid, modality: Modality
) -> tuple[Float[np.ndarray, "d h w"], Bool[np.ndarray, "d h w"]]:
    """Sample one modality; return intensities, zero where absent, and presence."""
    present = coverage(volume.grid, grid)
    resolution_mm = None
    if modality.units == "arbitrary":
        resolution_mm = (grid.spacing_mm[0], _MR_RESOLUTION_MM, _MR_RESOLUTION_MM)
        where = acquired(volume.array)
        if not where.all():
            present &= resample(volume.with_array(where), grid, linear=False, outside=0.0).array
    array = resample(volume, grid, linear=True, outside=0.0, resolution_mm=resolution_mm).array
    return np.where(present, array, np.float32(0.0)), present
