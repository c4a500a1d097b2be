"""How the undisputed lesion grows: one function per disease, signed distances out."""

import numpy as np
from jaxtyping import Float

from training.datasets.phantoms.world.anatomies import brain
from training.datasets.phantoms.world.domain import Anatomy, Lesion
from training.datasets.phantoms.world.space import Space


def _seed(rng: np.random.Generator, space: Space, zone: np.ndarray, deep_mm: float) -> tuple[float, float, float]:
    """Return a place well inside a zone, near the middle slice."""
    middle = np.abs(space.coordinates[0]) <= max(0.3 * space.shape[0] * space.spacing_mm[0], 0.1)
    for depth in (deep_mm, 0.5 * deep_mm, 0.0):
        place = space.pick(rng, (zone < -depth) & middle)
        if place is not None:
            return place
    return 0.0, 0.0, 0.0


def glioma(rng: np.random.Generator, space: Space, anatomy: Anatomy) -> Lesion:
    """Grow a glioma by reaction and diffusion: whole tumour, core, enhancing rim around a necrotic centre.

    Fisher's equation ∂u/∂t = ∇·(D∇u) + ρu(1 - u), with D in white matter five times that in grey and none in fluid,
    on a lattice of half the in-plane resolution. A travelling front is logistic, so its logit is a distance in units of
    the front's width; the structures are level sets of it, hence nested.

    Source: Swanson et al. 2000, A quantitative model for differential motility of gliomas in grey and white matter.
    """
    coarse = anatomy.tissues[:, ::2, ::2]
    mobility = np.where(coarse == brain.WHITE, 1.0, np.where(coarse >= brain.GREY, 0.2, 0.0))
    mobility = np.minimum(
        mobility * np.exp(0.5 * space.field(rng, 14)[:, ::2, ::2]), 1.2
    )  # stable below 1 / (6 · 0.13)
    centre = _seed(rng, space, anatomy.zones["white"], 2.0)
    start = space.ellipsoid_mm(centre, (6, 5, 5))[:, ::2, ::2]
    u = np.where(mobility > 0, np.clip(0.5 - start / 4, 0, 1), 0.0)
    faces = [_faces(mobility, axis) for axis in (0, 1, 2)]
    for _ in range(int(rng.integers(16, 36))):
        change = 0.30 * u * (1 - u)
        for axis, face in enumerate(faces):
            if u.shape[axis] > 1:
                flux = 0.13 * face * np.diff(u, axis=axis)
                change += np.diff(flux, axis=axis, prepend=0.0, append=0.0)  # nothing leaves the lattice
        u = u + change
    front = np.log((1 - u + 1e-6) / (u + 1e-6)) * 2.2  # mm, to first order
    front = np.repeat(np.repeat(front, 2, 1), 2, 2)[:, : space.shape[1], : space.shape[2]]
    front = space.blur(front, 4.0)

    share = rng.uniform(0.25, 0.5)  # of the whole tumour that is core
    reach = rng.uniform(11, 18)
    core_mm = space.ellipsoid_mm(centre, (1.1 * reach, reach, reach)) + 1.6 * space.field(rng, 10)
    whole = np.maximum(front + 1.2 * space.field(rng, 12), anatomy.zones["parenchyma"] - 1)
    core = np.maximum(np.maximum(core_mm, whole + 6 * share), anatomy.zones["parenchyma"] - 1)
    rim = rng.uniform(3.5, 6.5)
    necrosis = core + rim + 1.5 * space.field(rng, 9)
    enhancing = np.maximum(core + 0.6, -necrosis)
    soft = rng.uniform(3.0, 6.0)
    return Lesion(np.stack([whole, core, enhancing]), (soft, 2.0, 2.0))


def _faces(mobility: np.ndarray, axis: int) -> np.ndarray:
    """Return the harmonic mean of neighbours: nothing crosses into fluid."""
    n = mobility.shape[axis]
    a, b = np.take(mobility, range(n - 1), axis), np.take(mobility, range(1, n), axis)
    return np.asarray(2 * a * b / np.maximum(a + b, 1e-9))


