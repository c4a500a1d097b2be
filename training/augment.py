"""From patients to training batches: sampling, geometry, contrast, missing modalities and synthetic conflict.

Every batch is a pure function of (seed, iteration), so a resumed run continues exactly where it stopped.
"""

from dataclasses import dataclass
from itertools import product
from math import cos, radians, sin

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor
from torch.nn import functional as F

from entrust.slices import with_context
from training.config import AugmentConfig
from training.datasets.case import TrainingCase


@dataclass
class Batch:
    """Training slices.

    Attributes:
        images: [b, m, z, h, w].
        presence: [b, m, z, h, w].
        label: [b, h, w], int64.
        edited: Where one modality contradicts the others, by an edit or by a phantom's truth, [b, h, w] float.
        shown: What each modality alone shows, [b, m, h, w], int64: the label, but where an edit made it contradict the
            others; -1 where that is neither one thing nor the other.
    """

    images: Tensor
    presence: Tensor
    label: Tensor
    edited: Tensor
    shown: Tensor


def smooth_field(rng: np.random.Generator, size: int, coarse: int) -> Float32[np.ndarray, "h w"]:
    """Return a smooth random field of zero mean and unit variance, bicubic from a ``coarse`` grid."""
    noise = torch.from_numpy(rng.standard_normal((1, 1, coarse, coarse)).astype(np.float32))
    dense = F.interpolate(noise, size=(size, size), mode="bicubic", align_corners=True)[0, 0].numpy()
    return np.asarray((dense - dense.mean()) / (dense.std() + 1e-6), dtype=np.float32)


