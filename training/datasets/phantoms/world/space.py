"""The lattice of a case: coordinates, smooth random fields, distances and point spread, all in float64 and mm.

Float64 throughout, because the images are rounded to a scanner's integers at the end: last-bit differences between
processors then vanish, and a case is the same bit for bit everywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

FWHM_PER_SIGMA = 2.3548


@dataclass(frozen=True)
class Space:
    """A stack of axial slices around the origin.

    Attributes:
        shape: Voxels (depth, row, column).
        spacing_mm: Voxel size (depth, row, column).
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]

    @cached_property
    def coordinates(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Positions z [d, 1, 1], y [1, h, 1], x [1, 1, w] of the voxels' centres in mm; they broadcast."""
        z, y, x = (
            (np.arange(n, dtype=np.float64) - (n - 1) / 2) * step
            for n, step in zip(self.shape, self.spacing_mm, strict=True)
        )
        return z[:, None, None], y[None, :, None], x[None, None, :]

    def field(self, rng: np.random.Generator, scale_mm: float | Sequence[float]) -> Float[np.ndarray, "d h w"]:
        """Return a Gaussian random field, mean 0 and variance 1 everywhere, that varies over ``scale_mm``.

        White noise on a coarse lattice of random phase, carried to the voxels by cubic B-splines whose weights are
        scaled to unit norm; sums of four terms an axis, so no library of linear algebra (and its threads) is asked.

        Args:
            rng: Source of randomness.
            scale_mm: Distance of the lattice's nodes, one number or (depth, row, column).
        """
        scales = np.broadcast_to(np.asarray(scale_mm, dtype=np.float64), 3)
        axes = []
        for n, step, scale in zip(self.shape, self.spacing_mm, scales, strict=True):
            position = np.arange(n) * (step / scale) + rng.random()
            node = np.floor(position).astype(int)
            f = position - node
            taps = np.stack([(1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, 1 + 3 * f + 3 * f**2 - 3 * f**3, f**3])
            axes.append((node, taps / np.sqrt((taps**2).sum(axis=0))))
        field = rng.standard_normal([int(node[-1]) + 4 for node, _ in axes])
        for axis, (node, taps) in enumerate(axes):
            along = [-1 if a == axis else 1 for a in range(3)]
            field = sum(np.take(field, node + i, axis) * taps[i].reshape(along) for i in range(4))
        return np.asarray(field)

    def distance_mm(self, mask: Bool[np.ndarray, "d h w"]) -> Float[np.ndarray, "d h w"]:
        """Return the signed distance to the surface of ``mask``: negative inside, large where there is no surface."""
        if not mask.any():
            return np.full(self.shape, 1e3)
        if mask.all():
            return np.full(self.shape, -1e3)
        outside = ndimage.distance_transform_edt(~mask, sampling=self.spacing_mm)
        inside = ndimage.distance_transform_edt(mask, sampling=self.spacing_mm)
        half = 0.5 * self.spacing_mm[2]  # the surface lies between voxels
        return np.asarray(np.where(mask, half - inside, outside - half))

    def blur(self, array: Float[np.ndarray, "d h w"], fwhm_mm: float | Sequence[float]) -> Float[np.ndarray, "d h w"]:
        """Return ``array`` under a Gaussian point spread; one number means in-plane only, as in thick slices."""
        fwhm = (0.0, fwhm_mm, fwhm_mm) if isinstance(fwhm_mm, int | float) else tuple(fwhm_mm)
        sigma = np.asarray(fwhm) / FWHM_PER_SIGMA / np.asarray(self.spacing_mm)
        return np.asarray(ndimage.gaussian_filter(array, sigma, mode="nearest", truncate=3.0))

    def pick(self, rng: np.random.Generator, room: Bool[np.ndarray, "d h w"]) -> tuple[float, float, float] | None:
        """Return a random place (z, y, x) in mm where ``room`` is true, ``None`` where there is none."""
        places = np.flatnonzero(room)
        if places.size == 0:
            return None
        d, h, w = np.unravel_index(int(places[rng.integers(places.size)]), self.shape)
        z, y, x = self.coordinates
        return float(z[d, 0, 0]), float(y[0, h, 0]), float(x[0, 0, w])

    def ellipsoid_mm(
        self, centre_mm: Sequence[float], radii_mm: Sequence[float], turn: float = 0.0
    ) -> Float[np.ndarray, "d h w"]:
        """Return a signed distance, to first order, to an ellipsoid turned in-plane; negative inside.

        Args:
            centre_mm: (z, y, x).
            radii_mm: (z, along, across).
            turn: Angle of ``along`` against y, in radians.
        """
        dz, dy, dx = (c - o for c, o in zip(self.coordinates, centre_mm, strict=True))
        along, across = dy * np.cos(turn) + dx * np.sin(turn), dx * np.cos(turn) - dy * np.sin(turn)
        reach = np.sqrt((dz / radii_mm[0]) ** 2 + (along / radii_mm[1]) ** 2 + (across / radii_mm[2]) ** 2)
        return np.asarray((reach - 1) * np.sqrt(radii_mm[1] * radii_mm[2]))


def occupancy(distance_mm: Float[np.ndarray, "*s"], softness_mm: float) -> Float[np.ndarray, "*s"]:
    """Return the share of each voxel inside a surface that is ``softness_mm`` thick, from the signed distance."""
    return np.clip(0.5 - distance_mm / softness_mm, 0.0, 1.0)
