"""Overlap and surface distance of two masks."""

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from entrust.metrics.domains import Spacing


def dice(prediction: Bool[np.ndarray, "*s"], truth: Bool[np.ndarray, "*s"]) -> float:
    """Return 2 |A ∩ B| / (|A| + |B|); 1 when both are empty."""
    total = np.count_nonzero(prediction) + np.count_nonzero(truth)
    return 2.0 * np.count_nonzero(prediction & truth) / total if total else 1.0


def hausdorff95_mm(
    prediction: Bool[np.ndarray, "d h w"],
    truth: Bool[np.ndarray, "d h w"],
    spacing_mm: Spacing,
    *,
    one_empty_mm: float = float("inf"),
) -> float:
    """Return HD95, the larger of the two 95th percentiles of surface distance, in mm.

    Args:
        prediction: Predicted mask.
        truth: Reference mask.
        spacing_mm: Voxel spacing (depth, row, column).
        one_empty_mm: What a missed or an invented structure costs; for means over patients give the diagonal of the
            volume, the largest distance there is. Two empty masks are 0 apart.

    Source: Huttenlocher et al., IEEE TPAMI 1993 (the partial distance).
    """
    there, back = _surface_distances_mm(prediction, truth, spacing_mm)
    if not there.size or not back.size:
        return 0.0 if there.size == back.size else one_empty_mm
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
    box = _bounding_box(a | b)  # both surfaces lie in it, and so do the shortest ways between them
    surfaces = [mask & ~ndimage.binary_erosion(mask) for mask in (a[box], b[box])]
    to_a, to_b = (
        ndimage.distance_transform_edt(~s, sampling=spacing_mm) if s.any() else np.full(s.shape, np.inf)
        for s in surfaces
    )
    return to_b[surfaces[0]], to_a[surfaces[1]]


def _bounding_box(mask: Bool[np.ndarray, "d h w"]) -> tuple[slice, ...]:
    """Return the smallest block that holds the mask; an empty one for an empty mask."""
    spans = [np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    return tuple(slice(int(s[0]), int(s[-1]) + 1) if s.size else slice(0) for s in spans)
