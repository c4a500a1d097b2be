"""The exact p(y | what can be seen), and label draws from it.

What can be seen is a scene: nested structures with a surface, and disputed blobs, each with a surface of its own. Two
things are hidden, and they alone decide the label:

* the **state** s ∈ {0, 1}ⁿ of the n blobs (on or off), with a joint table P(s);
* the reader's **generosity** g, uniform on [-1, 1] and independent of s: how far outwards they draw a soft surface.

A voxel's threshold t = (signed distance to the surface) / (reader's spread) says from which generosity on it is
counted in, so P(in) = P(g > t) = (1 - t)/2, cut to [0, 1]. Given s, nested structures and blobs combine by minimum
(or) and maximum (and not) of thresholds, and P(y ≥ r | scene) is a sum over at most 2ⁿ states: exact, no sampling.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Float64, Int, UInt8

from entrust.errors import InvalidInputError


def stamp(
    thresholds: Float[np.ndarray, "r d h w"], inside: Float[np.ndarray, "d h w"], level: int
) -> Float[np.ndarray, "r d h w"]:
    """Return the thresholds of "``level`` inside, as before outside".

    Args:
        thresholds: Of the nested structures 1 … R, outermost first.
        inside: Threshold of the region that is overwritten.
        level: What it becomes; 0 is background.
    """
    return np.concatenate([np.minimum(thresholds[:level], inside), np.maximum(thresholds[level:], -inside)])


@dataclass(frozen=True, eq=False)
class Blob:
    """A region whose label readers dispute.

    Attributes:
        threshold: Of its surface.
        off: Label inside when a reader takes it for nothing.
        on: Label inside when a reader takes it for lesion.
    """

    threshold: Float64[np.ndarray, "d h w"]
    off: int
    on: int


@dataclass(frozen=True, eq=False)
class Truth:
    """Everything that is true of a scene's label.

    Attributes:
        thresholds: Of the nested structures without any blob, outermost first.
        blobs: The disputed regions.
        table: P(s) of the joint states; state = Σᵢ onᵢ · 2ⁱ, as in :func:`entrust.metrics.joint_state_distance`.
    """

    thresholds: Float64[np.ndarray, "r d h w"]
    blobs: tuple[Blob, ...]
    table: Float64[np.ndarray, "states"]

    def __post_init__(self) -> None:
        if len(self.table) != 2 ** len(self.blobs):
            raise InvalidInputError("A table of n blobs has 2 to the n states.")
        if self.table.min() < 0 or abs(self.table.sum() - 1) > 1e-9:
            raise InvalidInputError("A table of states must be a distribution.")

    @property
    def num_classes(self) -> int:
        """Structures and background."""
        return len(self.thresholds) + 1

    @property
    def blob_probability(self) -> Float64[np.ndarray, "n"]:
        """Marginal probability of each blob being on."""
        states = np.arange(len(self.table))
        return np.array([self.table[(states >> i) & 1 == 1].sum() for i in range(len(self.blobs))], dtype=np.float64)

    def given(self, state: int) -> Float64[np.ndarray, "r d h w"]:
        """Return the structures' thresholds once the state is known."""
        thresholds = self.thresholds
        for i, blob in enumerate(self.blobs):
            thresholds = stamp(thresholds, blob.threshold, blob.on if (state >> i) & 1 else blob.off)
        return np.asarray(thresholds)

    @cached_property
    def probability(self) -> Float64[np.ndarray, "c d h w"]:
        """Exact p(y = c | scene) of every voxel, background first."""
        at_least = np.zeros((self.num_classes + 1, *self.thresholds.shape[1:]))
        at_least[0] = 1.0  # every voxel is at least background, and none beyond the innermost
        for state in np.flatnonzero(self.table):
            at_least[1:-1] += self.table[state] * np.clip((1 - self.given(int(state))) / 2, 0.0, 1.0)
        return np.asarray(np.clip(at_least[:-1] - at_least[1:], 0.0, 1.0))

    def label(self, state: int, generosity: float) -> UInt8[np.ndarray, "d h w"]:
        """Return the label map of a reader: how many of the nested structures hold each voxel."""
        return np.asarray((self.given(state) < generosity).sum(axis=0), dtype=np.uint8)

    def readers(self, rng: np.random.Generator, count: int) -> tuple[Int[np.ndarray, "j"], Float64[np.ndarray, "j"]]:
        """Draw readers: their states and their generosities."""
        edges = np.cumsum(self.table)
        states = np.minimum(np.searchsorted(edges, rng.random(count), side="right"), np.flatnonzero(self.table).max())
        return states, rng.uniform(-1.0, 1.0, count)

    def draw(self, rng: np.random.Generator, count: int) -> Iterator[tuple[int, UInt8[np.ndarray, "d h w"]]]:
        """Yield ``count`` independent readers' states and label maps."""
        for state, generosity in zip(*self.readers(rng, count), strict=True):
            yield int(state), self.label(int(state), float(generosity))


def joint_table(groups: list[Float[np.ndarray, "states"]]) -> Float64[np.ndarray, "states"]:
    """Return the table of independent groups of blobs; the first group's blobs are the lowest bits."""
    table = np.ones(1)
    for group in groups:
        table = (group[:, None] * table[None, :]).ravel()
    return table


def independent(probability: float) -> Float64[np.ndarray, "2"]:
    """Return the table of one blob that is on with ``probability``, whatever the others are."""
    return np.array([1 - probability, probability])


def exclusive(weights: list[float]) -> Float64[np.ndarray, "states"]:
    """Return the table of blobs of which exactly one is on, with probability proportional to its weight."""
    table = np.zeros(2 ** len(weights))
    for i, weight in enumerate(weights):
        table[1 << i] = weight / sum(weights)
    return table
