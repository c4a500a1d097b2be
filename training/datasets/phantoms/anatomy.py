"""A healthy limb: skin, fat, muscles between fasciae, bone with marrow, vessels; sometimes the other leg beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from entrust.volume import Grid
from training.datasets.phantoms.fields import Coordinates, inside, smooth_noise


class Tissue(NamedTuple):
    """What the three scanners see of one tissue.

    Attributes:
        hu: CT number.
        suv: FDG uptake.
        t1: T1-weighted signal relative to muscle.
    """

    hu: float
    suv: float
    t1: float


TISSUES: Mapping[str, Tissue] = {
    "air": Tissue(-1000.0, 0.02, 0.0),
    "skin": Tissue(0.0, 0.5, 1.2),
    "fat": Tissue(-105.0, 0.25, 3.1),
    "fascia": Tissue(-60.0, 0.4, 2.6),
    "muscle": Tissue(55.0, 0.65, 1.0),
    "cortex": Tissue(1350.0, 0.35, 0.06),
    "marrow": Tissue(-40.0, 0.6, 2.8),
    "trabecula": Tissue(260.0, 0.9, 2.2),
    "vessel": Tissue(48.0, 1.5, 0.3),
    "fluid": Tissue(8.0, 1.0, 0.6),
}

Maps = Float[np.ndarray, "3 d h w"]  # HU, SUV, relative T1 signal: the fields of Tissue


def paint(maps: Maps, share: Float[np.ndarray, "d h w"], tissue: Tissue) -> None:
    """Lay a tissue over the maps, in place, with partial volume at its border."""
    for channel, value in zip(maps, tissue, strict=True):
        channel += share * (value - channel)


@dataclass(frozen=True)
class Bone:
    """A bone along the limb: position relative to the limb's axis, radius of the shaft and its cortex, in mm."""

    x_mm: float
    y_mm: float
    radius_mm: float
    cortex_mm: float


@dataclass(frozen=True)
class Limb:
    """The shape of one limb.

    Attributes:
        radius_mm: Mean radius of the skin.
        axis_mm: Position (x, y) of the axis at mid height, relative to the grid's middle.
        slope: Millimetres (x, y) that the axis moves per millimetre of height.
        taper: Relative growth of the radius from bottom to top.
        fat_mm: Mean thickness of the subcutaneous fat.
        bones: The bones.
        joint_side: +1 or −1 where a joint lies above or below, 0 where none is near.
    """

    radius_mm: float
    axis_mm: tuple[float, float]
    slope: tuple[float, float]
    taper: float
    fat_mm: float
    bones: tuple[Bone, ...]
    joint_side: int


def draw_limb(rng: np.random.Generator, *, least_radius_mm: float) -> Limb:
    """Draw a thigh, a lower leg or an arm that is wide enough for what shall grow in it."""
    kind = rng.choice(["thigh", "lower leg", "arm"], p=[0.6, 0.25, 0.15])
    if kind == "thigh":
        radius = rng.uniform(75, 100)
        bones: tuple[Bone, ...] = (_single_bone(rng, 0.2 * radius, (12, 16)),)
    elif kind == "lower leg":
        radius, side = rng.uniform(55, 72), rng.choice([-1, 1])
        bones = (
            Bone(side * 0.12 * radius, -0.45 * radius, rng.uniform(12, 15), rng.uniform(4, 6)),
            Bone(-side * 0.55 * radius, -0.1 * radius, rng.uniform(6, 8), 3.0),
        )
    else:
        radius = rng.uniform(48, 62)
        bones = (_single_bone(rng, 0.15 * radius, (9, 12)),)
    return Limb(
        radius_mm=max(radius, least_radius_mm),
        axis_mm=(0.0, 0.0),
        slope=(rng.uniform(-0.12, 0.12), rng.uniform(-0.15, 0.15)),
        taper=rng.uniform(-0.2, 0.35),
        fat_mm=float(np.exp(rng.uniform(np.log(5), np.log(24)))),
        bones=bones,
        joint_side=int(rng.choice([-1, 0, 1], p=[0.18, 0.64, 0.18])),
    )


