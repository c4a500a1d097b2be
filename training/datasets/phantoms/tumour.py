"""A sarcoma-like mass: lobes, hot rim, cold core, and one place where PET and MR disagree."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from entrust.volume import Grid
from training.datasets.phantoms.anatomy import Maps, Tissue, paint
from training.datasets.phantoms.fields import Coordinates, blur, inside, inside_distance_mm, smooth_noise

ConflictKind = Literal["pet-only", "mr-only"]

LABEL_PROBABILITY: dict[ConflictKind, float] = {"pet-only": 0.5, "mr-only": 0.65}
"""How often a reader counts such a place as tumour: the honest ambiguity that a calibrated model must state."""


@dataclass(frozen=True)
class Growth:
    """What is drawn once per tumour.

    Attributes:
        volume_ml: Volume aimed at.
        elongation: Ratio of the extent along the limb to the extent across.
        rim_suv: Uptake of living tumour.
        core_suv: Uptake of the dead or myxoid core.
        cold_share: Share of the volume that is core.
        hu: CT number of living tumour; the core is ``core_hu_offset`` away.
        t1: T1 signal of living tumour relative to muscle; the core is ``core_t1_factor`` of it.
        haemorrhage: Whether blood has made part of the core bright on T1.
    """

    volume_ml: float
    elongation: float
    rim_suv: float
    core_suv: float
    cold_share: float
    hu: float
    core_hu_offset: float
    t1: float
    core_t1_factor: float
    haemorrhage: bool

    @property
    def radius_mm(self) -> float:
        """Radius across the limb of an ellipsoid of this volume."""
        return float((3 * self.volume_ml * 1000 / (4 * np.pi * self.elongation)) ** (1 / 3))


def draw_growth(rng: np.random.Generator) -> Growth:
    """Draw a tumour like those of the 40 real patients: 25 to 1200 ml, a core from nearly none to nearly all."""
    return Growth(
        volume_ml=float(np.exp(rng.uniform(np.log(25), np.log(1200)))),
        elongation=rng.uniform(1.0, 1.8),
        rim_suv=float(np.clip(np.exp(rng.normal(np.log(6.0), 0.5)), 2.2, 20.0)),
        core_suv=rng.uniform(0.5, 1.6),
        cold_share=rng.beta(1.1, 1.6),
        hu=rng.uniform(28, 50),
        core_hu_offset=rng.uniform(-22, -4),
        t1=rng.uniform(0.88, 1.15),
        core_t1_factor=rng.uniform(0.72, 1.02),
        haemorrhage=bool(rng.random() < 0.2),
    )


def grow(
    rng: np.random.Generator,
    grid: Grid,
    at: Coordinates,
    centre_mm: tuple[float, float, float],
    growth: Growth,
    allowed: Bool[np.ndarray, "d h w"],
) -> Bool[np.ndarray, "d h w"]:
    """Return the mass: a union of lobes with an uneven surface, inside ``allowed``, of about the volume aimed at."""
    radius = growth.radius_mm
    field = np.full(grid.shape, np.inf, dtype=np.float32)
    for lobe in range(int(rng.integers(1, 5))):
        size = 1.0 if lobe == 0 else rng.uniform(0.45, 0.8)
        shift = np.zeros(3) if lobe == 0 else rng.normal(0, 0.5, 3) * radius * (growth.elongation, 1, 1)
        stretch = rng.uniform(0.8, 1.25)
        dz, dy, dx = (axis - c - s for axis, c, s in zip(at, centre_mm, shift, strict=True))
        turn, tilt = rng.uniform(0, np.pi), rng.uniform(-0.25, 0.25)
        along, across = dx * np.cos(turn) + dy * np.sin(turn) + tilt * dz, dy * np.cos(turn) - dx * np.sin(turn)
        reach = np.sqrt((dz / growth.elongation) ** 2 + (along / stretch) ** 2 + (across * stretch) ** 2)
        field = np.minimum(field, (reach - size * radius) / radius)
    rough = 0.08 * smooth_noise(rng, grid, max(0.6 * radius, 12)) + 0.03 * smooth_noise(rng, grid, 9)
    field = np.where(allowed, field + rough, np.inf)
    # The level that encloses the volume aimed at; what the bone and skin took away grows elsewhere, within reason.
    voxels = int(growth.volume_ml / grid.voxel_volume_ml)
    level = float(np.partition(field.ravel(), min(voxels, field.size - 1))[min(voxels, field.size - 1)])
    return np.asarray(field < min(level, 0.6))


def paint_tumour(
    rng: np.random.Generator, grid: Grid, maps: Maps, mass: Bool[np.ndarray, "d h w"], growth: Growth
) -> None:
    """Paint the mass into the maps, in place: living rim, core, texture."""
    depth_mm = inside_distance_mm(mass, grid)
    scale_mm = max(0.55 * growth.radius_mm, 10.0)
    # Deep tissue starves first, but not evenly: the core is where depth plus chance is highest.
    hunger = depth_mm / max(float(depth_mm.max()), 1.0) + 0.28 * smooth_noise(rng, grid, scale_mm)
    threshold = np.quantile(hunger[mass], 1 - growth.cold_share) if mass.any() else 1.0
    core = blur(((hunger > threshold) & mass).astype(np.float32), grid, 4.0)
    texture, mottle = smooth_noise(rng, grid, 12), smooth_noise(rng, grid, scale_mm)
    share = blur(mass.astype(np.float32), grid, 2.0)

    living = np.exp(0.25 * texture + 0.25 * mottle)
    values = (
        growth.hu + core * growth.core_hu_offset + 3 * texture + 4 * mottle,
        np.clip(growth.rim_suv * living, 0.5, 25.0) * (1 - core) + core * growth.core_suv,
        growth.t1 * (1 + core * (growth.core_t1_factor - 1)) * (1 + 0.03 * texture + 0.04 * mottle),
    )
    for channel, value in zip(maps, values, strict=True):
        channel += share * (value - channel)
    if growth.haemorrhage:
        clot = inside(-10 * (smooth_noise(rng, grid, scale_mm) - 1.2)) * core * share
        maps[0] += 15 * clot
        maps[2] += clot * rng.uniform(0.4, 1.0)


def add_conflict(
    rng: np.random.Generator,
    grid: Grid,
    maps: Maps,
    at: Coordinates,
    mass: Bool[np.ndarray, "d h w"],
    allowed: Bool[np.ndarray, "d h w"],
    growth: Growth,
    kind: ConflictKind,
) -> Bool[np.ndarray, "d h w"]:
    """Put a lobe beside the mass that PET and MR see differently, and return where it is.

    ``pet-only``: hot like the rim, while MR and CT show untouched muscle (inflammation, or early spread).
    ``mr-only``: unlike muscle on MR and CT, while PET is as cold as muscle (a myxoid lobe, or oedema).

    Args:
        rng: Source of randomness.
        grid: The grid.
        maps: HU, SUV, T1; changed in place.
        at: The voxels' positions.
        mass: The undisputed tumour.
        allowed: Where it may lie: muscle, not bone.
        growth: The tumour.
        kind: Which modality sees it.
    """
    gap_mm = inside_distance_mm(~mass, grid)
    lobe_mm = float(np.clip(rng.uniform(0.45, 0.75) * growth.radius_mm, 11.0, 25.0))
    # Its centre: just outside the surface, where there is room.
    room = allowed & (gap_mm > 0.45 * lobe_mm) & (gap_mm < 0.75 * lobe_mm) & _away_from_border(grid, lobe_mm)
    candidates = np.argwhere(room)
    if candidates.size == 0:
        return np.zeros_like(mass)
    d, h, w = candidates[rng.integers(len(candidates))]
    squares = sum(((axis - axis[d, h, w]) / s) ** 2 for axis, s in zip(at, rng.uniform(0.85, 1.25, 3), strict=True))
    ragged = np.sqrt(squares) + 1.5 * smooth_noise(rng, grid, 12)
    lobe = (ragged < lobe_mm) & allowed & ~mass
    share = blur(lobe.astype(np.float32), grid, 2.0)
    if kind == "pet-only":
        maps[1] += share * (max(growth.rim_suv * rng.uniform(0.6, 1.0), 3.0) - maps[1])
    else:
        seen = Tissue(
            hu=rng.uniform(8, 24),
            suv=rng.uniform(0.5, 0.9),
            t1=rng.uniform(0.5, 0.68) if rng.random() < 0.6 else rng.uniform(1.45, 1.9),
        )
        paint(maps, share, seen)
    return np.asarray(lobe)


def _away_from_border(grid: Grid, margin_mm: float) -> Bool[np.ndarray, "d h w"]:
    allowed = np.zeros(grid.shape, dtype=bool)
    margins = [int(np.ceil(margin_mm / step)) for step in grid.spacing_mm]
    allowed[tuple(slice(m, -m) for m in margins)] = True
    return allowed


def add_mimic(
    rng: np.random.Generator,
    grid: Grid,
    maps: Float[np.ndarray, "3 d h w"],
    at: Coordinates,
    forbidden: Bool[np.ndarray, "d h w"],
) -> None:
    """Paint something hot that is no tumour, in place: urine near the upper end, a joint, or a reactive node."""
    inside_body = maps[0] > -300
    far = inside_distance_mm(~forbidden, grid) > 25
    candidates = np.argwhere(inside_body & far)
    if candidates.size == 0:
        return
    d, h, w = candidates[rng.integers(len(candidates))]
    size_mm, tissue = [
        (rng.uniform(14, 24), Tissue(hu=6.0, suv=rng.uniform(6, 20), t1=0.55)),  # urine
        (rng.uniform(10, 18), Tissue(hu=45.0, suv=rng.uniform(1.8, 3.0), t1=0.85)),  # an inflamed joint
        (rng.uniform(5, 8), Tissue(hu=40.0, suv=rng.uniform(2.0, 4.0), t1=0.95)),  # a reactive node
    ][int(rng.integers(3))]
    squares = sum((axis - axis[d, h, w]) ** 2 for axis in at)
    ball = inside(np.sqrt(squares) - size_mm + 1.5 * smooth_noise(rng, grid, 12))
    paint(maps, ball * inside_body * (maps[0] < 150) * ~forbidden, tissue)
