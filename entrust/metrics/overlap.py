"""Overlap and surface distance of two masks, and the domain on which voxels are judged."""

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

Spacing = tuple[float, float, float]
"""Millimetres along depth, row, column."""


def dice(prediction: Bool[np.ndarray, "*s"], truth: Bool[np.ndarray, "*s"]) -> float:
    """Return 2 |A ∩ B| / (|A| + |B|); 1 when both are empty."""
    total = np.count_nonzero(prediction) + np.count_nonzero(truth)
    return 2.0 * np.count_nonzero(prediction & truth) / total if total else 1.0


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
        truth: Reference foreground.
        spacing_mm: Voxel spacing (depth, row, column).
        margin_mm: Dilation; 5 by convention of this project.
    """
    # squared distance, one axis after the other: d²(x) = min over offsets o of d²(x + o) + (o · spacing)²
    squared = np.where(prediction | truth, np.float32(0), np.float32(np.inf))
    for axis, spacing in enumerate(spacing_mm):
        lines = np.moveaxis(squared, axis, 0)
        nearest = lines.copy()
        for o in range(1, min(int(margin_mm / spacing + 1e-6), len(lines) - 1) + 1):
            step = np.float32((o * spacing) ** 2)
            np.minimum(nearest[o:], lines[:-o] + step, out=nearest[o:])
            np.minimum(nearest[:-o], lines[o:] + step, out=nearest[:-o])
        squared = np.moveaxis(nearest, 0, axis)
    return squared <= np.float32(margin_mm**2 * (1.0 + 1e-5))


def hausdorff95_mm(
    prediction: Bool[np.ndarray, "d h w"], truth: Bool[np.ndarray, "d h w"], spacing_mm: Spacing
) -> float:
    """Return the larger of the two 95th percentiles of surface distance; 0 if both are empty, inf if one is."""
    there, back = _surface_distances_mm(prediction, truth, spacing_mm)
    if not there.size or not back.size:
        return 0.0 if there.size == back.size else float("inf")
    return float(max(np.percentile(there, 95.0), np.percentile(back, 95.0)))


def normalised_surface_dice(
    prediction: Bool[np.ndarray, "d h w"], truth: Bool[np.ndarray, "d h w"], spacing_mm: Spacing, tolerance_mm: float
) -> float:
    """Return the share of both surfaces' voxels that lie within ``tolerance_mm`` of the other; 1 if both are empty."""
    there, back = _surface_distances_mm(prediction, truth, spacing_mm)
    total = there.size + back.size
    near = np.count_nonzero(there <= tolerance_mm) + np.count_nonzero(back <= tolerance_mm)
    return near / total if total else 1.0


def _surface_distances_mm(
    a: Bool[np.ndarray, "d h w"], b: Bool[np.ndarray, "d h w"], spacing_mm: Spacing
) -> tuple[Float[np.ndarray, "_"], Float[np.ndarray, "_"]]:
    """Return the distance of every surface voxel to the other mask's surface, both ways; inf where that is empty."""
    surfaces = [mask & ~ndimage.binary_erosion(mask) for mask in (a, b)]
    to_a, to_b = (
        ndimage.distance_transform_edt(~s, sampling=spacing_mm) if s.any() else np.full(s.shape, np.inf)
        for s in surfaces
    )
    return to_b[surfaces[0]], to_a[surfaces[1]]