def infarct(rng: np.random.Generator, space: Space, anatomy: Anatomy) -> Lesion:
    """Return an infarct: a rough ball, or a wedge that widens to the cortex, that stops at fluid."""
    parenchyma = anatomy.zones["parenchyma"]
    centre = _seed(rng, space, parenchyma, 2.5)
    radius = float(np.exp(rng.uniform(np.log(10), np.log(27))))
    ball = space.ellipsoid_mm(
        centre,
        (max(0.8 * radius, 7.0), radius * rng.uniform(1.0, 1.5), radius * rng.uniform(0.7, 1.0)),
        rng.uniform(0, np.pi),
    )
    if rng.random() < 0.4:  # a territory: between two rays from the middle of the brain
        _, y, x = space.coordinates
        towards = np.arctan2(centre[1], centre[2])
        aside = np.abs((np.arctan2(y, x) - towards + np.pi) % (2 * np.pi) - np.pi)
        ball = np.maximum(ball, (aside - rng.uniform(0.25, 0.6)) * np.hypot(y, x))
    rough = ball + 0.12 * radius * space.field(rng, 9) + 1.0 * space.field(rng, 5)
    soft = rng.uniform(2.0, 5.0)
    return Lesion(np.maximum(rough, parenchyma)[None], (soft,))


def scar(rng: np.random.Generator, space: Space, anatomy: Anatomy) -> Lesion:
    """Return myocardium, oedema and scar: a wave front of death from the endocardium outwards, oedema around it.

    Source: Reimer & Jennings 1979, the wavefront phenomenon of myocardial ischemic cell death.
    """
    z, y, x = space.coordinates
    wall, endo = anatomy.zones["myocardium"], anatomy.zones["endocardium"]
    thickness = endo - anatomy.zones["epicardium"]
    centre, half = rng.uniform(0, 2 * np.pi), rng.uniform(0.35, 0.8)
    radius = np.hypot(y, x)
    aside = np.abs((np.arctan2(y, x) - centre + 0.01 * z + np.pi) % (2 * np.pi) - np.pi)
    reach = half - 0.006 * np.abs(z - rng.uniform(-8, 8))
    front = rng.uniform(0.35, 1.05) * thickness * np.cos(np.clip(aside / np.maximum(reach, 0.1), 0, 1) * np.pi / 2.6)
    rough = 0.9 * space.field(rng, 7)
    dead = np.maximum(np.maximum((aside - reach) * radius, endo - front), wall) + rough
    swollen = np.maximum((aside - reach - rng.uniform(0.08, 0.30)) * radius, wall) + 0.9 * space.field(rng, 9)
    swollen = np.maximum(np.minimum(swollen, dead), wall)
    return Lesion(np.stack([wall, swollen, np.maximum(dead, wall)]), (1.5, 3.0, 2.0))


def carcinoma(rng: np.random.Generator, space: Space, anatomy: Anatomy) -> Lesion:
    """Return a primary tumour: a union of lobes in soft tissue."""
    soft_tissue = anatomy.zones["soft"]
    centre = _seed(rng, space, soft_tissue, 5.0)
    radius = float(np.exp(rng.uniform(np.log(12), np.log(25))))
    field: Float[np.ndarray, "d h w"] = np.full(space.shape, np.inf)
    for lobe in range(int(rng.integers(1, 4))):
        size = radius if lobe == 0 else radius * rng.uniform(0.5, 0.8)
        away = np.zeros(3) if lobe == 0 else rng.normal(0, 0.55 * radius, 3)
        radii = (max(size, 7.0), size * rng.uniform(0.8, 1.25), size * rng.uniform(0.8, 1.25))
        field = np.minimum(
            field, space.ellipsoid_mm([c + a for c, a in zip(centre, away, strict=True)], radii, rng.uniform(0, np.pi))
        )
    rough = field + 0.10 * radius * space.field(rng, 10) + 0.6 * space.field(rng, 5)
    return Lesion(np.maximum(rough, anatomy.zones["body"])[None], (rng.uniform(2.0, 5.0),))
