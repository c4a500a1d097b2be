"""Scores that should find errors and conflict."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from entrust.errors import InvalidInputError
from entrust.metrics import aupr, auroc, best_overlap, binned_counts, detection_counts, pavpu

SCORES = hnp.arrays(np.int64, 12, elements=st.integers(0, 5))  # few values: many ties
POSITIVE = hnp.arrays(bool, 12)


@given(SCORES, POSITIVE.filter(lambda p: 0 < p.sum() < 12))
def test_auroc_is_the_u_statistic(score: np.ndarray, positive: np.ndarray) -> None:
    u = scipy.stats.mannwhitneyu(score[positive], score[~positive]).statistic
    assert auroc(score, positive) == pytest.approx(u / (positive.sum() * (~positive).sum()))
    assert auroc(-score, positive) == pytest.approx(1 - auroc(score, positive))


@given(SCORES, POSITIVE.filter(np.any))
def test_average_precision_and_best_overlap_are_their_definitions(score: np.ndarray, positive: np.ndarray) -> None:
    area, recall_before, overlaps = 0.0, 0.0, {}
    for threshold in sorted(set(score), reverse=True):
        called = score >= threshold
        hits = (called & positive).sum()
        recall = hits / positive.sum()
        area += (recall - recall_before) * hits / called.sum()
        recall_before = recall
        overlaps[threshold] = 2 * hits / (called.sum() + positive.sum())
    assert aupr(score, positive) == pytest.approx(area)
    overlap, threshold = best_overlap(score, positive)
    assert overlap == pytest.approx(max(overlaps.values()))
    assert overlaps[int(threshold)] == pytest.approx(overlap)


def test_chance_and_perfection(rng: np.random.Generator) -> None:
    positive = rng.random(50_000) < 0.1
    assert auroc(positive.astype(float), positive) == 1
    assert aupr(positive.astype(float), positive) == 1
    assert auroc(rng.random(50_000), positive) == pytest.approx(0.5, abs=0.02)
    assert aupr(rng.random(50_000), positive) == pytest.approx(0.1, abs=0.02)
    assert auroc(np.zeros(50_000), positive) == 0.5
    assert np.isnan(auroc(np.ones(3), np.ones(3, bool)))
    assert np.isnan(aupr(np.ones(3), np.zeros(3, bool)))


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(InvalidInputError):
        auroc(np.array([0.1, np.nan]), np.array([True, False]))


def test_patches_are_accurate_and_certain_or_neither() -> None:
    correct = np.ones((8, 10), bool)
    correct[:4, :4] = False
    uncertainty = np.where(correct, 0.0, 1.0)
    assert pavpu(correct, uncertainty, 0.5) == 1  # 2 × 2 patches; the last two columns fill none
    assert pavpu(correct, 1 - uncertainty, 0.5) == 0
    assert pavpu(correct, np.zeros((8, 10)), 0.5) == 0.75
    assert pavpu(np.stack([correct] * 3), np.zeros((3, 8, 10)), 0.5) == 0.75


UNIT_SCORES = hnp.arrays(np.float64, 30, elements=st.floats(0, 1))
HIT = hnp.arrays(bool, 30)


@given(hnp.arrays(np.int64, 30, elements=st.integers(0, 9)), HIT.filter(lambda p: 0 < p.sum() < 30), HIT)
def test_binned_counts_of_parts_add_up_and_are_exact_when_scores_are_the_bins(
    tenths: np.ndarray, positive: np.ndarray, part: np.ndarray
) -> None:
    score = (tenths + 0.5) / 10
    counts = binned_counts(score[part], positive[part], bins=10) + binned_counts(score[~part], positive[~part], bins=10)
    exact = detection_counts(score, positive)
    assert float(counts.auroc) == pytest.approx(float(exact.auroc))
    assert float(counts.aupr) == pytest.approx(float(exact.aupr))
    assert counts.overlaps.max() == pytest.approx(exact.overlaps.max())
    # the threshold of a bin keeps the bin
    best = counts.best_threshold
    called = score >= best
    assert 2 * (called & positive).sum() / (called.sum() + positive.sum()) == pytest.approx(exact.overlaps.max())


@given(UNIT_SCORES, HIT.filter(lambda p: 0 < p.sum() < 30), st.sampled_from([2, 5, 50]))
def test_bins_cost_at_most_half_the_chance_of_a_shared_bin(score: np.ndarray, positive: np.ndarray, bins: int) -> None:
    binned, exact = binned_counts(score, positive, bins=bins), detection_counts(score, positive)
    shared = (binned.hits / binned.hits.sum() * binned.misses / binned.misses.sum()).sum()
    assert abs(float(binned.auroc) - float(exact.auroc)) <= 0.5 * shared + 1e-9


@given(SCORES, POSITIVE.filter(lambda p: 0 < p.sum() < 12), st.permutations(range(12)))
def test_the_order_of_voxels_and_the_scale_of_scores_do_not_matter(
    score: np.ndarray, positive: np.ndarray, order: list[int]
) -> None:
    for metric in (auroc, aupr):
        assert 0 <= metric(score, positive) <= 1
        assert metric(score[order], positive[order]) == pytest.approx(metric(score, positive))
        assert metric(np.exp(3.0 * score), positive) == pytest.approx(metric(score, positive))


def test_counts_that_cannot_be_meant_are_refused() -> None:
    score, positive = np.array([0.2, 0.7]), np.array([True, False])
    with pytest.raises(InvalidInputError):
        binned_counts(score, positive, bins=10) + binned_counts(score, positive, bins=20)
    for bad in (np.array([-0.1, 0.5]), np.array([np.nan, 0.5])):
        with pytest.raises(InvalidInputError):
            binned_counts(bad, positive)


def test_no_voxel_has_no_curve() -> None:
    for counts in (detection_counts(np.zeros(0), np.zeros(0, bool)), binned_counts(np.zeros(0), np.zeros(0, bool))):
        assert np.isnan(counts.auroc)
        assert np.isnan(counts.aupr)
        assert np.isnan(counts.best_threshold)
