"""Is the why right."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from entrust.errors import InvalidInputError
from entrust.metrics import attribution_accuracy, pointing_game, rater_correlation, voxel_attribution_accuracy


@pytest.fixture
def blobs() -> np.ndarray:
    b = np.zeros((2, 10, 10), bool)
    b[0, :3, :3] = b[1, 6:, 6:] = True
    return b


def only(num: int, *right: int) -> np.ndarray:
    """Of each conflict, one of ``num`` candidates is right."""
    return np.eye(num, dtype=bool)[list(right)]


def test_the_strongest_mean_evidence_of_a_conflict_is_its_attribution(blobs: np.ndarray) -> None:
    evidence = np.full((3, 10, 10), 0.1)
    evidence[2][blobs[0]] = 0.4
    evidence[0][blobs[1]] = 0.4
    evidence[1, 5, 0] = 1.0  # outside every conflict
    assert attribution_accuracy(evidence, blobs, only(3, 2, 0)) == 1
    assert attribution_accuracy(evidence, blobs, only(3, 2, 1)) == 0.5
    assert attribution_accuracy(evidence, blobs[::-1], only(3, 0, 2)) == 1
    evidence[1, 0, 0] = 1.0  # one voxel of nine does not outweigh the conflict, but it is a voxel
    assert attribution_accuracy(evidence, blobs, only(3, 2, 0)) == 1
    assert voxel_attribution_accuracy(evidence, blobs, only(3, 2, 0)) == pytest.approx((8 / 9 + 1) / 2)


@given(st.integers(2, 6), st.integers(0, 5))
def test_evidence_without_content_has_chance(candidates: int, true: int) -> None:
    blobs = np.ones((1, 4, 4), bool)
    constant = np.full((candidates, 4, 4), 0.3)
    for accuracy in (attribution_accuracy, voxel_attribution_accuracy):
        assert accuracy(constant, blobs, only(candidates, true % candidates)) == pytest.approx(1 / candidates)


@given(hnp.arrays(np.float64, (3, 4, 4), elements=st.floats(0, 1)), st.integers(0, 2), st.permutations(range(3)))
def test_the_order_of_candidates_does_not_matter(evidence: np.ndarray, true: int, order: list[int]) -> None:
    blobs = np.eye(4, dtype=bool)[None]
    for accuracy in (attribution_accuracy, voxel_attribution_accuracy):
        value = accuracy(evidence, blobs, only(3, true))
        assert accuracy(evidence[order], blobs, only(3, order.index(true))) == pytest.approx(value)
        assert sum(accuracy(evidence, blobs, only(3, c)) for c in range(3)) == pytest.approx(1)


def test_where_two_modalities_deny_alike_both_pairs_are_right(blobs: np.ndarray) -> None:
    right = np.array([[True, True, False], [False, False, True]])
    evidence = np.full((3, 10, 10), 0.1)
    evidence[1][blobs[0]] = 0.4
    for accuracy in (attribution_accuracy, voxel_attribution_accuracy):
        assert accuracy(evidence, blobs[:1], right[:1]) == 1
        assert accuracy(np.ones((3, 10, 10)), blobs, right) == pytest.approx((2 / 3 + 1 / 3) / 2), "chance"


def test_without_conflicts_there_is_nothing_to_attribute(blobs: np.ndarray) -> None:
    evidence = np.zeros((2, 10, 10))
    for accuracy in (attribution_accuracy, voxel_attribution_accuracy):
        assert np.isnan(accuracy(evidence, blobs[:0], only(2)))
        with pytest.raises(InvalidInputError):
            accuracy(evidence, blobs, np.array([[True, False], [False, False]]))
        with pytest.raises(InvalidInputError):
            accuracy(evidence, np.zeros_like(blobs), only(2, 0, 1))


def test_the_pointing_game_asks_where_the_maximum_lies(blobs: np.ndarray) -> None:
    score = np.zeros((10, 10))
    score[1, 1] = 1.0
    assert pointing_game(score, blobs[0]) == 1
    assert pointing_game(score, blobs[1]) == 0
    score[7, 7] = 1.0
    assert pointing_game(score, blobs[1]) == 0.5
    assert pointing_game(np.zeros((10, 10)), blobs[0]) == pytest.approx(0.09), "a constant map has the target's share"
    assert np.isnan(pointing_game(score, np.zeros((10, 10), bool)))


def test_the_raters_correlation_is_that_of_scipy(rng: np.random.Generator) -> None:
    truths = rng.integers(0, 3, (4, 6, 7), np.uint8)
    uncertainty, domain = rng.random((6, 7)), rng.random((6, 7)) < 0.7
    shares = np.stack([(truths == c).mean(axis=0) for c in range(3)])
    expected = scipy.stats.pearsonr(uncertainty[domain], 1 - (shares**2).sum(axis=0)[domain]).statistic
    assert rater_correlation(uncertainty, truths, domain) == pytest.approx(expected)
    assert rater_correlation(1 - (shares**2).sum(axis=0), truths, domain) == pytest.approx(1)


def test_nothing_correlates_with_a_constant(rng: np.random.Generator) -> None:
    truths, domain = rng.integers(0, 2, (3, 5, 5), np.uint8), np.ones((5, 5), bool)
    assert np.isnan(rater_correlation(np.ones((5, 5)), truths, domain))
    assert np.isnan(rater_correlation(rng.random((5, 5)), np.zeros((3, 5, 5), np.uint8), domain))
    assert np.isnan(rater_correlation(rng.random((5, 5)), truths, np.zeros((5, 5), bool)))