def _single_bone(rng: np.random.Generator, off_axis_mm: float, radius_mm: tuple[float, float]) -> Bone:
    x, y = rng.uniform(-off_axis_mm, off_axis_mm, 2)
    radius = rng.uniform(*radius_mm)
    return Bone(float(x), float(y), radius, radius * rng.uniform(0.32, 0.42))


def render_limb(
    rng: np.random.Generator, grid: Grid, maps: Maps, limb: Limb, at: Coordinates, undeformed: Coordinates
) -> tuple[Bool[np.ndarray, "d h w"], Bool[np.ndarray, "d h w"]]:
    """Paint a limb into the maps.

    Args:
        rng: Source of randomness.
        grid: The grid.
        maps: HU, SUV, T1; changed in place.
        limb: Its shape.
        at: Where each voxel's soft tissue was before anything pushed it; mm.
        undeformed: The voxels' own positions: bone does not give way.

    Returns:
        Two masks: soft tissue inside the fascia, and bone.
    """
    half_height_mm = grid.shape[0] * grid.spacing_mm[0] / 2
    x, y = _across(limb, at)
    rho, theta = np.hypot(x, y), np.arctan2(y, x)
    outline = np.full_like(rho, limb.radius_mm) * (1 + limb.taper * at.z / (2 * half_height_mm))
    wave = np.zeros_like(rho)
    for order, amplitude in ((2, 0.07), (3, 0.035), (4, 0.02)):
        phase, twist = rng.uniform(0, 2 * np.pi), rng.uniform(-0.006, 0.006)
        wave += rng.uniform(0.3, 1) * amplitude * np.cos(order * theta + phase + twist * at.z)
    skin_mm = rho - outline * (1 + wave)
    fat_mm = limb.fat_mm * (1 + 0.5 * np.cos(theta + rng.uniform(0, 2 * np.pi)) + 0.15 * smooth_noise(rng, grid, 30))
    fascia_mm = skin_mm + np.maximum(fat_mm, 3.0)

    paint(maps, inside(skin_mm), TISSUES["skin"])
    paint(maps, inside(skin_mm + 2.0), TISSUES["fat"])
    septa = inside(np.abs(smooth_noise(rng, grid, (18, 9, 9))) * 20 - 1.0) * inside(skin_mm + 3) * 0.25
    paint(maps, septa, TISSUES["muscle"])
    _paint_muscles(rng, grid, maps, inside(fascia_mm), at, x / outline, y / outline, limb.radius_mm)
    _paint_vessels(rng, maps, limb, x, y, at.z)
    bone = _paint_bones(rng, grid, maps, limb, undeformed, half_height_mm)
    return fascia_mm < 0, bone


def _across(limb: Limb, at: Coordinates) -> tuple[Float[np.ndarray, "d h w"], Float[np.ndarray, "d h w"]]:
    return at.x - limb.axis_mm[0] - limb.slope[0] * at.z, at.y - limb.axis_mm[1] - limb.slope[1] * at.z


