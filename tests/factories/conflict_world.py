"""A small world with two conflicts whose joint states are known, and methods that are right in part."""

from dataclasses import replace

import numpy as np

from entrust.metrics import boundary_band, state_marginals
from entrust.uncertainty import pairwise_dice
from training.scorecard import BOUNDARY_MM, Answer, Truth, with_nested_thresholds

SHAPE = (6, 24, 24)
NUM_PAIRS = 3
EXCLUSIVE = np.array([0.0, 0.6, 0.4, 0.0])
INDEPENDENT = np.array([0.35 * 0.5, 0.65 * 0.5, 0.35 * 0.5, 0.65 * 0.5])


def make_truth(seed: int, num_draws: int = 16) -> Truth:
    """A certain tumour with two disputed parts beside it, of changing size; exclusive in every other case."""
    rng = np.random.default_rng(seed)
    table = EXCLUSIVE if seed % 2 else INDEPENDENT
    certain, conflicts = np.zeros(SHAPE, bool), np.zeros((2, *SHAPE), bool)
    edge = rng.integers(3, 7)
    certain[1:5, 8:16, 8:16] = True
    conflicts[0, 1:5, 8 : 8 + edge, 16:20] = True
    conflicts[1, 2:4, 8:16, 8 - edge // 2 : 8] = True

    faint = np.zeros(SHAPE, bool)
    faint[1:5, 18:22, 8:16] = True

    def draw(count: int) -> np.ndarray:
        states = rng.choice(4, size=count, p=table)
        maps = np.repeat(certain[None], count, axis=0)
        for label_map, state in zip(maps, states, strict=True):
            for i in range(2):
                label_map |= conflicts[i] & bool(state >> i & 1)
        return maps.astype(np.uint8)

    foreground = certain + np.tensordot(state_marginals(table), conflicts, axes=1)
    return Truth(
        spacing_mm=(3.0, 2.0, 2.0),
        labels=draw(num_draws),
        draws=draw(num_draws),
        probability=np.stack([1.0 - foreground, foreground]),
        conflicts=conflicts,
        responsible=np.array([[False, False, True], [True, False, False]]),
        states=table,
        hard_negatives={"faint": faint},
    )


def make_calm_truth() -> Truth:
    """A case without foreground and without conflict."""
    nothing = np.zeros((4, *SHAPE), np.uint8)
    return Truth(
        spacing_mm=(3.0, 2.0, 2.0),
        labels=nothing,
        draws=nothing,
        probability=np.stack([np.ones(SHAPE), np.zeros(SHAPE)]),
        conflicts=np.zeros((0, *SHAPE), bool),
        responsible=np.zeros((0, NUM_PAIRS), bool),
        states=np.ones(1),
    )


def _answer(probability: np.ndarray, masks: np.ndarray) -> Answer:
    doubt = 1.0 - probability.max(axis=0)
    return Answer(probability, masks.astype(np.uint8), doubt, pairwise_dice(masks))


def boundary_lover(truth: Truth) -> Answer:
    """The true probability, and a conflict map that knows nothing but the boundary of the tumour."""
    band = boundary_band(truth.probability[1] == 1, spacing_mm=truth.spacing_mm, width_mm=BOUNDARY_MM)
    plain = _answer(truth.probability, truth.draws > 0)
    return replace(plain, conflict=band.astype(np.float64))


def salt_and_pepper(truth: Truth, seed: int) -> Answer:
    """The true probability, and hypotheses that draw every voxel by itself."""
    rng = np.random.default_rng(seed)
    return _answer(truth.probability, rng.random(truth.draws.shape) < truth.probability[1])


def nested_thresholds(truth: Truth) -> Answer:
    """The true probability, and its masks at K levels: coherent, and blind to which conflicts go together."""
    return with_nested_thresholds(_answer(truth.probability, truth.draws > 0))


def sure_of_the_mode(truth: Truth) -> Answer:
    """The likeliest mask, with probability 1."""
    mask = truth.probability.argmax(axis=0)
    hard = np.stack([1.0 - mask, mask]).astype(np.float64)
    return _answer(hard, np.repeat((mask > 0)[None], len(truth.draws), axis=0))
