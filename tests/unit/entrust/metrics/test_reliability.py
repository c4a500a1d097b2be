"""Calibration errors and proper scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from entrust.metrics import ace, brier, classwise_ece, ece_toplabel, nll, probability_error, reliability
from entrust.uncertainty import softmax

CASES = hnp.arrays(np.float32, (3, 4, 5), elements=st.floats(-6, 6, width=32))
EVERYWHERE = np.ones((4, 5), bool)


def direct_ece(p: np.ndarray, hit: np.ndarray, bins: int) -> tuple[float, float]:
    """A second implementation: bin by bin, as the definition reads."""
    expected, gaps = 0.0, []
    for b in range(bins):
        inside = (p >= b / bins) & ((p < (b + 1) / bins) | (b == bins - 1))
        if inside.any():
            gap = abs(hit[inside].mean() - p[inside].mean())
            expected += inside.mean() * gap
            gaps.append(gap)
    return expected, float(np.mean(gaps))


@given(CASES, st.integers(0, 2**20), st.sampled_from([8, 16, 32]))
def test_the_errors_are_what_the_definition_says(logits: np.ndarray, seed: int, bins: int) -> None:
    p = softmax(logits.astype(float), axis=0)
    labels = np.random.default_rng(seed).integers(0, 3, (4, 5))
    per_class = [direct_ece(p[c].ravel(), (labels == c).ravel(), bins) for c in (1, 2)]
    assert classwise_ece(p, labels, EVERYWHERE, bins) == pytest.approx(np.mean([e for e, _ in per_class]))
    assert ace(p, labels, EVERYWHERE, bins) == pytest.approx(np.mean([a for _, a in per_class]))
    top = direct_ece(p.max(axis=0).ravel(), (p.argmax(axis=0) == labels).ravel(), bins)[0]
    assert ece_toplabel(p, labels, EVERYWHERE, bins) == pytest.approx(top)


@given(CASES, st.integers(0, 2**20))
def test_proper_scores_are_what_the_definition_says(logits: np.ndarray, seed: int) -> None:
    p = softmax(logits.astype(float), axis=0)
    labels = np.random.default_rng(seed).integers(0, 3, (4, 5))
    one_hot = np.moveaxis(np.eye(3)[labels], -1, 0)
    assert brier(p, labels, EVERYWHERE) == pytest.approx(((p - one_hot) ** 2).sum(axis=0).mean())
    assert nll(p, labels, EVERYWHERE) == pytest.approx(-(one_hot * np.log(p)).sum(axis=0).mean())


def test_only_the_domain_counts(rng: np.random.Generator) -> None:
    p = softmax(rng.normal(size=(2, 6, 6)), axis=0)
    labels, domain = rng.integers(0, 2, (6, 6)), rng.random((6, 6)) < 0.5
    wrong = np.where(domain, labels, 1 - labels)
    for metric in (classwise_ece, ace, ece_toplabel, brier, nll):
        assert metric(p, labels, domain) == metric(p, wrong, domain)
        assert np.isnan(metric(p, labels, np.zeros_like(domain)))


def test_labels_drawn_from_the_probability_are_calibrated_and_overconfidence_is_not() -> None:
    rng = np.random.default_rng(1)
    p1 = rng.random(200_000)
    labels, domain = (rng.random(200_000) < p1).astype(np.uint8), np.ones(200_000, bool)
    assert classwise_ece(np.stack([1 - p1, p1]), labels, domain) < 0.006
    hard = (p1 > 0.5).astype(float)
    # the winner is right with mean probability 3/4 and claims 1
    assert ece_toplabel(np.stack([1 - hard, hard]), labels, domain) == pytest.approx(0.25, abs=0.005)


def test_certainty_is_free_when_right_and_dear_when_wrong() -> None:
    p, domain = np.array([[0.0], [1.0]]), np.ones(1, bool)
    right, wrong = np.array([1]), np.array([0])
    assert (brier(p, right, domain), nll(p, right, domain)) == (0, 0)
    assert brier(p, wrong, domain) == 2
    assert nll(p, wrong, domain) == pytest.approx(-np.log(1e-6))


def test_a_bin_is_told_with_its_count() -> None:
    diagram = reliability(np.array([0.05, 0.06, 1.0]), np.array([True, False, True]), bins=10)
    np.testing.assert_array_equal(diagram.count, [2, 0, 0, 0, 0, 0, 0, 0, 0, 1])
    assert diagram.frequency[0] == 0.5
    assert diagram.maximum_error == pytest.approx(0.445)
    assert diagram.average_error == pytest.approx(0.2225)
    assert diagram.expected_error == pytest.approx(0.445 * 2 / 3)


def test_against_a_known_truth_the_error_is_the_mean_distance() -> None:
    p, truth = np.array([[0.8, 0.4], [0.2, 0.6]]), np.array([[0.7, 0.4], [0.3, 0.6]])
    assert probability_error(p, truth, np.ones(2, bool)) == pytest.approx(0.05)
