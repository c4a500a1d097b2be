"""Coordinates, smooth random fields and soft shapes: the drawing kit of the phantoms."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from entrust.volume import Grid

FWHM_PER_SIGMA = 2.3548


class Coordinates(NamedTuple):
    """Position of every voxel's centre relative to the grid's middle, in mm: x to the left, y to posterior, z up."""

    z: Float[np.ndarray, "d h w"]
    y: Float[np.ndarray, "d h w"]
    x: Float[np.ndarray, "d h w"]


def centred_coordinates(grid: Grid) -> Coordinates:
    """Return the coordinates of an axial grid's voxels, relative to its middle."""
    axes = [
        ((np.arange(n) - (n - 1) / 2) * step).astype(np.float32)
        for n, step in zip(grid.shape, grid.spacing_mm, strict=True)
    ]
    return Coordinates(*np.meshgrid(*axes, indexing="ij"))


def smooth_noise(rng: np.random.Generator, grid: Grid, scale_mm: float | Sequence[float]) -> Float[np.ndarray, "d h w"]:
    """Return a random field of mean 0 and standard deviation 1 that varies over ``scale_mm``.

    Coarse white noise, interpolated: as good to look at as a filtered field, and many times faster for long scales.

    Args:
        rng: Source of randomness.
        grid: Where the field is wanted.
        scale_mm: Distance between independent values, one number or (depth, row, column).
    """
    scales = np.broadcast_to(np.asarray(scale_mm, dtype=float), 3)
    # Two spare nodes per axis let the random phase below move the lattice without leaving it.
    nodes = [
        max(2, int(np.ceil(n * step / s)) + 2) for n, step, s in zip(grid.shape, grid.spacing_mm, scales, strict=True)
    ]
    coarse = rng.standard_normal(nodes).astype(np.float32)
    field = coarse
    for axis, (n, step, scale) in enumerate(zip(grid.shape, grid.spacing_mm, scales, strict=True)):
        position = np.minimum(np.arange(n) * (step / scale) + rng.random(), nodes[axis] - 1.001)
        low = position.astype(int)
        share = (position - low).astype(np.float32)
        share = share * share * (3 - 2 * share)  # no creases at the nodes
        share = share.reshape([-1 if a == axis else 1 for a in range(3)])
        field = np.take(field, low, axis) * (1 - share) + np.take(field, low + 1, axis) * share
    return np.asarray((field - field.mean()) / max(float(field.std()), 1e-6), dtype=np.float32)


def blur(array: Float[np.ndarray, "d h w"], grid: Grid, fwhm_mm: float | Sequence[float]) -> Float[np.ndarray, "d h w"]:
    """Return ``array`` under a Gaussian point spread of the given full width at half maximum."""
    sigma = np.broadcast_to(np.asarray(fwhm_mm, dtype=float), 3) / FWHM_PER_SIGMA / np.asarray(grid.spacing_mm)
    return np.asarray(ndimage.gaussian_filter(array, sigma, mode="nearest"), dtype=np.float32)


def inside(distance_mm: Float[np.ndarray, "d h w"], softness_mm: float = 2.0) -> Float[np.ndarray, "d h w"]:
    """Return the share of each voxel that lies inside a shape, given its signed distance (negative inside)."""
    return np.clip(0.5 - distance_mm / softness_mm, 0.0, 1.0)


def inside_distance_mm(mask: np.ndarray, grid: Grid) -> Float[np.ndarray, "d h w"]:
    """Return how deep each voxel lies in ``mask``, in mm; zero outside."""
    return np.asarray(ndimage.distance_transform_edt(mask, sampling=grid.spacing_mm), dtype=np.float32)
