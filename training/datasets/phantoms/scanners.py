"""Tissue maps → images: what a CT, a PET and an MR scanner would make of them."""

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from entrust.volume import Grid
from training.datasets.phantoms.fields import Coordinates, blur, smooth_noise

PET_FWHM_MM = (6.0, 7.0)


def scan_ct(
    rng: np.random.Generator, grid: Grid, hu: Float[np.ndarray, "d h w"], at: Coordinates
) -> Float[np.ndarray, "d h w"]:
    """Return a CT in HU: slight blur, grain, the streaks of a low-dose scan, and a table under the patient."""
    image = blur(hu, grid, (2.0, 2.4, 2.4))
    if rng.random() < 0.6:
        top_mm = rng.uniform(0.75, 1.1) * float(at.y.max())
        sag_mm = 0.0006 * (at.x - rng.uniform(-40, 40)) ** 2
        for depth_mm in (0.0, 22.0):
            table = np.abs(at.y - (top_mm + depth_mm) + sag_mm) < 1.5
            image = np.where(table & (image < -700), -350.0, image)
    grain = rng.standard_normal(grid.shape).astype(np.float32)
    image = image + rng.uniform(7, 14) * blur(grain, grid, (0.0, 2.2, 2.2)) * 1.8
    streaks = ndimage.gaussian_filter1d(rng.standard_normal(grid.shape).astype(np.float32), 9.0, axis=2)
    image = image + rng.uniform(2, 7) * streaks / max(float(streaks.std()), 1e-6)
    return np.asarray(np.clip(np.rint(image), -1024, 3071), dtype=np.float32)


def scan_pet(rng: np.random.Generator, grid: Grid, suv: Float[np.ndarray, "d h w"]) -> Float[np.ndarray, "d h w"]:
    """Return a PET in SUV: blurred by the camera, with noise that grows as the root of the counts."""
    image = blur(suv, grid, rng.uniform(*PET_FWHM_MM))
    grain = blur(rng.standard_normal(grid.shape).astype(np.float32), grid, 4.5)
    grain /= max(float(grain.std()), 1e-6)
    noisy = image + rng.uniform(0.06, 0.18) * np.sqrt(np.maximum(image, 0.02)) * grain
    return np.asarray(np.maximum(noisy, 0.0), dtype=np.float32)


def scan_mr(
    rng: np.random.Generator, grid: Grid, signal: Float[np.ndarray, "d h w"], presence: Bool[np.ndarray, "d h w"]
) -> Float[np.ndarray, "d h w"]:
    """Return a T1-weighted MR in arbitrary units: moved a little, shaded by the coil, Rician noise, zero outside.

    Args:
        rng: Source of randomness.
        grid: The grid.
        signal: Relative T1 signal, muscle = 1.
        presence: The field of view.
    """
    # The patient lay again on another table: up to one voxel of misregistration is left.
    moved = ndimage.shift(signal, rng.uniform(-1, 1, 3) * (0.3, 1.0, 1.0), order=1, mode="nearest")
    moved = blur(moved, grid, (4.0, 2.0, 2.0))
    shading = smooth_noise(rng, grid, 0.7 * max(n * s for n, s in zip(grid.shape, grid.spacing_mm, strict=True)))
    moved = moved * np.exp(rng.uniform(0.05, 0.18) * shading)
    noise = rng.uniform(0.02, 0.06)
    real, imaginary = rng.standard_normal((2, *grid.shape)).astype(np.float32) * noise
    scale = float(np.exp(rng.uniform(np.log(300), np.log(1800))))
    image = np.hypot(moved + real, imaginary) * scale
    return np.where(presence, np.rint(image), 0.0).astype(np.float32)


def mr_field_of_view(
    rng: np.random.Generator,
    at: Coordinates,
    centre_mm: tuple[float, float, float],
    half_mm: tuple[float, float, float],
) -> Bool[np.ndarray, "d h w"]:
    """Return the block that the MR covers: planned on the lesion by hand, so neither centred nor straight.

    Args:
        rng: Source of randomness.
        at: The voxels' positions.
        centre_mm: Lesion's centre (z, y, x) relative to the grid's middle.
        half_mm: Lesion's half extent (z, y, x).
    """
    offset = rng.normal(0, 7, 3)
    dz, dy, dx = (axis - c - o for axis, c, o in zip(at, centre_mm, offset, strict=True))
    angle = rng.normal(0, 0.12)
    across = dx * np.cos(angle) + dy * np.sin(angle)
    along = dy * np.cos(angle) - dx * np.sin(angle)
    if rng.random() < 0.25:  # a body coil: everything but perhaps the ends
        reach = (half_mm[0] + rng.uniform(20, 60), 1e3, 1e3)
    else:
        reach = (half_mm[0] + rng.uniform(8, 50), half_mm[1] + rng.uniform(8, 45), half_mm[2] + rng.uniform(8, 45))
    block = (np.abs(dz) <= reach[0]) & (np.abs(along) <= reach[1]) & (np.abs(across) <= reach[2])
    return np.asarray(block)
