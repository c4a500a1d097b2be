"""Where a modality was truly acquired: absent is not the same as zero."""

import numpy as np
from jaxtyping import Bool, Float, Shaped

_LEAST_SHARE = 0.01
"""Padding below this share of the volume is not worth a claim."""


def acquired(array: Shaped[np.ndarray, "d h w"]) -> Bool[np.ndarray, "d h w"]:
    """Tell padding from measured voxels in an MR volume that was resampled or registered before it came here.

    Such volumes are filled with exact zeros around the acquired block, which, being a rotated box, is convex. So, in
    every slice, what lies outside the convex hull of the non-zero voxels counts as not acquired: a zero inside the
    hull (a cavity, a dark vessel) stays acquired, and scanner noise anywhere keeps all of its hull. Where a scanner
    itself blanks the air around the body, that air counts as not acquired too, which costs nothing.

    Args:
        array: MR intensities on their own grid.

    Returns:
        True where acquired; everywhere when the padding is under 1 % of the volume.
    """
    inside = np.stack([_hull(plane != 0) for plane in array])
    return inside if 1.0 - inside.mean() >= _LEAST_SHARE else np.ones_like(inside)


def _hull(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Return the pixels inside the convex hull of a mask."""
    rows = np.flatnonzero(mask.any(axis=1))
    if mask.all() or not rows.size:
        return mask
    columns = np.arange(mask.shape[1])
    first = mask[rows].argmax(axis=1)
    last = mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1)
    every_row = np.arange(mask.shape[0])
    left = np.interp(every_row, *_lower_hull(rows, first))
    right = -np.interp(every_row, *_lower_hull(rows, -last))
    in_rows = (every_row >= rows[0]) & (every_row <= rows[-1])
    in_columns = (columns >= left[:, None] - 1e-9) & (columns <= right[:, None] + 1e-9)
    return np.asarray(in_rows[:, None] & in_columns)


def _lower_hull(
    x: Shaped[np.ndarray, "n"], y: Shaped[np.ndarray, "n"]
) -> tuple[Float[np.ndarray, "p"], Float[np.ndarray, "p"]]:
    """Return the corners of the largest convex function under the points (Andrew's monotone chain); x ascends."""
    corners: list[tuple[float, float]] = []
    for point in zip(x.astype(float), y.astype(float), strict=True):
        while len(corners) >= 2 and _turns_right(corners[-2], corners[-1], point):
            corners.pop()
        corners.append(point)
    xs, ys = np.asarray(corners).T
    return xs, ys


def _turns_right(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return bool((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) <= 0.0)