def _paint_muscles(
    rng: np.random.Generator,
    grid: Grid,
    maps: Maps,
    share: Float[np.ndarray, "d h w"],
    at: Coordinates,
    u: Float[np.ndarray, "d h w"],
    v: Float[np.ndarray, "d h w"],
    radius_mm: float,
) -> None:
    """Divide the space under the fascia into bellies: the cells of scattered points that drift with height."""
    count = int(rng.integers(8, 14))
    angles = np.sort(rng.uniform(0, 2 * np.pi, count))
    radii = np.sqrt(rng.uniform(0.08, 0.8, count))
    drift = rng.uniform(-0.003, 0.003, (count, 2))
    warped_u, warped_v = u + 0.05 * smooth_noise(rng, grid, 35), v + 0.05 * smooth_noise(rng, grid, 35)
    nearest = np.full(u.shape, np.inf, dtype=np.float32)
    second = nearest.copy()
    tone = np.zeros_like(nearest)
    for angle, radius, (du, dv) in zip(angles, radii, drift, strict=True):
        distance = np.hypot(
            warped_u - radius * np.cos(angle) - du * at.z, warped_v - radius * np.sin(angle) - dv * at.z
        ).astype(np.float32)
        closer = distance < nearest
        second = np.where(closer, nearest, np.minimum(second, distance))
        nearest = np.where(closer, distance, nearest)
        tone = np.where(closer, np.float32(rng.normal(0, 1)), tone)
    fibres = smooth_noise(rng, grid, (25, 4, 4))
    paint(maps, share, TISSUES["muscle"])
    maps[0] += share * (3 * tone + 3 * fibres)
    maps[1] *= 1 + share * (0.08 * tone + 0.12 * smooth_noise(rng, grid, 14))
    maps[2] *= 1 + share * (0.03 * tone + 0.05 * fibres)
    gap_mm = (second - nearest) * radius_mm
    width_mm = rng.uniform(1.2, 2.6) * (1 + 0.7 * smooth_noise(rng, grid, 30))
    seam = np.exp(-((gap_mm / np.maximum(width_mm, 0.6)) ** 2)) * rng.uniform(0.45, 0.9)
    streaks = np.clip(smooth_noise(rng, grid, (30, 4, 4)) - rng.uniform(1.6, 2.4), 0, 1) * 0.8
    paint(maps, share * np.maximum(seam, streaks), TISSUES["fascia"])


def _paint_vessels(
    rng: np.random.Generator,
    maps: Maps,
    limb: Limb,
    x: Float[np.ndarray, "d h w"],
    y: Float[np.ndarray, "d h w"],
    z: Float[np.ndarray, "d h w"],
) -> None:
    angle, radius = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.5) * limb.radius_mm
    winding = rng.uniform(-0.004, 0.004)
    for offset_mm, vessel_mm in ((0.0, rng.uniform(3.0, 4.5)), (7.0, rng.uniform(3.0, 5.0))):
        centre_x = radius * np.cos(angle + winding * z) + offset_mm
        centre_y = radius * np.sin(angle + winding * z)
        distance_mm = np.hypot(x - centre_x, y - centre_y) - vessel_mm
        paint(maps, inside(distance_mm - 2.5, 3.0) * 0.7, TISSUES["fat"])  # the sheath
        paint(maps, inside(distance_mm), TISSUES["vessel"])


def _paint_bones(
    rng: np.random.Generator, grid: Grid, maps: Maps, limb: Limb, at: Coordinates, half_height_mm: float
) -> Bool[np.ndarray, "d h w"]:
    mask = np.zeros(at.x.shape, dtype=bool)
    x, y = _across(limb, at)
    towards_joint = (limb.joint_side * at.z - rng.uniform(0.3, 0.8) * half_height_mm) / 10.0
    end = 1 / (1 + np.exp(-np.clip(towards_joint, -30, 30))) if limb.joint_side else np.zeros_like(x)
    for bone in limb.bones:
        bow = rng.uniform(-6, 6) * (at.z / half_height_mm) ** 2
        flat = rng.uniform(0.0, 0.12)
        dx, dy = x - bone.x_mm - bow, y - bone.y_mm
        radius_mm = bone.radius_mm * (1 + flat * np.cos(3 * np.arctan2(dy, dx) + 0.5)) + end * 0.9 * bone.radius_mm
        distance_mm = np.hypot(dx, dy) - radius_mm
        cortex_mm = bone.cortex_mm * (1 - 0.75 * end)
        paint(maps, inside(distance_mm), TISSUES["cortex"])
        inner = inside(distance_mm + cortex_mm)
        paint(maps, inner, TISSUES["marrow"])
        paint(maps, inner * end * (0.85 + 0.15 * np.clip(smooth_noise(rng, grid, 6), -1, 1)), TISSUES["trabecula"])
        mask |= distance_mm < 0
    return mask
