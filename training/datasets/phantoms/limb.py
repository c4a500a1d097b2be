"""A limb with a soft-tissue tumour on CT, FDG PET and T1 MR, with known truth and known conflict.

It resembles the real task (a limb with bone, muscle and fat, a tumour with hot rim and cold core) closely enough to
teach and to demonstrate; it proves nothing about patients. Seeds: 1000–1999 training, 2000–2999 calibration,
from 9000 demonstration and tests.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from entrust.contract import ONCOLOGY
from entrust.volume import Grid, Volume
from training.datasets.phantoms.anatomy import TISSUES, Limb, draw_limb, render_limb
from training.datasets.phantoms.fields import Coordinates, centred_coordinates
from training.datasets.phantoms.scanners import mr_field_of_view, scan_ct, scan_mr, scan_pet
from training.datasets.phantoms.tumour import (
    LABEL_PROBABILITY,
    ConflictKind,
    Growth,
    add_conflict,
    add_mimic,
    draw_growth,
    grow,
    paint_tumour,
)


@dataclass(frozen=True, eq=False)
class LimbPhantom:
    """A simulated study and everything that is true of it.

    Attributes:
        seed: What it was drawn from.
        grid: Axial, LPS, the spacing of the oncology task.
        ct: HU.
        pet: SUV.
        t1: Arbitrary units; zero outside the field of view.
        mr_presence: Where the MR was acquired.
        gtv: The label: gross tumour volume, cold core included, as one reader drew it.
        certain: The tumour that every reader would draw.
        conflict: Where PET and MR disagree.
        conflict_kind: ``pet-only`` or ``mr-only``: who sees something there; empty without conflict.
        conflict_pair: The two that disagree; empty without conflict.
        label_probability: How likely a reader counts the conflict as tumour.
    """

    seed: int
    grid: Grid
    ct: Float32[np.ndarray, "d h w"]
    pet: Float32[np.ndarray, "d h w"]
    t1: Float32[np.ndarray, "d h w"]
    mr_presence: Bool[np.ndarray, "d h w"]
    gtv: UInt8[np.ndarray, "d h w"]
    certain: Bool[np.ndarray, "d h w"]
    conflict: Bool[np.ndarray, "d h w"]
    conflict_kind: str
    conflict_pair: tuple[str, ...]
    label_probability: float

    @property
    def volumes(self) -> Mapping[str, Volume]:
        """Images by modality slug."""
        return {slug: Volume(array, self.grid) for slug, array in (("ct", self.ct), ("pet", self.pet), ("t1", self.t1))}

    @property
    def volume_ml(self) -> float:
        """Volume of the label."""
        return float(self.gtv.sum()) * self.grid.voxel_volume_ml


def make_phantom(seed: int, *, conflict: bool | None = None) -> LimbPhantom:
    """Draw a limb with a tumour.

    Args:
        seed: Decides everything; the same seed gives the same arrays.
        conflict: Whether PET and MR disagree somewhere; drawn with probability ½ when not given.

    Returns:
        Images and truth on the oncology task's grid.
    """
    rng = np.random.default_rng(seed)
    drawn = bool(rng.random() < 0.5)
    conflict = drawn if conflict is None else conflict
    growth = draw_growth(rng)
    shape = (int(rng.integers(48, 71)), int(rng.integers(84, 113)), int(rng.integers(84, 113)))
    growth = _fit_in(growth, shape)
    corner_mm = tuple(-(n - 1) / 2 * s for n, s in zip(reversed(shape), reversed(ONCOLOGY.spacing_mm), strict=True))
    grid = Grid.axial(shape, ONCOLOGY.spacing_mm, (corner_mm[0], corner_mm[1], corner_mm[2]))
    at = centred_coordinates(grid)

    limb, centre_mm = _compose(rng, grid, growth)
    pushed = _push_aside(at, centre_mm, growth)
    maps = np.empty((3, *shape), dtype=np.float32)
    for channel, value in zip(maps, TISSUES["air"], strict=True):
        channel[...] = value
    muscle, bone = render_limb(rng, grid, maps, limb, pushed, at)
    if rng.random() < 0.5:
        side = float(np.sign(centre_mm[2] - limb.axis_mm[0]) or 1.0)
        other = replace(limb, axis_mm=(limb.axis_mm[0] - side * rng.uniform(2.1, 2.5) * limb.radius_mm, 0.0))
        render_limb(rng, grid, maps, other, at, at)

    allowed = muscle & ~bone
    mass = grow(rng, grid, at, centre_mm, growth, allowed)
    paint_tumour(rng, grid, maps, mass, growth)
    disputed, kind, probability = np.zeros(shape, dtype=bool), "", 0.0
    if conflict:
        options: tuple[ConflictKind, ...] = ("pet-only", "mr-only")
        chosen = options[int(rng.integers(2))]
        disputed = add_conflict(rng, grid, maps, at, mass, allowed, growth, chosen)
        if disputed.any():
            kind, probability = chosen, LABEL_PROBABILITY[chosen]
    if rng.random() < 0.35:
        add_mimic(rng, grid, maps, at, mass | disputed)

    half_mm = (growth.radius_mm * growth.elongation, growth.radius_mm, growth.radius_mm)
    presence = mr_field_of_view(rng, at, centre_mm, half_mm)
    if kind:
        presence |= disputed  # a disagreement needs both sides
        presence = _fill_block(presence)
    read_as_tumour = bool(rng.random() < probability)
    return LimbPhantom(
        seed=seed,
        grid=grid,
        ct=scan_ct(rng, grid, maps[0], at),
        pet=scan_pet(rng, grid, maps[1]),
        t1=scan_mr(rng, grid, maps[2], presence),
        mr_presence=presence,
        gtv=(mass | disputed if read_as_tumour else mass).astype(np.uint8),
        certain=mass,
        conflict=disputed,
        conflict_kind=kind,
        conflict_pair=("pet", "t1") if kind else (),
        label_probability=probability,
    )


def _fit_in(growth: Growth, shape: tuple[int, int, int]) -> Growth:
    """Return a growth that leaves some of the field free on all sides."""
    field_mm = [n * s for n, s in zip(shape, ONCOLOGY.spacing_mm, strict=True)]
    most_mm = min(0.40 * field_mm[0] / growth.elongation, 0.30 * min(field_mm[1:]))
    if growth.radius_mm <= most_mm:
        return growth
    return replace(growth, volume_ml=growth.volume_ml * (most_mm / growth.radius_mm) ** 3)


def _compose(rng: np.random.Generator, grid: Grid, growth: Growth) -> tuple[Limb, tuple[float, float, float]]:
    """Place limb and tumour in the field such that the tumour's place tells nothing: its margins are drawn."""
    radius = growth.radius_mm
    limb = draw_limb(rng, least_radius_mm=1.15 * radius + 28)
    direction = rng.uniform(0, 2 * np.pi)
    reach_mm = max(limb.radius_mm - limb.fat_mm - radius, 0.0) * rng.uniform(0.55, 1.0)
    from_axis = reach_mm * np.cos(direction), reach_mm * np.sin(direction)
    half_mm = [n * s / 2 for n, s in zip(grid.shape, grid.spacing_mm, strict=True)]
    free_mm = [
        max(half - extent, 0.0)
        for half, extent in zip(half_mm, (1.05 * radius * growth.elongation, 1.15 * radius, 1.15 * radius), strict=True)
    ]
    # Where the limb is smaller than the field, keep it in view; else look at some part of it that holds the tumour.
    z_mm, y_mm, x_mm = (rng.uniform(-0.75, 0.75) * free for free in free_mm)
    slack_mm = (max(half_mm[2] - limb.radius_mm, 5.0), max(half_mm[1] - limb.radius_mm, 5.0))
    x_mm = float(np.clip(x_mm, from_axis[0] - slack_mm[0], from_axis[0] + slack_mm[0]))
    y_mm = float(np.clip(y_mm, from_axis[1] - slack_mm[1], from_axis[1] + slack_mm[1]))
    x_mm, y_mm = float(np.clip(x_mm, -free_mm[2], free_mm[2])), float(np.clip(y_mm, -free_mm[1], free_mm[1]))
    axis_mm = (
        x_mm - from_axis[0] - limb.slope[0] * z_mm,
        y_mm - from_axis[1] - limb.slope[1] * z_mm,
    )
    return replace(limb, axis_mm=axis_mm), (float(z_mm), y_mm, x_mm)


def _push_aside(at: Coordinates, centre_mm: tuple[float, float, float], growth: Growth) -> Coordinates:
    """Return where the tissue at each voxel was before the tumour made room for itself."""
    offsets = [axis - c for axis, c in zip(at, centre_mm, strict=True)]
    reach = (offsets[0] / growth.elongation) ** 2 + offsets[1] ** 2 + offsets[2] ** 2
    shrink = 1 - 0.35 * np.exp(-reach / (1.7 * growth.radius_mm) ** 2)
    return Coordinates(at.z, centre_mm[1] + offsets[1] * shrink, centre_mm[2] + offsets[2] * shrink)


def _fill_block(mask: Bool[np.ndarray, "d h w"]) -> Bool[np.ndarray, "d h w"]:
    """Return the smallest upright block around a mask: a field of view has straight sides."""
    block = np.zeros_like(mask)
    spans = [np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    block[tuple(slice(int(s[0]), int(s[-1]) + 1) for s in spans)] = True
    return block
