"""The model's grid over the reference series, and the part of it that is worth computing."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from entrust.contract import Modality
from entrust.volume import Grid

MARGIN_MM = 10.0
_BODY_HU = -300.0
_BODY_SUV = 0.15
_BODY_SHARE = 0.1  # of the 98th percentile, as in the MR normalisation
_LEAST_BODY_ML = 1.0


def axial_grid(reference: Grid, spacing_mm: tuple[float, float, float]) -> Grid:
    """Return the axis-aligned grid over the reference's voxel centres.

    It begins at their smallest coordinates, so that it shares the planes of an axial reference of the same spacing,
    and every centre of the reference lies within half a voxel of it.

    Args:
        reference: Grid of the reference series, of any orientation.
        spacing_mm: Spacing (depth, row, column).
    """
    corners_mm = reference.corners_mm()
    low_mm, high_mm = corners_mm.min(axis=0), corners_mm.max(axis=0)
    extent_mm = (high_mm - low_mm)[::-1]  # z, y, x: depth, row, column
    d, h, w = (
        int(np.floor(extent / step + 0.5 + 1e-6)) + 1 for extent, step in zip(extent_mm, spacing_mm, strict=True)
    )
    return Grid.axial((d, h, w), spacing_mm, (float(low_mm[0]), float(low_mm[1]), float(low_mm[2])))


def reference_grid(reference: Grid, spacing_mm: tuple[float, float, float]) -> Grid:
    """Return the grid with the reference's planes and another spacing; it begins at the reference's first voxel centre.

    Args:
        reference: Grid of the reference series, of any orientation.
        spacing_mm: Spacing (depth, row, column).
    """
    affine = reference.affine.copy()
    affine[:3, :3] = reference.direction * np.asarray(spacing_mm)
    d, h, w = (
        int(np.floor((n - 1) * have / step + 0.5 + 1e-6)) + 1
        for n, have, step in zip(reference.shape, reference.spacing_mm, spacing_mm, strict=True)
    )
    return Grid((d, h, w), affine)


def body_box(
    modalities: Sequence[Modality],
    intensities: Mapping[str, Float[np.ndarray, "d h w"]],
    presence: Mapping[str, Bool[np.ndarray, "d h w"]],
    grid: Grid,
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return start and shape of the body's bounding box with a margin; the whole grid when no body stands out.

    CT alone decides where there is CT, for it shows all tissue; otherwise everything that any modality shows counts.

    Args:
        modalities: Those that are there.
        intensities: HU, SUV or arbitrary values by slug.
        presence: Where each was acquired, by slug.
        grid: Their common grid.
    """
    deciding = [m for m in modalities if m.units == "HU"] or list(modalities)
    body = np.zeros(grid.shape, dtype=bool)
    for modality in deciding:
        present = presence[modality.slug]
        body |= present & (intensities[modality.slug] > _threshold(modality, intensities[modality.slug][present]))
    # A voxel-thin table top or noise in the air does not survive; a limb does.
    body = ndimage.binary_opening(body, np.ones((1, 3, 3), dtype=bool))
    if body.sum() * grid.voxel_volume_ml < _LEAST_BODY_ML:
        return (0, 0, 0), grid.shape
    start, stop = [], []
    for axis, (size, spacing_mm) in enumerate(zip(grid.shape, grid.spacing_mm, strict=True)):
        margin = int(np.ceil(MARGIN_MM / spacing_mm))
        found = np.flatnonzero(body.any(axis=tuple(a for a in range(3) if a != axis)))
        start.append(max(int(found[0]) - margin, 0))
        stop.append(min(int(found[-1]) + 1 + margin, size))
    d, h, w = (b - a for a, b in zip(start, stop, strict=True))
    return (start[0], start[1], start[2]), (d, h, w)


def _threshold(modality: Modality, values: Float[np.ndarray, "n"]) -> float:
    if modality.units == "HU":
        return _BODY_HU
    if modality.units == "SUV":
        return _BODY_SUV
    return _BODY_SHARE * float(np.percentile(values, 98.0)) if values.size else 0.0
