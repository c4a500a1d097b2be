"""A heart in short-axis slices: two ventricles, lungs, liver, chest wall; the left ventricle at the origin."""

import numpy as np
from jaxtyping import Bool, Float

from training.datasets.phantoms.world.domain import Anatomy
from training.datasets.phantoms.world.space import Space

TISSUES = ("lung", "fat", "muscle", "liver", "blood", "myocardium")
LUNG, FAT, MUSCLE, LIVER, BLOOD, MYOCARDIUM = range(6)


def heart(rng: np.random.Generator, space: Space, unseen: bool) -> Anatomy:
    """Draw a heart, base to apex; an unseen one is dilated, with a thin wall."""
    z, y, x = space.coordinates
    inner = rng.uniform(25, 29) if unseen else rng.uniform(17, 23)
    wall = rng.uniform(6.0, 7.5) if unseen else rng.uniform(9.0, 12.5)
    taper = 1 - 0.006 * (z - z.min()) - 0.00004 * (z - z.min()) ** 2  # towards the apex
    angle = np.arctan2(y, x) + 0 * z
    radius = np.hypot(y, x * rng.uniform(0.93, 1.07)) + 0 * z
    wobble = 1 + 0.025 * space.field(rng, (30, 22, 22))
    endo_mm = radius - inner * taper * wobble
    uneven = 0.12 * np.cos(angle - rng.uniform(0, 6.28)) + 0.06 * np.cos(2 * angle - rng.uniform(0, 6.28))
    thickness = wall * (1 + uneven)
    epi_mm = endo_mm - thickness
    papillary = np.zeros(space.shape, dtype=bool)
    for at in (rng.uniform(0.3, 0.9), rng.uniform(2.1, 2.8)):
        dy, dx = y - 0.68 * inner * taper * np.sin(at), x - 0.68 * inner * taper * np.cos(at)
        papillary |= np.hypot(dy, dx) < rng.uniform(2.4, 3.4)

    # The right ventricle lies against the septum, to the reader's left.
    tilt = rng.uniform(-0.35, 0.1)
    u, v = -x * np.cos(tilt) - y * np.sin(tilt), y * np.cos(tilt) - x * np.sin(tilt)
    outer = inner + wall
    right_mm = np.hypot(u - 0.95 * outer, v / 1.25) - 0.98 * outer * taper
    return anatomy_of_surfaces(rng, space, endo_mm, epi_mm, right_mm, papillary)


def anatomy_of_surfaces(
    rng: np.random.Generator,
    space: Space,
    endo_mm: Float[np.ndarray, "d h w"],
    epi_mm: Float[np.ndarray, "d h w"],
    right_mm: Float[np.ndarray, "d h w"],
    papillary: Bool[np.ndarray, "d h w"],
) -> Anatomy:
    """Return a heart in its chest, with the zones that lesions keep to.

    Zones: ``myocardium`` (of the left ventricle), ``endocardium`` and ``epicardium`` (what they enclose), ``cavity``
    (the right ventricle's).

    Args:
        rng: Source of randomness, for the surroundings.
        space: The lattice.
        endo_mm: Signed distance to the left ventricle's endocardium, negative inside.
        epi_mm: The same to its epicardium.
        right_mm: The same to the right ventricle's endocardium.
        papillary: Where papillary muscles are, inside the left ventricle.
    """
    _, y, x = space.coordinates
    tissues = np.full(space.shape, LUNG, dtype=np.uint8)
    chest_mm = y + rng.uniform(44, 50) + 0.35 * x + 0.004 * x**2 + 1.5 * space.field(rng, 50)
    tissues[chest_mm < 0] = FAT
    tissues[(chest_mm < -4) & (chest_mm > -13 + 2 * space.field(rng, 20))] = MUSCLE
    liver_mm = y - 0.45 * x - rng.uniform(40, 46) + 3 * space.field(rng, 45)
    tissues[liver_mm > 0] = LIVER
    right_wall_mm = right_mm - 3.5
    pericardial = np.minimum(epi_mm, right_wall_mm) - (1.5 + 2.5 * np.abs(space.field(rng, 18)))
    tissues[pericardial < 0] = FAT
    tissues[right_wall_mm < 0] = MUSCLE
    tissues[right_mm < 0] = BLOOD
    tissues[epi_mm < 0] = MYOCARDIUM
    tissues[endo_mm < 0] = BLOOD
    tissues[papillary & (endo_mm < -1)] = MYOCARDIUM
    wall_mm = np.maximum(epi_mm, -endo_mm)
    return Anatomy(
        tissues,
        TISSUES,
        {"myocardium": wall_mm, "endocardium": endo_mm, "epicardium": epi_mm, "cavity": right_mm},
    )
