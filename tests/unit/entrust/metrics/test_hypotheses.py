"""Hypotheses as a distribution."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from entrust.metrics import best_dice, dice, ged, hungarian_iou, iou_distances


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


@given(maps(3), maps(2), st.permutations(range(3)))
def test_the_order_of_hypotheses_does_not_matter(hypotheses: np.ndarray, truths: np.ndarray, order: list[int]) -> None:
    for metric in (ged, hungarian_iou):
        assert metric(hypotheses[order], truths, 3) == pytest.approx(metric(hypotheses, truths, 3))
    assert 0 <= hungarian_iou(hypotheses, truths, 3) <= 1
    assert -1e-12 <= ged(hypotheses, truths, 3) <= 2


def test_a_set_of_empty_masks_is_no_distance_from_empty_truths() -> None:
    empty, full = np.zeros((2, 4, 4), np.uint8), np.ones((3, 4, 4), np.uint8)
    assert ged(empty, empty, 2) == 0
    assert hungarian_iou(empty, empty, 2) == 1
    assert ged(empty, full, 2) == 2
    assert hungarian_iou(empty, full, 2) == 0


def test_chunks_of_a_large_volume_change_nothing(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = rng.integers(0, 3, (3, 6, 20, 20), np.uint8), rng.integers(0, 3, (2, 6, 20, 20), np.uint8)
    whole = iou_distances(a, b, 3)
    monkeypatch.setattr("entrust.metrics.hypotheses.CHUNK", 333)
    np.testing.assert_array_equal(iou_distances(a, b, 3), whole)
