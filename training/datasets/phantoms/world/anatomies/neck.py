"""A neck in axial slices, and a thigh for whoever has only seen necks."""

import numpy as np

from training.datasets.phantoms.world.domain import Anatomy
from training.datasets.phantoms.world.space import Space

TISSUES = ("air", "fat", "muscle", "bone", "marrow", "cord", "gland", "vessel", "mucosa")
AIR, FAT, MUSCLE, BONE, MARROW, CORD, GLAND, VESSEL, MUCOSA = range(9)


def neck_or_thigh(rng: np.random.Generator, space: Space, unseen: bool) -> Anatomy:
    """Draw a neck; a thigh where the anatomy shall be unseen."""
    return anatomy_of_tissues(space, _thigh(rng, space) if unseen else _neck(rng, space))


def anatomy_of_tissues(space: Space, tissues: np.ndarray) -> Anatomy:
    """Return a body part with the zones that lesions keep to: ``soft`` tissue, and the ``body`` (anything but air)."""
    soft = (tissues == MUSCLE) | (tissues == FAT) | (tissues == GLAND) | (tissues == MUCOSA) | (tissues == VESSEL)
    return Anatomy(tissues, TISSUES, {"soft": space.distance_mm(soft), "body": space.distance_mm(tissues != AIR)})


def _neck(rng: np.random.Generator, space: Space) -> np.ndarray:
    z, y, x = space.coordinates
    width, length = rng.uniform(68, 78), rng.uniform(74, 84)
    skin = (1 - np.hypot(x / (width * (1 + 0.08 * y / length)), y / length) + 0.02 * space.field(rng, 40)) * width
    tissues = np.full(space.shape, AIR, dtype=np.uint8)
    fat = rng.uniform(5, 10)
    tissues[skin > 0] = FAT
    planes = np.abs(space.field(rng, (30, 15, 15))) > 0.16  # fat between the muscles
    tissues[(skin > fat + 2 * space.field(rng, 30)) & planes] = MUSCLE
    side = np.abs(x)

    jaw = np.hypot(x / rng.uniform(43, 49), (y + 12) / rng.uniform(46, 52)) + 0 * z
    mandible = (np.abs(jaw - 1) < 0.10) & (y < 6 + 0.4 * z)
    tissues[mandible] = BONE
    tissues[mandible & (np.abs(jaw - 1) < 0.04)] = MARROW
    tongue = (jaw < 0.78) & (y < -6 + 3 * space.field(rng, 25))
    tissues[tongue] = MUSCLE
    parotid = (np.hypot((side - 48) / 12, (y - 12) / 17) < 1 + 0.15 * space.field(rng, 15)) & (skin > 4)
    tissues[parotid] = GLAND
    airway = np.hypot(x / rng.uniform(9, 13), (y - rng.uniform(2, 6)) / rng.uniform(5, 8)) + 0.1 * space.field(rng, 25)
    tissues[airway < 1.5] = MUCOSA
    tissues[airway < 1] = AIR

    spine = rng.uniform(30, 34)
    body = np.hypot(x / 13, (y - spine) / 10) + 0 * z
    tissues[body < 1] = BONE
    tissues[body < 0.78] = MARROW
    canal = np.hypot(x / 10, (y - spine - 19) / 8.5) + 0 * z
    arch = (
        (canal < 1.45)
        | ((side < 3) & (y > spine + 24) & (y < spine + 40))
        | (np.hypot((side - 19) / 7, (y - spine - 10) / 5) < 1)
    )
    tissues[np.broadcast_to(arch, space.shape)] = BONE
    tissues[canal < 1] = FAT
    tissues[canal < 0.7] = CORD
    for across, along, radius in ((27, 18, 4.5), (33, 25, 5.5)):  # carotid and jugular
        tissues[(np.hypot(side - across, y - along) + 0 * z) < radius * rng.uniform(0.85, 1.15)] = VESSEL
    return tissues


def _thigh(rng: np.random.Generator, space: Space) -> np.ndarray:
    z, y, x = space.coordinates
    width = rng.uniform(66, 78)
    skin = width - np.hypot(x, y * rng.uniform(0.92, 1.08)) + 2 * space.field(rng, 45) + 0 * z
    tissues = np.full(space.shape, AIR, dtype=np.uint8)
    tissues[skin > 0] = FAT
    planes = np.abs(space.field(rng, (60, 28, 28))) > 0.10
    tissues[(skin > rng.uniform(8, 18)) & planes] = MUSCLE
    femur = np.hypot(x - rng.uniform(-8, 8), y + rng.uniform(-4, 10)) + 0 * z
    tissues[femur < 14] = BONE
    tissues[femur < 7.5] = MARROW
    tissues[(np.hypot(x + 26, y - 14) + 0 * z) < 5] = VESSEL
    return tissues