class BatchSource:
    """Draws batches from patients and phantoms.

    Args:
        cases: Real patients.
        phantoms: Simulated cases.
        phantom_share: Share of the samples drawn from ``phantoms``.
        offsets: Context slices, see :class:`entrust.contract.Task`.
        config: Augmentation.
        batch: Slices a batch.
        seed: Seed of the run.
    """

    def __init__(
        self,
        cases: list[TrainingCase],
        phantoms: list[TrainingCase],
        *,
        phantom_share: float,
        offsets: tuple[int, ...],
        config: AugmentConfig,
        batch: int,
        seed: int,
    ) -> None:
        self.cases, self.phantoms = cases, phantoms
        self.phantom_share = phantom_share if phantoms else 0.0
        self.offsets, self.config, self.batch, self.seed = offsets, config, batch, seed
        num_modalities = cases[0].images.shape[0]
        self.subsets = [s for s in product((0.0, 1.0), repeat=num_modalities) if 0 < sum(s) < num_modalities]

    def __call__(self, iteration: int) -> Batch:
        """Return the batch of one iteration."""
        rng = np.random.default_rng([self.seed, iteration])
        drawn = [self._draw(rng) for _ in range(self.batch)]
        images = np.stack([d[0] for d in drawn])
        presence = np.stack([d[1] for d in drawn])
        label = np.stack([d[2] for d in drawn])
        edited = np.stack([d[3] for d in drawn]).astype(np.float32)
        original = images.copy()
        for i in range(self.batch):
            if rng.random() < self.config.edit:
                self._edit(rng, images, original, presence, edited, i)
            self._drop_modalities(rng, presence[i])
            # an edit can only be seen as a contradiction where at least two modalities speak
            edited[i] *= presence[i, :, len(self.offsets) // 2].sum(axis=0) > 1.5
        images *= presence
        return Batch(
            images=torch.from_numpy(images),
            presence=torch.from_numpy(presence),
            label=torch.from_numpy(label.astype(np.int64)),
            edited=torch.from_numpy(edited),
            shown=torch.from_numpy(np.repeat(label[:, None].astype(np.int64), images.shape[1], axis=1)),
        )

    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Draw one slice with random geometry and contrast: images, presence [m, z, h, w], label and
        known conflict [h, w].
        """
        pool = self.phantoms if rng.random() < self.phantom_share else self.cases
        case = pool[rng.integers(len(pool))]
        size = self.config.size
        target = case.label > 0
        if case.conflict is not None and case.conflict.any() and rng.random() < self.config.conflict_share:
            target = case.conflict
        if rng.random() < self.config.tumour_share:
            depths = np.flatnonzero(target.any(axis=(1, 2)))
        else:
            depths = np.arange(case.depth)
        depth = int(rng.choice(depths))
        rows, columns = np.nonzero(target[depth])
        h, w = case.label.shape[1:]
        if rows.size and rng.random() < 0.8:
            pick = rng.integers(rows.size)
            centre = np.array([rows[pick], columns[pick]], dtype=float) + rng.uniform(-24, 24, 2)
        else:
            centre = rng.uniform(0.25, 0.75, 2) * (h, w)

        offsets = self.offsets if rng.random() < 0.5 else tuple(reversed(self.offsets))
        at = np.asarray([depth])
        levels = range(1, max(int(case.label.max()), 1) + 1)  # labels are nested: interpolated level by level
        known = np.zeros((h, w)) if case.conflict is None else case.conflict[depth]
        stack = np.concatenate(
            [
                with_context(case.images, at, offsets)[0].reshape(-1, h, w),
                with_context(case.presence.astype(np.float32), at, offsets)[0].reshape(-1, h, w),
                np.stack([case.label[depth] >= r for r in levels]).astype(np.float32),
                known[None].astype(np.float32),
            ]
        )  # [2·m·z + levels + 1, h, w]
        warped = F.grid_sample(torch.from_numpy(stack)[None], self._grid(rng, centre, (h, w)), align_corners=False)[
            0
        ].numpy()
        m, z = case.images.shape[0], len(self.offsets)
        presence = (warped[m * z : 2 * m * z] > 0.5).astype(np.float32).reshape(m, z, size, size)
        images = warped[: m * z].reshape(m, z, size, size)
        for index in range(m):
            images[index] = self._recolour(rng, images[index], index)
            if rng.random() < self.config.truncate:
                self._truncate(rng, presence[index])
        if rng.random() < 0.5 * self.config.truncate:
            for index in range(m):  # the same cut for all: the crop's edge must carry no message
                self._truncate(np.random.default_rng(depth), presence[index])
        return images, presence, (warped[2 * m * z : -1] > 0.5).sum(axis=0), warped[-1] > 0.5

    def _grid(self, rng: np.random.Generator, centre: np.ndarray, shape: tuple[int, int]) -> Tensor:
        """Return a sampling grid [1, size, size, 2]: rotation, zoom, flips about ``centre`` (row, column)."""
        cfg, size = self.config, self.config.size
        angle = radians(rng.uniform(-cfg.rotation_degrees, cfg.rotation_degrees))
        zoom = np.exp(rng.uniform(np.log(cfg.zoom[0]), np.log(cfg.zoom[1])))
        stretch = np.exp(rng.uniform(-0.1, 0.1))
        flips = rng.choice([-1.0, 1.0], size=2, p=[0.5, 0.5])
        a = np.array([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])
        a = a @ np.diag([flips[0] * stretch, flips[1] / stretch]) / zoom  # output pixel → input pixel
        steps = np.arange(size) - (size - 1) / 2
        rr, cc = np.meshgrid(steps, steps, indexing="ij")
        source_r = a[0, 0] * rr + a[0, 1] * cc + centre[0]
        source_c = a[1, 0] * rr + a[1, 1] * cc + centre[1]
        h, w = shape
        grid = np.stack([(2 * source_c + 1) / w - 1, (2 * source_r + 1) / h - 1], axis=-1)
        return torch.from_numpy(grid.astype(np.float32))[None]

    def _recolour(self, rng: np.random.Generator, x: np.ndarray, index: int) -> np.ndarray:
        """Change contrast, brightness, bias field and noise of one modality, [z, h, w] → [z, h, w]."""
        size = self.config.size
        x = x * rng.uniform(0.8, 1.25) + rng.uniform(-0.12, 0.12)
        if index > 0:  # CT numbers are calibrated; PET and MR are not
            x = x * np.exp(0.15 * rng.random() * smooth_field(rng, size, 3))
        if rng.random() < 0.3:
            low, high = float(x.min()), float(x.max()) + 1e-3
            x = ((x - low) / (high - low)) ** rng.uniform(0.75, 1.35) * (high - low) + low
        if rng.random() < 0.2:
            x = F.avg_pool2d(torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))[None], 3, 1, 1)[0].numpy()
        noise = rng.standard_normal(x.shape, dtype=np.float32)
        return np.asarray(x + rng.uniform(0.0, 0.08) * noise, dtype=np.float32)

    def _truncate(self, rng: np.random.Generator, presence: np.ndarray) -> None:
        """Cut a modality's field of view at one or two sides, in place, [z, h, w]."""
        size = presence.shape[-1]
        for _ in range(int(rng.integers(1, 3))):
            cut = int(rng.integers(4, size // 3))
            side = rng.integers(4)
            if side == 0:
                presence[:, :cut] = 0
            elif side == 1:
                presence[:, -cut:] = 0
            elif side == 2:
                presence[:, :, :cut] = 0
            else:
                presence[:, :, -cut:] = 0

    def _drop_modalities(self, rng: np.random.Generator, presence: np.ndarray) -> None:
        """Keep a random non-empty subset of the modalities, in place, [m, z, h, w]."""
        if rng.random() >= self.config.all_modalities:
            subset = self.subsets[rng.integers(len(self.subsets))]
            presence *= np.asarray(subset, dtype=np.float32)[:, None, None, None]

    def _edit(
        self,
        rng: np.random.Generator,
        images: np.ndarray,
        original: np.ndarray,
        presence: np.ndarray,
        edited: np.ndarray,
        i: int,
    ) -> None:
        """Make one modality of sample i contradict the others inside a smooth mask, in place, if that can be seen."""
        size, z = self.config.size, images.shape[2]
        m = int(rng.integers(images.shape[1]))
        inside = smooth_field(rng, size, int(rng.integers(4, 9))) > rng.uniform(-0.4, 0.4)
        rr, cc = np.mgrid[:size, :size]
        centre, radius = rng.uniform(0.3, 0.7, 2) * size, rng.uniform(9, 24)
        inside &= (rr - centre[0]) ** 2 + (cc - centre[1]) ** 2 < radius**2
        inside &= presence[i, m, z // 2] > 0.5
        if inside.sum() < 20:
            return
        kind = rng.integers(4)
        here = images[i, m]
        if kind == 0:  # tissue of another sample
            other = original[rng.integers(images.shape[0]), m]
            here[:, inside] = other[:, inside]
        elif kind == 1:  # a lesion painted over with what surrounds it
            ring = original[i, m][:, ~inside]
            level = float(np.median(ring)) if ring.size else 0.0
            here[:, inside] = level + 0.05 * rng.standard_normal((z, int(inside.sum())), dtype=np.float32)
        elif kind == 2:  # local contrast turned over
            level = here[:, inside].mean()
            here[:, inside] = 2 * level - here[:, inside] + rng.uniform(0.2, 0.6) * rng.choice([-1, 1])
        else:  # local shift
            shift = rng.integers(3, 7, 2) * rng.choice([-1, 1], 2)
            here[:, inside] = np.roll(original[i, m], tuple(shift), axis=(1, 2))[:, inside]
        change = np.abs(here[z // 2] - original[i, m, z // 2])
        visible = inside & (change > 0.1)
        if visible.sum() < 12:
            images[i, m] = original[i, m]
            return
        edited[i] = np.maximum(edited[i], visible)
