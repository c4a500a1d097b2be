"""From planes to one regular grid: order along the normal, and refuse what a regular grid cannot hold."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from entrust.errors import GeometryConflictError
from entrust.volume import Grid
from service.ingest.frames import Frame

SAME_PLACE_MM = 0.01
"""Planes nearer than this lie at one place: repeats."""

ORIENTATION_TOLERANCE = 2e-3
"""Largest difference of a direction cosine within a series: 0.1°, or 0.5 mm at the edge of a 50 cm image."""

SPACING_TOLERANCE_MM = 0.05
SPACING_TOLERANCE = 0.02
"""A plane may lie this far from its place on the regular lattice: 0.05 mm or 2 % of the spacing, whichever is more.
Scanners round positions to 0.1 mm at worst; anything larger would have to be interpolated silently."""

SHEAR_TOLERANCE = 0.25
"""Planes may be shifted sideways against each other by this share of a pixel in all; beyond it the stack leans."""


@dataclass(frozen=True)
class Order:
    """Planes in the order of increasing position along the normal.

    Attributes:
        index: For every plane, sorted: its place in the input.
        place: The same length: number of the position that the plane lies at, from 0; repeats share one.
    """

    index: Int[np.ndarray, "n"]
    place: Int[np.ndarray, "n"]


def sort_planes(frames: Sequence[Frame]) -> Order:
    """Order planes along their common normal.

    Raises:
        GeometryConflictError: Planes of several sizes or orientations.
    """
    first = frames[0]
    axes = np.stack([np.r_[frame.row_axis, frame.column_axis] for frame in frames])
    if np.abs(axes - axes[0]).max() > ORIENTATION_TOLERANCE:
        raise GeometryConflictError(
            "Slices have different orientations.", fix="Send each orientation as a series of its own."
        )
    if any(frame.shape != first.shape for frame in frames):
        raise GeometryConflictError("Slices differ in rows or columns.", fix="Send one size per series.")
    if any(not np.allclose(frame.spacing_mm, first.spacing_mm, rtol=1e-3, atol=0) for frame in frames):
        raise GeometryConflictError("Slices have different pixel spacings.", fix="Send one spacing per series.")
    along_mm = np.stack([frame.position_mm for frame in frames]) @ _normal(first)
    index = np.argsort(along_mm, kind="stable")
    steps_mm = np.diff(along_mm[index], prepend=along_mm[index[0]])
    return Order(index, np.cumsum(steps_mm > SAME_PLACE_MM))


def regular_grid(frames: Sequence[Frame]) -> Grid:
    """Return the grid of planes that are sorted and free of repeats.

    Raises:
        GeometryConflictError: One plane only, missing planes, uneven spacing, or a leaning stack (gantry tilt).
    """
    if len(frames) < 2:
        raise GeometryConflictError(
            "The series has one slice only; that is not a volume.", fix="Send the whole series.", details={"slices": 1}
        )
    first, normal = frames[0], _normal(frames[0])
    positions = np.stack([frame.position_mm for frame in frames])
    along_mm = (positions - positions[0]) @ normal
    _check_lean(positions - positions[0] - along_mm[:, None] * normal, along_mm, min(first.spacing_mm))
    _check_even(along_mm)
    depth_mm = along_mm[-1] / (len(frames) - 1)
    affine = np.eye(4)
    affine[:3, 0] = normal * depth_mm
    affine[:3, 1] = first.column_axis * first.spacing_mm[0]
    affine[:3, 2] = first.row_axis * first.spacing_mm[1]
    affine[:3, 3] = positions[0]
    return Grid((len(frames), *first.shape), affine)


def _normal(frame: Frame) -> Float[np.ndarray, "3"]:
    return np.cross(frame.row_axis, frame.column_axis)


def _check_lean(sideways_mm: Float[np.ndarray, "n 3"], along_mm: Float[np.ndarray, "n"], pixel_mm: float) -> None:
    largest_mm = float(np.linalg.norm(sideways_mm, axis=1).max())
    if largest_mm <= SHEAR_TOLERANCE * pixel_mm:
        return
    # A tilted gantry shifts every slice by the same amount; anything else is a patient or table that moved.
    expected = along_mm[:, None] / along_mm[-1] * sideways_mm[-1]
    steady = float(np.linalg.norm(sideways_mm - expected, axis=1).max()) <= SHEAR_TOLERANCE * pixel_mm
    cause = "The stack leans: slices are not perpendicular to its axis (gantry tilt)."
    raise GeometryConflictError(
        cause if steady else "Slices are shifted sideways against each other.",
        fix="Send a reconstruction without gantry tilt." if steady else "Send one acquisition per series.",
        details={"shift_mm": round(largest_mm, 2)},
    )


def _check_even(along_mm: Float[np.ndarray, "n"]) -> None:
    gaps_mm = np.diff(along_mm)
    lattice_mm = np.linspace(0.0, along_mm[-1], len(along_mm))
    off_mm = float(np.abs(along_mm - lattice_mm).max())
    if off_mm <= max(SPACING_TOLERANCE_MM, SPACING_TOLERANCE * float(np.median(gaps_mm))):
        return
    multiples = gaps_mm / gaps_mm.min()
    missing = int((np.rint(multiples) - 1).sum())
    if np.abs(multiples - np.rint(multiples)).max() < 0.05 and missing <= len(along_mm):
        raise GeometryConflictError(
            "Slices are missing from the series.",
            fix="Send the whole series.",
            details={"slices": len(along_mm), "missing": missing},
        )
    raise GeometryConflictError(
        "The spacing between slices is uneven.",
        fix="Send a reconstruction with even spacing.",
        details={"smallest_mm": round(float(gaps_mm.min()), 3), "largest_mm": round(float(gaps_mm.max()), 3)},
    )
