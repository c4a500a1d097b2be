"""Training batches of ConflictWorld: pairs of neighbouring slices, the same for every method.

A batch is a pure function of (seed, iteration). Its slices come in pairs (2i, 2i + 1) that lie on each other in one
patient and share all random changes, so that a loss can ask whether an answer holds through the volume.

Slices are drawn by what can be seen in them (a lesion, a disagreement), never by their label, so p(y | images) is that
of the world.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch

from entrust.slices import with_context
from training.augment import Batch
from training.benchmark.edits import Edit, contradict, smooth, unedited
from training.benchmark.store import Stored


@dataclass(frozen=True)
class Changes:
    """Random changes of a pair of slices.

    Attributes:
        size: Height and width of a crop in pixels.
        whole: Share of the batches that are whole planes, and as many fewer as they are larger: what is far from any
            lesion is seen there alone, and so is what no border is near.
        conflict_share: Share of the pairs from a case and a place where modalities disagree.
        all_modalities: Probability that no modality is left out; else a uniform draw over the other subsets.
        gain: Largest relative change of contrast.
        offset: Largest change of brightness.
        noise: Largest standard deviation of added noise.
        shading: Largest strength of a smooth shading.
        shift: Probability that one modality is displaced by up to two pixels.
        edit: Probability that one modality is made to contradict the others.
    """

    size: int = 48
    whole: float = 0.25
    conflict_share: float = 0.7
    all_modalities: float = 0.6
    gain: float = 0.2
    offset: float = 0.1
    noise: float = 0.08
    shading: float = 0.15
    shift: float = 0.2
    edit: float = 0.5


class PairSource:
    """Draws batches from stored cases.

    Args:
        cases: The training split.
        offsets: Context slices around the slice of interest.
        changes: Random changes.
        batch: Slices a batch; even.
        seed: Seed of the run.
    """

    def __init__(self, cases: Stored, *, offsets: tuple[int, ...], changes: Changes, batch: int, seed: int) -> None:
        self.cases, self.offsets, self.changes, self.batch, self.seed = cases, offsets, changes, batch, seed
        self.disputed = np.flatnonzero(np.asarray(cases.conflict).any(axis=(1, 2, 3)))
        m = cases.images.shape[1]
        self.subsets = [np.array(s, np.float32) for s in product((0, 1), repeat=m) if 0 < sum(s) < m]

    def __call__(self, iteration: int) -> Batch:
        """Return the batch of one iteration."""
        rng = np.random.default_rng([self.seed, iteration])
        size, pairs = self.changes.size, self.batch // 2
        if rng.random() < self.changes.whole:
            plane = min(self.cases.label.shape[-2:])
            size, pairs = plane, max(1, pairs * size**2 // plane**2)
        drawn = [self._pair(rng, size) for _ in range(pairs)]
        images, label, edited, shown, presence = (np.concatenate(part) for part in zip(*drawn, strict=True))
        return Batch(
            images=torch.from_numpy(images * presence),
            presence=torch.from_numpy(presence.copy()),
            label=torch.from_numpy(label.astype(np.int64)),
            edited=torch.from_numpy(edited),
            shown=torch.from_numpy(shown),
        )

    def _pair(
        self, rng: np.random.Generator, size: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Draw two neighbouring slices: images [2, m, z, s, s], label and edited [2, s, s], shown [2, m, s, s],
        presence as images.
        """
        cfg = self.changes
        disputed = len(self.disputed) and rng.random() < cfg.conflict_share
        n = int(self.disputed[rng.integers(len(self.disputed))] if disputed else rng.integers(len(self.cases.label)))
        label = np.asarray(self.cases.label[n])
        target = np.asarray(self.cases.conflict[n]) if disputed else label > 0
        depth, height, width = label.shape
        occupied = np.flatnonzero(target.any(axis=(1, 2))) if target.any() else np.arange(depth)
        first = int(np.clip(rng.choice(occupied) - rng.integers(2), 0, max(depth - 2, 0)))
        at = np.minimum([first, first + 1], depth - 1)
        rows, columns = np.nonzero(target[at].any(axis=0))
        pick = rng.integers(rows.size) if rows.size else 0
        centre = (rows[pick], columns[pick]) if rows.size else (height // 2, width // 2)
        jitter = size // 4
        top, left = (
            int(np.clip(c - size // 2 + rng.integers(-jitter, jitter + 1), 0, full - size))
            for c, full in zip(centre, (height, width), strict=True)
        )
        window = np.s_[..., top : top + size, left : left + size]
        images = with_context(np.asarray(self.cases.images[n][window], dtype=np.float32), at, self.offsets)
        upside_down = rng.random() < 0.5
        if upside_down:
            images = images[:, :, ::-1]
        stack = np.ascontiguousarray(images)
        cut = label[at][window]
        m = images.shape[1]
        keep = np.ones(m, np.float32)
        if rng.random() >= cfg.all_modalities:
            keep = self.subsets[rng.integers(len(self.subsets))]
        stack, edit = self._recolour(rng, stack, cut, keep > 0)
        turns, mirror = int(rng.integers(4)), rng.random() < 0.5

        def turn(x: np.ndarray) -> np.ndarray:
            x = np.rot90(x, turns, axes=(-2, -1))
            return np.ascontiguousarray(x[..., ::-1] if mirror else x)

        presence = with_context(np.ones((m, depth, 1, 1), np.float32), at, self.offsets) * keep[:, None, None, None]
        presence = np.broadcast_to(presence[:, :, ::-1] if upside_down else presence, stack.shape)
        return turn(stack), turn(cut), turn(edit.where), turn(edit.shown), presence

    def _recolour(
        self, rng: np.random.Generator, x: np.ndarray, label: np.ndarray, usable: np.ndarray
    ) -> tuple[np.ndarray, Edit]:
        """Change contrast, brightness, shading, noise, alignment of [2, m, z, s, s]; and make modalities disagree."""
        cfg, (_, m, _, size, _) = self.changes, x.shape
        shape = (1, m, 1, 1, 1)
        x = x * rng.uniform(1 - cfg.gain, 1 + cfg.gain, shape) + rng.uniform(-cfg.offset, cfg.offset, shape)
        fields = np.stack([smooth(rng, size, 3) for _ in range(m)])[None, :, None]
        x = x * (1.0 + cfg.shading * rng.random(shape) * fields)
        if rng.random() < cfg.shift:
            victim, (dy, dx) = int(rng.integers(m)), rng.integers(-2, 3, 2)
            x[:, victim] = np.roll(x[:, victim], (dy, dx), axis=(-2, -1))
        edit = contradict(rng, x, label, usable) if rng.random() < cfg.edit else unedited(label, m)
        noise = cfg.noise * rng.random(shape) ** 2
        x = x + noise * rng.standard_normal(x.shape, dtype=np.float32)
        return x.astype(np.float32), edit
