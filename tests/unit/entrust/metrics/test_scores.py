"""Proper scores; ``test_second_implementations`` has the comparison with scikit-learn."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from entrust.metrics import brier, brier_floor, kl_divergence, nll, nll_floor, probability_error
from entrust.uncertainty import softmax

CASES = hnp.arrays(np.float32, (3, 4, 5), elements=st.floats(-6, 6, width=32))
EVERYWHERE = np.ones((4, 5), bool)


@given(CASES, st.integers(0, 2**20))
def test_proper_scores_are_what_the_definition_says(logits: np.ndarray, seed: int) -> None:
    p = softmax(logits.astype(float), axis=0)
    labels = np.random.default_rng(seed).integers(0, 3, (4, 5))
    one_hot = np.moveaxis(np.eye(3)[labels], -1, 0)
    assert brier(p, labels, EVERYWHERE) == pytest.approx(((p - one_hot) ** 2).sum(axis=0).mean())
    assert nll(p, labels, EVERYWHERE) == pytest.approx(-(one_hot * np.log(p)).sum(axis=0).mean())


def test_certainty_is_free_when_right_and_dear_when_wrong() -> None:
    p, domain = np.array([[0.0], [1.0]]), np.ones(1, bool)
    right, wrong = np.array([1]), np.array([0])
    assert (brier(p, right, domain), nll(p, right, domain)) == (0, 0)
    assert brier(p, wrong, domain) == 2
    assert nll(p, wrong, domain) == pytest.approx(-np.log(1e-6))


def test_against_a_known_truth_the_error_is_the_mean_distance() -> None:
    p, truth = np.array([[0.8, 0.4], [0.2, 0.6]]), np.array([[0.7, 0.4], [0.3, 0.6]])
    assert probability_error(p, truth, np.ones(2, bool)) == pytest.approx(0.05)


@given(CASES, CASES)
def test_the_divergence_is_that_of_scipy(logits: np.ndarray, other: np.ndarray) -> None:
    p, truth = (softmax(values.astype(float), axis=0) for values in (logits, other))
    expected = scipy.stats.entropy(truth, p, axis=0).mean()  # of two arguments: Kullback–Leibler
    assert kl_divergence(p, truth, EVERYWHERE) == pytest.approx(expected, abs=1e-9)
    assert kl_divergence(truth, truth, EVERYWHERE) == 0


@given(CASES, CASES)
def test_the_divergence_is_what_the_likelihood_costs_above_its_floor(logits: np.ndarray, other: np.ndarray) -> None:
    p, truth = (softmax(values.astype(float), axis=0) for values in (logits, other))
    expected_nll = sum(
        nll(p[:, i, j], np.asarray(c), np.asarray(True)) * truth[c, i, j]
        for c in range(3)
        for i in range(4)
        for j in range(5)
    )
    excess = expected_nll / 20 - nll_floor(truth, EVERYWHERE)
    assert kl_divergence(p, truth, EVERYWHERE) == pytest.approx(excess, abs=1e-9)


@given(CASES, CASES)
def test_no_forecast_scores_better_on_average_than_the_truth(logits: np.ndarray, other: np.ndarray) -> None:
    p, truth = (softmax(values.astype(float), axis=0) for values in (logits, other))
    # E Σ_c (p_c − y_c)² = Σ_c p_c² − 2 p_c p*_c + 1
    expected = ((p * p - 2 * p * truth).sum(axis=0) + 1).mean()
    assert brier_floor(truth, EVERYWHERE) <= expected + 1e-9


def test_certain_truths_and_empty_domains_have_defined_scores() -> None:
    p = np.array([[1.0, 0.0], [0.0, 1.0]])
    domain, nowhere = np.ones(2, bool), np.zeros(2, bool)
    assert kl_divergence(p, p, domain) == 0
    assert kl_divergence(1 - p, p, domain) == pytest.approx(-np.log(1e-6))
    assert brier_floor(p, domain) == 0
    assert nll_floor(p, domain) == 0
    labels = np.array([0, 1])
    for score in (brier(p, labels, nowhere), nll(p, labels, nowhere), kl_divergence(p, p, nowhere)):
        assert np.isnan(score)
    for score in (probability_error(p, p, nowhere), brier_floor(p, nowhere), nll_floor(p, nowhere)):
        assert np.isnan(score)
