"""A head in axial slices: folded cortex, white matter, ventricles, deep grey matter; with or without its skull."""

from functools import partial

import numpy as np
from jaxtyping import Float

from training.datasets.phantoms.world.domain import Anatomy, AnatomyMaker
from training.datasets.phantoms.world.space import Space

TISSUES = ("air", "skin", "bone", "csf", "grey", "white", "deep grey")
AIR, SKIN, BONE, CSF, GREY, WHITE, DEEP = range(7)


def brain(*, skull: bool) -> AnatomyMaker:
    """Return the maker of heads; without skull they are cut out as in BraTS."""
    return partial(_head, skull)


def _head(skull: bool, rng: np.random.Generator, space: Space, unseen: bool) -> Anatomy:
    """Draw a head; an unseen one is old: wide ventricles, deep sulci, thin cortex."""
    z, y, x = space.coordinates
    width, length = rng.uniform(60, 67), rng.uniform(76, 84)
    atrophy = rng.uniform(1.35, 1.7) if unseen else rng.uniform(0.75, 1.15)
    height = rng.uniform(-4, 18)  # of the middle slice above the ventricles' roof
    shrink = np.sqrt(np.clip(1 - ((z + height) / 95) ** 2, 0.3, 1))
    turn = rng.normal(0, 0.06)
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    u = np.abs(u) + 0 * z  # left and right are alike
    v = v - rng.uniform(-3, 3)
    wobble = 1 + 0.02 * space.field(rng, 45)
    # The occiput is wider than the forehead.
    taper = 1 + 0.09 * v / length
    depth = (1 - np.hypot(u / (width * taper), v / length) / (shrink * wobble)) * width  # mm below the brain's surface

    tissues = np.full(space.shape, AIR, dtype=np.uint8)
    if skull:
        tissues[depth > -12] = SKIN
        tissues[depth > -7.5] = BONE
        tissues[depth > -2.5] = CSF
    inside = depth > 0
    tissues[inside] = GREY
    # Sulci follow the zeros of a random field; the cortex follows the sulci.
    folds = np.abs(space.field(rng, (14, 9.5, 9.5)) + 0.3 * space.field(rng, (12, 6, 6)))
    reach = np.clip(16 - 0.5 * np.abs(depth - 8), 3, 16)
    ribbon = 4.5 - 1.2 * atrophy + reach * np.exp(-((folds / 0.50) ** 2))
    tissues[depth > ribbon] = WHITE
    sulci = (depth < 0.9 * reach * atrophy * np.exp(-((folds / (0.19 * atrophy)) ** 2))) & inside
    fissure = (u < 0.8 + 0.6 * atrophy) & (np.abs(v) > 0.45 * length) & inside
    tissues[sulci | fissure | (inside & (depth < 1.0 * atrophy))] = CSF

    level = np.clip(1 - ((z + height) / 34) ** 2, 0.05, 1)  # the ventricles' size in this slice
    for across, along, radius_u, radius_v, tissue in (
        (23.0, 4.0, 7.0, 19.0, DEEP),  # putamen
        (9.5, 8.0, 7.0, 9.5, DEEP),  # thalamus
        (12.0, -15.0, 5.0, 10.0, DEEP),  # caudate
    ):
        near = np.hypot((u - across) / radius_u, (v - along) / radius_v) < 1.2 * level - 0.25
        tissues[near & inside] = tissue
    horn = np.hypot((u - 6.0 * atrophy - 0.10 * np.abs(v)) / (4.4 * atrophy), (v + 2) / (27 * np.sqrt(atrophy)))
    trigone = np.hypot((u - 15.0) / (5.5 * atrophy), (v - 24) / (8.5 * atrophy))
    third = np.hypot(u / (1.8 * atrophy), (v - 6) / 11)
    ventricle = (np.minimum(horn, trigone) < np.sqrt(level)) | ((third < 1) & (z + height < -6))
    tissues[ventricle & inside] = CSF
    return anatomy_of_tissues(space, tissues, TISSUES)


def anatomy_of_tissues(space: Space, tissues: np.ndarray, names: tuple[str, ...]) -> Anatomy:
    """Return a brain with the zones that lesions keep to.

    Zones: ``parenchyma`` (grey or white), ``white`` (white matter), ``head`` (anything but air).
    """
    parenchyma = space.distance_mm(tissues >= GREY)
    zones: dict[str, Float[np.ndarray, "d h w"]] = {
        "parenchyma": parenchyma,
        "white": space.distance_mm((tissues == WHITE) | (tissues == DEEP)),
        "head": space.distance_mm(tissues >= CSF),
    }
    return Anatomy(tissues, names, zones)
