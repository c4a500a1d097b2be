"""Outlines of a mask in one plane, each a single closed curve."""

from itertools import pairwise
from typing import Any

import numpy as np
from contourpy import FillType, contour_generator
from jaxtyping import Bool, Float
from scipy.spatial import KDTree

HALF = 0.5
"""Between a voxel inside (1) and one outside (0) the outline runs through the middle, so that every centre stays on its
own side."""
_ABOVE_ALL = 2.0


def outlines(mask: Bool[np.ndarray, "h w"]) -> list[Float[np.ndarray, "n 2"]]:
    """Return one curve per connected part of a mask.

    A part with holes is one curve as well: each hole is tied to the rest by a bridge that is walked both ways and so
    encloses nothing (the keyhole technique of PS3.3 C.8.8.6.3). A reader that fills a curve by the even-odd or by the
    winding rule gets exactly the voxels of the mask.

    Returns:
        Curves of (row, column) in voxels, 0 at the centre of the first; the last point joins the first.
    """
    padded = np.pad(mask, 1).astype(float)  # so that outlines close at the border
    generator = contour_generator(z=padded, fill_type=FillType.OuterOffset)
    parts: Any = generator.filled(HALF, _ABOVE_ALL)  # points of each part, and where its rings start among them
    curves = []
    for points, starts in zip(*parts, strict=True):
        rings = [points[first : last - 1] for first, last in pairwise(starts)]  # open: no repeat
        curves.append(_join(rings[0], rings[1:])[:, ::-1] - 1.0)  # (column, row) of the padded mask before
    return curves


def _join(ring: Float[np.ndarray, "n 2"], holes: list[Float[np.ndarray, "_ 2"]]) -> Float[np.ndarray, "_ 2"]:
    """Return an outer ring with its holes as one curve."""
    for hole in holes:
        distance, nearest = KDTree(ring).query(hole)
        start = int(distance.argmin())
        bridge = int(nearest[start])
        around = np.roll(hole, -start, axis=0)
        ring = np.concatenate([ring[: bridge + 1], around, around[:1], ring[bridge:]])
    return ring
