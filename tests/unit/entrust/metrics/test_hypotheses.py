"""Hypotheses as a distribution."""

from itertools import permutations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from entrust.errors import InvalidInputError
from entrust.metrics import (
    best_dice,
    blob_fractions,
    coherence,
    crps,
    dice,
    ged,
    hungarian_iou,
    iou_distances,
    joint_state_distance,
    mode_frequency_error,
)


def maps(count: int) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.uint8, (count, 3, 4), elements=st.integers(0, 2))


def distance(a: np.ndarray, b: np.ndarray) -> float:
    parts = []
    for label in (1, 2):
        union = ((a == label) | (b == label)).sum()
        parts.append(1 - ((a == label) & (b == label)).sum() / union if union else 0.0)
    return float(np.mean(parts))


@given(maps(3), maps(2))
def test_ged_and_matching_are_their_definitions(hypotheses: np.ndarray, truths: np.ndarray) -> None:
    def mean(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.mean([distance(x, y) for x in a for y in b]))

    expected = 2 * mean(hypotheses, truths) - mean(hypotheses, hypotheses) - mean(truths, truths)
    assert ged(hypotheses, truths, 3) == pytest.approx(expected)
    assert ged(hypotheses, truths, 3) == pytest.approx(ged(truths, hypotheses, 3))
    assert ged(hypotheses, hypotheses[::-1], 3) == pytest.approx(0)
    # 3 against 2 → 6 against 6; by brute force over the matchings of truths to hypotheses
    repeated = np.repeat(truths, 3, axis=0)
    best = min(
        np.mean([distance(h, repeated[i]) for h, i in zip(np.repeat(hypotheses, 2, axis=0), order, strict=True)])
        for order in set(permutations([0, 0, 0, 3, 3, 3]))
    )
    assert hungarian_iou(hypotheses, truths, 3) == pytest.approx(1 - best)


@given(maps(2))
def test_distances_vanish_on_the_diagonal_and_are_symmetric(hypotheses: np.ndarray) -> None:
    d = iou_distances(hypotheses, hypotheses, 3)
    np.testing.assert_allclose(d, d.T)
    np.testing.assert_allclose(d.diagonal(), 0)


@given(hnp.arrays(bool, (3, 5)), hnp.arrays(bool, (2, 5)))
def test_best_dice_is_that_of_the_closest(hypotheses: np.ndarray, truths: np.ndarray) -> None:
    expected = np.mean([max(dice(h, t) for h in hypotheses) for t in truths])
    assert best_dice(hypotheses, truths) == pytest.approx(expected)


@pytest.fixture
def blobs() -> np.ndarray:
    b = np.zeros((2, 40, 40), bool)
    b[0, :10, :10] = b[1, 20:30, 20:30] = True
    return b


def test_whole_blobs_at_the_right_rate_score_best(blobs: np.ndarray) -> None:
    # blob 0 in 3 of 4, blob 1 in 1 of 4, never in the same hypothesis
    masks = np.stack([blobs[0], blobs[0], blobs[0], blobs[1]])
    fractions = blob_fractions(masks, blobs)
    assert mode_frequency_error(fractions, np.array([0.75, 0.25])) == 0
    assert coherence(fractions) == 1
    assert joint_state_distance(fractions, np.array([0, 0.75, 0.25, 0])) == 0
    # independent blobs with the same rates have another table: marginals cannot tell, the joint can
    assert joint_state_distance(fractions, np.array([0.1875, 0.5625, 0.0625, 0.1875])) == pytest.approx(0.375)


def test_noise_with_the_right_marginals_is_found_out(blobs: np.ndarray, rng: np.random.Generator) -> None:
    masks = (rng.random((16, 40, 40)) < 0.7) & blobs.any(axis=0)
    fractions = blob_fractions(masks, blobs)
    assert coherence(fractions) == pytest.approx(1 - 4 * 0.7 * 0.3, abs=0.05)
    assert mode_frequency_error(fractions, np.array([0.7, 0.7])) == pytest.approx(0.3, abs=0.01)


def test_impossible_blobs_and_tables_are_refused(blobs: np.ndarray) -> None:
    with pytest.raises(InvalidInputError):
        blob_fractions(blobs, np.zeros_like(blobs))
    with pytest.raises(InvalidInputError):
        joint_state_distance(np.ones((3, 2)), np.ones(3) / 3)


DRAWS = hnp.arrays(np.float64, st.integers(2, 9), elements=st.floats(-100, 100))


@given(DRAWS, st.floats(-100, 100))
def test_crps_is_its_definition(draws: np.ndarray, truth: float) -> None:
    gaps = np.abs(draws[:, None] - draws[None])
    k = len(draws)
    to_truth = np.abs(draws - truth).mean()
    assert crps(draws, truth, fair=False) == pytest.approx(to_truth - 0.5 * gaps.mean(), abs=1e-9)
    assert crps(draws, truth) == pytest.approx(to_truth - 0.5 * gaps.sum() / (k * (k - 1)), abs=1e-9)


def test_crps_of_many_normal_draws_is_the_closed_form() -> None:
    draws = scipy.stats.norm.ppf((np.arange(4000) + 0.5) / 4000)
    for y in (0.0, 1.3):
        exact = y * (2 * scipy.stats.norm.cdf(y) - 1) + 2 * scipy.stats.norm.pdf(y) - 1 / np.sqrt(np.pi)
        assert crps(draws, y) == pytest.approx(exact, abs=1e-3)


def test_fair_crps_does_not_reward_a_larger_k(rng: np.random.Generator) -> None:
    few, many = (np.mean([crps(rng.normal(size=k), rng.normal()) for _ in range(5000)]) for k in (2, 16))
    assert few == pytest.approx(many, abs=0.03)


def test_one_draw_is_the_absolute_error() -> None:
    assert crps(np.array([3.0]), 5.0) == 2
