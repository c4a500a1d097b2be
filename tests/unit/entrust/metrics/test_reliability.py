"""Calibration errors; ``test_second_implementations`` has the comparisons with MONAI, torchmetrics and netcal."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from entrust.errors import InvalidInputError
from entrust.metrics import (
    ace,
    brier,
    classwise_ece,
    classwise_reliability,
    ece_to_truth,
    ece_toplabel,
    nll,
    reliability,
    truth_reliability,
)
from entrust.metrics.reliability import CHUNK
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


def test_a_bin_is_told_with_its_count() -> None:
    diagram = reliability(np.array([0.05, 0.06, 1.0]), np.array([True, False, True]), bins=10)
    np.testing.assert_array_equal(diagram.count, [2, 0, 0, 0, 0, 0, 0, 0, 0, 1])
    assert diagram.frequency[0] == 0.5
    assert diagram.maximum_error == pytest.approx(0.445)
    assert diagram.average_error == pytest.approx(0.2225)
    assert diagram.expected_error == pytest.approx(0.445 * 2 / 3)


def test_no_voxel_has_no_error() -> None:
    nothing = reliability(np.zeros(0), np.zeros(0, bool))
    for error in (nothing.expected_error, nothing.average_error, nothing.maximum_error):
        assert np.isnan(error)


@given(CASES, st.integers(0, 2**20), hnp.arrays(bool, (4, 5)))
def test_diagrams_of_parts_add_up_to_that_of_the_whole(logits: np.ndarray, seed: int, part: np.ndarray) -> None:
    p = softmax(logits.astype(float), axis=0)
    labels = np.random.default_rng(seed).integers(0, 3, (4, 5))
    whole = classwise_reliability(p, labels, EVERYWHERE)
    added = classwise_reliability(p, labels, part) + classwise_reliability(p, labels, ~part)
    np.testing.assert_array_equal(added.count, whole.count)
    np.testing.assert_allclose(added.expected_error, whole.expected_error)
    np.testing.assert_allclose(added.maximum_error, whole.maximum_error)
    assert whole.expected_error.mean() == pytest.approx(classwise_ece(p, labels, EVERYWHERE))


def test_chunks_of_a_large_volume_change_nothing(rng: np.random.Generator) -> None:
    p = rng.random(2 * CHUNK + 17).astype(np.float32)
    hit = rng.random(len(p)) < p
    whole, half = reliability(p, hit), len(p) // 2
    parts = reliability(p[:half], hit[:half]) + reliability(p[half:], hit[half:])
    np.testing.assert_array_equal(whole.count, np.histogram(p, bins=20, range=(0, 1))[0])
    np.testing.assert_array_equal(whole.hit_sum, parts.hit_sum)
    np.testing.assert_allclose(whole.confidence_sum, parts.confidence_sum)


@given(CASES, CASES)
def test_the_error_against_the_truth_needs_no_labels(logits: np.ndarray, other: np.ndarray) -> None:
    p, truth = (softmax(values.astype(float), axis=0) for values in (logits, other))
    assert ece_to_truth(truth, truth, EVERYWHERE) == pytest.approx(0, abs=1e-12)
    expected = np.mean([direct_ece(p[c].ravel(), truth[c].ravel(), 32)[0] for c in (1, 2)])
    assert ece_to_truth(p, truth, EVERYWHERE, 32) == pytest.approx(expected)
    assert truth_reliability(p, truth, EVERYWHERE).count.shape == (2, 20)


def test_the_error_against_the_truth_is_what_labels_give_on_average(rng: np.random.Generator) -> None:
    truth = np.stack([np.full(400, 0.4), np.full(400, 0.6)])
    said, domain = np.stack([np.full(400, 0.1), np.full(400, 0.9)]), np.ones(400, bool)
    by_labels = np.mean([classwise_ece(said, (rng.random(400) < 0.6).astype(int), domain) for _ in range(400)])
    assert ece_to_truth(said, truth, domain) == pytest.approx(0.3)
    assert by_labels == pytest.approx(0.3, abs=0.01)


@given(CASES, st.integers(0, 2**20), st.permutations(range(20)))
def test_the_order_of_voxels_does_not_matter_and_errors_are_bounded(
    logits: np.ndarray, seed: int, order: list[int]
) -> None:
    p = softmax(logits.astype(float), axis=0).reshape(3, 20)
    labels, domain = np.random.default_rng(seed).integers(0, 3, 20), np.ones(20, bool)
    for metric in (classwise_ece, ace, ece_toplabel):
        value = metric(p, labels, domain)
        assert metric(p[:, order], labels[order], domain) == pytest.approx(value)
        assert 0 <= value <= 1


def test_what_is_no_probability_is_refused_and_rounding_is_not() -> None:
    hit = np.array([True, False])
    for bad in (np.array([0.5, np.nan]), np.array([0.5, 1.1]), np.array([-0.1, 0.5])):
        with pytest.raises(InvalidInputError):
            reliability(bad, hit)
    rounded = reliability(np.array([1.00001, -0.00001]), hit)
    assert (rounded.count[0], rounded.count[-1]) == (1, 1)


def test_a_volume_is_binned_in_less_than_twice_its_own_size(rng: np.random.Generator) -> None:
    p1 = rng.random((64, 256, 256), dtype=np.float32)
    p, labels = np.stack([1 - p1, p1]), (p1 > 0.5).astype(np.uint8)
    tracemalloc.start()
    try:
        classwise_ece(p, labels, np.ones(p1.shape, bool))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 2 * p.nbytes
