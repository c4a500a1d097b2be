"""Where voxels are judged: the image, the surroundings of the foreground, the conflict, the boundary."""

from enum import StrEnum

import numpy as np
from jaxtyping import Bool, Shaped

Spacing = tuple[float, float, float]
"""Millimetres along depth, row, column."""


class Domain(StrEnum):
    """The three domains on which every voxel metric is told."""

    IMAGE = "image"
    FOREGROUND = "foreground"
    CONFLICT = "conflict"


def domains(
    prediction: Bool[np.ndarray, "d h w"],
    truths: Bool[np.ndarray, "j d h w"],
    *,
    spacing_mm: Spacing,
    conflict: Bool[np.ndarray, "d h w"] | None = None,
    imaged: Bool[np.ndarray, "d h w"] | None = None,
    margin_mm: float = 5.0,
) -> dict[Domain, Bool[np.ndarray, "d h w"]]:
    """Return D_img, D_fg and D_cf of one patient; the last two lie within the first.

    Args:
        prediction: Predicted foreground.
        truths: Foreground of each rater or draw.
        spacing_mm: Voxel spacing (depth, row, column).
        conflict: Where the conflict is known; without it D_cf is where the truths disagree.
        imaged: The body, or what was acquired; everything without it.
        margin_mm: Margin of D_fg.
    """
    image = np.ones_like(prediction) if imaged is None else imaged
    foreground = foreground_domain(
        prediction, np.asarray(truths.any(axis=0)), spacing_mm=spacing_mm, margin_mm=margin_mm
    )
    disputed = disagreement(truths) if conflict is None else conflict
    return {Domain.IMAGE: image, Domain.FOREGROUND: foreground & image, Domain.CONFLICT: disputed & image}


def foreground_domain(
    prediction: Bool[np.ndarray, "d h w"],
    truth: Bool[np.ndarray, "d h w"],
    *,
    spacing_mm: Spacing,
    margin_mm: float = 5.0,
) -> Bool[np.ndarray, "d h w"]:
    """Return D_fg: all voxels within ``margin_mm`` of predicted or true foreground (Euclidean).

    Args:
        prediction: Predicted foreground.
        truth: Reference foreground; of several raters, their union.
        spacing_mm: Voxel spacing (depth, row, column).
        margin_mm: Dilation; 5 by convention of this project.
    """
    return _within(prediction | truth, spacing_mm, margin_mm)


def boundary_band(
    mask: Bool[np.ndarray, "d h w"], *, spacing_mm: Spacing, width_mm: float
) -> Bool[np.ndarray, "d h w"]:
    """Return the voxels within ``width_mm`` of the other side of the mask's boundary; none of an empty mask.

    Any map that lights up on boundaries finds a conflict that has one. To judge localisation without that help,
    take the band of the undisputed boundary, outside the conflict, from the domain.
    """
    return np.asarray(_within(mask, spacing_mm, width_mm) & _within(~mask, spacing_mm, width_mm))


def disagreement(truths: Shaped[np.ndarray, "j *s"]) -> Bool[np.ndarray, "*s"]:
    """Return where several labels or masks of the same image are not all equal; nowhere with a single one."""
    return np.asarray((truths != truths[:1]).any(axis=0))


def _within(mask: Bool[np.ndarray, "d h w"], spacing_mm: Spacing, margin_mm: float) -> Bool[np.ndarray, "d h w"]:
    """Return all voxels whose centre is at most ``margin_mm`` from that of a voxel of the mask."""
    # squared distance, one axis after the other: d²(x) = min over offsets o of d²(x + o) + (o · spacing)²
    squared = np.where(mask, np.float32(0), np.float32(np.inf))
    for axis, spacing in enumerate(spacing_mm):
        lines = np.moveaxis(squared, axis, 0)
        nearest = lines.copy()
        for o in range(1, min(int(margin_mm / spacing + 1e-6), len(lines) - 1) + 1):
            step = np.float32((o * spacing) ** 2)
            np.minimum(nearest[o:], lines[:-o] + step, out=nearest[o:])
            np.minimum(nearest[:-o], lines[o:] + step, out=nearest[:-o])
        squared = np.moveaxis(nearest, 0, axis)
    return np.asarray(squared <= np.float32(margin_mm**2 * (1.0 + 1e-5)))
