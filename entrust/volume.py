"""Geometry as values: a grid in patient space, and an array on it.

World coordinates are **LPS, millimetres** (DICOM's patient frame: x to the left, y to posterior, z to superior).
Index order is (depth, row, column), as numpy holds a stack of slices.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from entrust.errors import GeometryConflictError


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular lattice in patient space.

    Attributes:
        shape: Number of voxels (depth, row, column).
        affine: 4 × 4; maps index (depth, row, column, 1) to LPS millimetres (x, y, z, 1) of a voxel's centre.
    """

    shape: tuple[int, int, int]
    affine: Float[np.ndarray, "4 4"]

    def __post_init__(self) -> None:
        if min(self.shape) < 1:
            raise GeometryConflictError("A grid needs at least one voxel along every axis.")
        if not np.isfinite(self.affine).all() or abs(np.linalg.det(self.affine[:3, :3])) < 1e-9:
            raise GeometryConflictError("The voxel axes do not span space.", fix="Check spacing and orientation.")

    @classmethod
    def axial(
        cls, shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], origin_mm: tuple[float, float, float]
    ) -> "Grid":
        """Return an axis-aligned grid: depth to superior, rows to posterior, columns to the left.

        Args:
            shape: Voxels (depth, row, column).
            spacing_mm: Spacing (depth, row, column).
            origin_mm: LPS position (x, y, z) of the first voxel's centre.
        """
        affine = np.zeros((4, 4))
        affine[2, 0], affine[1, 1], affine[0, 2] = spacing_mm
        affine[:3, 3] = origin_mm
        affine[3, 3] = 1.0
        return cls(shape, affine)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Spacing (depth, row, column)."""
        d, r, c = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(d), float(r), float(c)

    @property
    def origin_mm(self) -> tuple[float, float, float]:
        """LPS position (x, y, z) of the first voxel's centre."""
        x, y, z = self.affine[:3, 3]
        return float(x), float(y), float(z)

    @property
    def direction(self) -> Float[np.ndarray, "3 3"]:
        """Unit vectors of (depth, row, column) as columns, LPS."""
        axes: np.ndarray = self.affine[:3, :3] / np.asarray(self.spacing_mm)
        return axes

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    def corners_mm(self) -> Float[np.ndarray, "8 3"]:
        """Return the LPS positions of the eight corner voxels' centres."""
        ends = np.stack(np.meshgrid(*[(0, n - 1) for n in self.shape], indexing="ij"), axis=-1).reshape(8, 3)
        return self.to_world(ends)

    def to_world(self, index: Shaped[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Map indices (depth, row, column) to LPS millimetres."""
        world: np.ndarray = index @ self.affine[:3, :3].T + self.affine[:3, 3]
        return world

    def to_index(self, world_mm: Shaped[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Map LPS millimetres to (fractional) indices (depth, row, column)."""
        index: np.ndarray = (world_mm - self.affine[:3, 3]) @ np.linalg.inv(self.affine[:3, :3]).T
        return index

    def crop(self, start: tuple[int, int, int], shape: tuple[int, int, int]) -> "Grid":
        """Return the sub-grid of ``shape`` voxels that begins at index ``start``."""
        affine = self.affine.copy()
        affine[:3, 3] = self.to_world(np.asarray([start], dtype=float))[0]
        return Grid(shape, affine)

    def same_as(self, other: "Grid", tolerance_mm: float = 1e-3) -> bool:
        """Tell whether two grids coincide: same shape, all corners within ``tolerance_mm``."""
        return self.shape == other.shape and bool(np.abs(self.corners_mm() - other.corners_mm()).max() <= tolerance_mm)


@dataclass(frozen=True, eq=False)
class Volume:
    """An array on a grid.

    Attributes:
        array: Values [depth, row, column].
        grid: Where they are.
    """

    array: Shaped[np.ndarray, "d h w"]
    grid: Grid

    def __post_init__(self) -> None:
        if self.array.shape != self.grid.shape:
            raise GeometryConflictError(
                "The array's shape is not the grid's.",
                details={"array": str(self.array.shape), "grid": str(self.grid.shape)},
            )

    def with_array(self, array: Any) -> "Volume":
        """Return another array on the same grid."""
        return Volume(array, self.grid)
