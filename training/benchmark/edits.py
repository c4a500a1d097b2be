"""Edits that make modalities contradict each other: a lesion's look added to some of them, or taken from others.

Neither the shapes (an ellipse with a wavy edge) nor the contrasts (the difference between an image's own lesion and its
surroundings) come from the generator of the world's own conflicts.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8
from scipy import ndimage

VISIBLE = 0.15
"""Least change of a normalised intensity that can be seen."""
HIDDEN, FAINT, SHOWN = 0.0, 0.5, 1.0
"""Share of a lesion's contrast that a modality shows."""


@dataclass(frozen=True, eq=False)
class Edit:
    """What an edit left behind.

    Attributes:
        where: Where two modalities contradict each other.
        shown: Class that each modality alone shows; -1 where it is neither one thing nor the other.
    """

    where: Float32[np.ndarray, "2 s s"]
    shown: Int64[np.ndarray, "2 m s s"]


def unedited(label: UInt8[np.ndarray, "2 s s"], num_modalities: int) -> Edit:
    """Return the edit that changes nothing: every modality shows the label."""
    shown = np.repeat(label[:, None].astype(np.int64), num_modalities, axis=1)
    return Edit(np.zeros(label.shape, np.float32), shown)


@cache
def _basis(size: int, nodes: int) -> Float32[np.ndarray, "s n"]:
    """Return Gaussian bumps around equidistant nodes, of rows that sum to 1."""
    positions, centres = np.linspace(0, 1, size)[:, None], np.linspace(0, 1, nodes)[None]
    bumps = np.exp(-0.5 * ((positions - centres) * (nodes - 1) / 0.6) ** 2)
    return np.asarray(bumps / bumps.sum(axis=1, keepdims=True), dtype=np.float32)


def smooth(rng: np.random.Generator, size: int, nodes: int) -> Float32[np.ndarray, "s s"]:
    """Return a smooth random field between -1 and 1."""
    grid = rng.uniform(-1, 1, (nodes, nodes)).astype(np.float32)
    return np.asarray(_basis(size, nodes) @ grid @ _basis(size, nodes).T)


def contradict(
    rng: np.random.Generator,
    x: Float32[np.ndarray, "2 m z s s"],
    label: UInt8[np.ndarray, "2 s s"],
    usable: Bool[np.ndarray, "m"],
) -> Edit:
    """Let one modality show a lesion and another deny it inside a blob, in place; the others fall in between.

    Args:
        rng: Source of randomness.
        x: Intensities of two neighbouring slices with their context.
        label: Class numbers of the two slices.
        usable: Modalities that the network will see; at least two, or nothing is done.
    """
    m = x.shape[1]
    centre_slices = x[:, :, x.shape[2] // 2]
    edit, inside = unedited(label, m), _blob(rng, _body(centre_slices))
    if usable.sum() < 2 or inside.sum() < 12:
        return edit
    sees, denies = rng.permutation(np.flatnonzero(usable))[:2]
    visibility = rng.choice([HIDDEN, FAINT, SHOWN], m)
    visibility[sees], visibility[denies] = SHOWN, HIDDEN
    present, counts = np.unique(label[label > 0], return_counts=True)
    number = int(rng.choice(present, p=counts / counts.sum())) if len(present) else 1
    lesion = label == number
    contrast = _contrast(rng, centre_slices, lesion, label == 0)

    edge = ndimage.uniform_filter(inside.astype(np.float32), 3)
    there = ndimage.uniform_filter(lesion.astype(np.float32), (0, 3, 3))  # is shown already
    wanted = rng.uniform(0.6, 1.1) * visibility
    change = edge * (wanted[:, None, None] - there[:, None]) * contrast[:, None, None]  # [2, m, s, s]
    x += change[:, :, None].astype(np.float32)

    where = inside & (np.abs(contrast[[sees, denies]]).max() > VISIBLE)
    edit.where[:, where] = 1.0
    looks = {SHOWN: np.array(number), FAINT: np.array(-1), HIDDEN: np.where(lesion, 0, label)}
    for i, share in enumerate(visibility):
        edit.shown[:, i] = np.where(where, looks[share], edit.shown[:, i])
    return edit


def _contrast(
    rng: np.random.Generator,
    slices: Float32[np.ndarray, "2 m s s"],
    lesion: Bool[np.ndarray, "2 s s"],
    healthy: Bool[np.ndarray, "2 s s"],
) -> Float64[np.ndarray, "m"]:
    """Return how a lesion differs from what surrounds it in each modality; drawn where that cannot be seen here."""
    low, high = np.quantile(slices, [0.03, 0.97], axis=(0, 2, 3))
    drawn = rng.choice([-1.0, 1.0], len(low)) * rng.uniform(0.3, 0.7, len(low)) * (high - low)
    near = ndimage.binary_dilation(lesion, np.ones((1, 3, 3)), iterations=4) & healthy
    if lesion.sum() < 12 or near.sum() < 12:
        return np.asarray(drawn)
    pixels = np.moveaxis(slices, 1, 0)
    seen = pixels[:, lesion].mean(axis=1, dtype=np.float64) - pixels[:, near].mean(axis=1, dtype=np.float64)
    return np.asarray(np.where(np.abs(seen) > VISIBLE, seen, drawn))


def _body(slices: Float32[np.ndarray, "2 m s s"]) -> Bool[np.ndarray, "s s"]:
    """Return where some modality shows more than air."""
    low, high = np.quantile(slices, [0.03, 0.97], axis=(0, 2, 3))
    return np.asarray((slices.mean(axis=0) > (0.7 * low + 0.3 * high)[:, None, None]).any(axis=0))


def _blob(rng: np.random.Generator, allowed: Bool[np.ndarray, "s s"]) -> Bool[np.ndarray, "s s"]:
    """Draw an ellipse with a wavy edge whose centre is allowed."""
    size = len(allowed)
    places = np.argwhere(allowed if allowed.any() else ~allowed)
    centre = places[rng.integers(len(places))]
    yy, xx = np.mgrid[:size, :size].astype(np.float32)
    angle, (long, short) = rng.uniform(0, np.pi), rng.uniform(3.0, 8.0, 2)
    dy, dx = yy - centre[0], xx - centre[1]
    u, v = dy * np.cos(angle) + dx * np.sin(angle), dx * np.cos(angle) - dy * np.sin(angle)
    return np.asarray(np.hypot(u / long, v / short) + 0.3 * smooth(rng, size, 6) < 1.0)
