"""One case of a public data set: images and labels as they were published, and all of them on one grid."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from entrust.resampling import coverage, resample
from entrust.volume import Grid, Volume


@dataclass(frozen=True, eq=False)
class OneGrid:
    """A case on one grid.

    Attributes:
        grid: The grid.
        images: HU, SUV or arbitrary intensities in the order of the case's slugs, zero where absent.
        presence: Where each modality was acquired; nowhere for a missing file.
        labels: A label map for each rater; label r lies in the nested structures 1 … r.
        judged: Where the labels say something.
    """

    grid: Grid
    images: Float32[np.ndarray, "m d h w"]
    presence: Bool[np.ndarray, "m d h w"]
    labels: UInt8[np.ndarray, "j d h w"]
    judged: Bool[np.ndarray, "d h w"]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size (depth, row, column)."""
        return self.grid.spacing_mm


@dataclass(frozen=True, eq=False)
class PublicCase:
    """A case as published, every file on its own grid.

    Attributes:
        name: The data set's own name for it.
        slugs: Modalities of the task, in its order.
        volumes: Images by slug; a modality whose file is missing, or that the set does not have, is not there.
        labels: Label maps (uint8) by rater, the reference first; none for a case whose labels are kept back.
        ignored: Voxels (bool) that count neither for nor against; ``None``: every voxel counts.
    """

    name: str
    slugs: tuple[str, ...]
    volumes: Mapping[str, Volume]
    labels: Mapping[str, Volume]
    ignored: Volume | None = None

    @property
    def reference(self) -> Grid:
        """Grid of the reference labels; without labels, of the first modality."""
        return next(iter((*self.labels.values(), *self.volumes.values()))).grid

    def on(self, grid: Grid | None = None) -> OneGrid:
        """Return the case on one grid, each file sampled once.

        Args:
            grid: Where; the grid of the reference labels by default.
        """
        where = grid or self.reference
        nothing, nowhere = np.zeros(where.shape, np.float32), np.zeros(where.shape, bool)
        images, presence = [], []
        for slug in self.slugs:
            volume = self.volumes.get(slug)
            there = nowhere if volume is None else coverage(volume.grid, where)
            values = nothing if volume is None else resample(volume, where, linear=True, outside=0.0).array
            images.append(np.where(there, values, np.float32(0.0)))
            presence.append(there)
        labels, judged = self.labels_on(where)
        return OneGrid(where, np.stack(images), np.stack(presence), labels, judged)

    def labels_on(self, grid: Grid) -> tuple[UInt8[np.ndarray, "j d h w"], Bool[np.ndarray, "d h w"]]:
        """Return every rater's label map on a grid, and where they are judged.

        Each voxel takes the label at its centre: structures stay nested, and neither large nor small ones gain or lose
        volume on average, as small ones would where the majority of a voxel decided.
        """
        maps = [resample(volume, grid, linear=False, outside=0.0).array for volume in self.labels.values()]
        judged = np.ones(grid.shape, bool)
        if self.ignored is not None:
            judged &= ~resample(self.ignored, grid, linear=False, outside=0.0).array
        return np.stack(maps) if maps else np.zeros((0, *grid.shape), np.uint8), judged
