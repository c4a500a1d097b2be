"""Small prepared cases of noise: enough for the networks to answer, too little to mean anything."""

import numpy as np

from entrust.contract import Task
from entrust.volume import Grid, Volume
from service.study import Case, Series


def small_case(
    task: Task,
    *,
    shape: tuple[int, int, int] = (7, 40, 52),
    seed: int = 0,
    missing: tuple[str, ...] = (),
    empty: tuple[int, ...] = (),
) -> Case:
    """Return a case of random images.

    Args:
        task: The task.
        shape: Voxels (depth, row, column); need not be multiples of anything.
        seed: Seed of the noise.
        missing: Modalities that the study lacks.
        empty: Slices in which nothing was acquired.
    """
    generator = np.random.default_rng(seed)
    grid = Grid.axial(shape, task.spacing_mm, (0.0, 0.0, 0.0))
    presence = np.ones((task.num_modalities, *shape), dtype=bool)
    presence[-1, : shape[0] // 3] = False  # the last modality covers part of the volume
    presence[:, list(empty)] = False
    for slug in missing:
        presence[task.slugs.index(slug)] = False
    images = generator.standard_normal(presence.shape).astype(np.float32) * presence
    used = {
        slug: Series("", "", "", "", Volume(images[i], grid), "arbitrary", role=slug)
        for i, slug in enumerate(task.slugs)
        if slug not in missing
    }
    return Case(task, grid, images, presence, images, used, next(iter(used.values())), missing)
