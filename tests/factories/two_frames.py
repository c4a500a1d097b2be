"""A limb that can be told from its mirror image and from itself moved along, imaged twice in different places."""

import numpy as np
from jaxtyping import Float

from entrust.volume import Grid, Volume

CT_GRID = Grid.axial((24, 64, 60), (4.0, 2.0, 2.0), (-60.0, -64.0, 200.0))
CENTRE_MM = CT_GRID.to_world(np.asarray([[11.5, 31.5, 29.5]]))[0]


def rigid(degrees: tuple[float, float, float], shift_mm: tuple[float, float, float]) -> Float[np.ndarray, "4 4"]:
    """Return a turn about the limb's middle (about x, then y, then z) and a shift."""
    turn = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(degrees)):
        one, (i, j) = np.eye(3), [n for n in range(3) if n != axis]
        one[i, i] = one[j, j] = np.cos(angle)
        one[i, j], one[j, i] = -np.sin(angle), np.sin(angle)
        turn = one @ turn
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = CENTRE_MM + np.asarray(shift_mm) - turn @ CENTRE_MM
    return matrix


def imaged(grid: Grid, kind: str, moved: Float[np.ndarray, "4 4"] | None = None) -> Volume:
    """Return the limb as ``ct`` (HU), ``t1`` (arbitrary) or ``pet`` (Bq/ml).

    Args:
        grid: Where it is sampled.
        kind: What a tissue's value is.
        moved: Where the limb lies: a rigid map from the usual place; there when not given.
    """
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1).reshape(-1, 3).astype(float)
    world = grid.to_world(index)
    back = np.linalg.inv(moved if moved is not None else np.eye(4))
    x, y, z = (world @ back[:3, :3].T + back[:3, 3] - CENTRE_MM).T
    wide, deep = 42.0 - 0.22 * z, 32.0 - 0.12 * z
    limb = (x / wide) ** 2 + ((y - 0.1 * z) / deep) ** 2 < 1.0
    bone = np.hypot(x - 8.0 + 0.08 * z, y + 6.0) < 8.0 + 0.05 * np.abs(z - 20.0)
    knob = (x + 16.0) ** 2 + (y + 8.0) ** 2 + (z - 18.0) ** 2 < 10.0**2
    tumour = (x + 14.0) ** 2 + (y - 10.0) ** 2 + (z + 12.0) ** 2 < 12.0**2
    air, muscle, hard, fat, hot = {
        "ct": (-1000.0, 50.0, 700.0, -90.0, 35.0),
        "t1": (4.0, 300.0, 60.0, 700.0, 220.0),
        "pet": (0.0, 3000.0, 1500.0, 2000.0, 30000.0),
    }[kind]
    values = np.where(limb, muscle, air)
    for where, value in ((bone, hard), (knob, fat), (tumour, hot)):
        values = np.where(limb & where, value, values)
    noise = np.random.default_rng(len(kind)).normal(0.0, 0.02 * (hard if kind == "ct" else muscle), values.shape)
    least = -1024.0 if kind == "ct" else 0.0  # nothing else has negative values
    return Volume(np.maximum(values + noise, least).reshape(grid.shape).astype(np.float32), grid)


def distance_mm(found: Float[np.ndarray, "4 4"], moved: Float[np.ndarray, "4 4"]) -> float:
    """Return how far a registration is from the truth, at worst over a limb's extent.

    Args:
        found: From the moved image's world to the other's.
        moved: What was done to the limb.
    """
    ends = np.asarray([[x, y, z] for x in (-40, 40) for y in (-30, 30) for z in (-45, 45)], float) + CENTRE_MM
    whole = found @ moved
    return float(np.linalg.norm(ends @ whole[:3, :3].T + whole[:3, 3] - ends, axis=1).max())
