"""Volumes from hypotheses, and their intervals."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from entrust.errors import InvalidInputError
from entrust.metrics import crps, interval_score

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


@given(DRAWS, st.floats(-100, 100))
def test_crps_is_half_the_energy_distance_of_scipy_to_the_truth(draws: np.ndarray, truth: float) -> None:
    # scipy's distance is the root of 2 E|X − y| − E|X − X'|
    theirs = scipy.stats.energy_distance(draws, [truth]) ** 2 / 2
    assert crps(draws, truth, fair=False) == pytest.approx(theirs, abs=1e-6)


def test_an_interval_pays_for_its_width_and_for_what_it_misses() -> None:
    intervals, truths = np.array([[10.0, 30.0]] * 3), np.array([20.0, 32.0, 9.0])
    np.testing.assert_allclose(interval_score(intervals, truths, 0.9), [20, 20 + 2 / 0.1 * 2, 20 + 2 / 0.1 * 1])
    for level in (0.0, 1.0):
        with pytest.raises(InvalidInputError):
            interval_score(intervals, truths, level)


def test_the_true_quantiles_score_best() -> None:
    truths = scipy.stats.norm.ppf((np.arange(4000) + 0.5) / 4000)

    def mean(half_width: float) -> float:
        return float(interval_score(np.tile([-half_width, half_width], (4000, 1)), truths, 0.9).mean())

    right = scipy.stats.norm.ppf(0.95)
    # width + 2/α E(|X| − w)+ at the quantile: 2/α · 2 φ(q) ... = 4 φ(q) / α
    assert mean(right) == pytest.approx(4 * scipy.stats.norm.pdf(right) / 0.1, rel=2e-3)
    assert mean(right) < min(mean(0.8 * right), mean(1.25 * right))
