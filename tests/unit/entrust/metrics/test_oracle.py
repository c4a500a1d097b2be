"""What the truth itself scores."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from entrust.errors import InvalidInputError
from entrust.metrics import (
    blob_fractions,
    brier,
    brier_floor,
    classwise_ece,
    crps,
    crps_floor,
    ece_to_truth,
    ged,
    ged_floor,
    joint_state_distance,
    joint_state_floor,
    kl_divergence,
    mode_frequency_error,
    mode_frequency_floor,
    nll,
    nll_floor,
    probability_error,
    state_marginals,
)

TABLES = hnp.arrays(np.float64, 4, elements=st.floats(0, 1)).filter(lambda t: t.sum() > 0.1).map(lambda t: t / t.sum())


@given(TABLES, st.integers(1, 4))
def test_the_floors_of_k_draws_are_the_expectation_over_all_draws(table: np.ndarray, k: int) -> None:
    marginals, joint, frequency = state_marginals(table), 0.0, 0.0
    for states in product(range(4), repeat=k):
        chance = float(np.prod(table[list(states)]))
        fractions = np.array([[state & 1, state >> 1] for state in states], float)
        joint += chance * joint_state_distance(fractions, table)
        frequency += chance * mode_frequency_error(fractions, marginals)
    assert joint_state_floor(table, k) == pytest.approx(joint, abs=1e-9)
    assert mode_frequency_floor(table, k) == pytest.approx(frequency, abs=1e-9)


@given(TABLES, st.integers(1, 40))
def test_more_draws_have_a_lower_floor(table: np.ndarray, k: int) -> None:
    for floor in (joint_state_floor, mode_frequency_floor):
        assert -1e-12 <= floor(table, 4 * k) <= floor(table, k) + 1e-12 <= 1 + 1e-9


def test_a_certain_state_has_no_floor_and_no_blobs_have_none() -> None:
    certain = np.array([0.0, 1.0, 0.0, 0.0])
    assert joint_state_floor(certain, 8) == 0
    assert mode_frequency_floor(certain, 8) == 0
    assert np.isnan(joint_state_floor(np.ones(1), 8))
    assert np.isnan(mode_frequency_floor(np.ones(1), 8))


@pytest.fixture
def blobs() -> np.ndarray:
    b = np.zeros((2, 20, 20), bool)
    b[0, :6, :6] = b[1, 10:15, 10:20] = True
    return b


def draw(blobs: np.ndarray, table: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Label maps of a certain square with the blobs of a drawn state."""
    states = rng.choice(4, size=count, p=table)
    maps = np.zeros((count, 20, 20), np.uint8)
    maps[:, 6:12, 6:12] = 1
    for label_map, state in zip(maps, states, strict=True):
        for i in range(2):
            if state >> i & 1:
                label_map[blobs[i]] = 1
    return maps


TABLE = np.array([0.1, 0.35, 0.4, 0.15])


def test_draws_from_the_truth_have_the_floors_on_average(blobs: np.ndarray, rng: np.random.Generator) -> None:
    drawn = [(draw(blobs, TABLE, 8, rng), draw(blobs, TABLE, 16, rng)) for _ in range(400)]
    reference = draw(blobs, TABLE, 2000, rng)
    distances = np.mean([ged(h, y, 2) for h, y in drawn])
    assert distances == pytest.approx(np.mean([ged_floor(y, 2, 8) for _, y in drawn]), rel=0.1)
    assert distances == pytest.approx(ged_floor(reference, 2, 8) * (1 / 8 + 1 / 16) / (1 / 8 + 1 / 2000), rel=0.1)
    volumes = [(h.sum(axis=(1, 2)).astype(float), float(y[0].sum())) for h, y in drawn]
    assert np.mean([crps(v, t) for v, t in volumes]) == pytest.approx(
        crps_floor(reference.sum(axis=(1, 2)).astype(float)), rel=0.15
    )
    fractions = [blob_fractions(h > 0, blobs) for h, _ in drawn]
    observed = np.mean([joint_state_distance(f, TABLE) for f in fractions])
    assert observed == pytest.approx(joint_state_floor(TABLE, 8), rel=0.1)


def test_the_true_probability_has_the_floors_on_average_and_no_error_against_itself(
    blobs: np.ndarray, rng: np.random.Generator
) -> None:
    on = state_marginals(TABLE)
    foreground = np.maximum(0.02, blobs[0] * on[0] + blobs[1] * on[1])
    foreground[6:12, 6:12] = 1.0
    truth, domain = np.stack([1 - foreground, foreground]), np.ones((20, 20), bool)
    labels = [(rng.random((20, 20)) < foreground).astype(np.uint8) for _ in range(300)]
    assert np.mean([brier(truth, y, domain) for y in labels]) == pytest.approx(brier_floor(truth, domain), rel=0.03)
    assert np.mean([nll(truth, y, domain) for y in labels]) == pytest.approx(nll_floor(truth, domain), rel=0.03)
    for error in (ece_to_truth, kl_divergence, probability_error):
        assert error(truth, truth, domain) == pytest.approx(0, abs=1e-12)
    # the sampled calibration error of the truth is not 0: that is what an oracle's row in a table is for
    assert np.mean([classwise_ece(truth, y, domain) for y in labels]) > 0.005


@given(hnp.arrays(np.float64, st.integers(2, 7), elements=st.floats(-50, 50)))
def test_the_floor_of_the_crps_is_half_the_mean_distance_of_two_truths(truths: np.ndarray) -> None:
    j = len(truths)
    gaps = [abs(truths[a] - truths[b]) for a in range(j) for b in range(j) if a != b]
    assert crps_floor(truths) == pytest.approx(0.5 * np.mean(gaps), abs=1e-9)


def test_one_truth_has_no_spread() -> None:
    with pytest.raises(InvalidInputError):
        crps_floor(np.array([3.0]))
    with pytest.raises(InvalidInputError):
        ged_floor(np.zeros((1, 4, 4), np.uint8), 2, 8)
