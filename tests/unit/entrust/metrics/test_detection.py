"""Scores that should find errors, conflict and bad cases."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from entrust.errors import InvalidInputError
from entrust.metrics import augrc, aupr, aurc, auroc, best_overlap, excess_aurc, pavpu

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


CONFIDENCE = hnp.arrays(np.float64, 8, elements=st.sampled_from([0.1, 0.5, 0.9]))
RISK = hnp.arrays(np.float64, 8, elements=st.floats(0, 1))


@given(CONFIDENCE, RISK, st.permutations(range(8)))
def test_risk_coverage_areas_do_not_depend_on_the_order_of_cases(
    confidence: np.ndarray, risk: np.ndarray, order: list[int]
) -> None:
    for area in (aurc, augrc):
        assert area(confidence[order], risk[order]) == pytest.approx(area(confidence, risk))
    assert excess_aurc(confidence, risk) >= -1e-12


@settings(max_examples=15)
@given(CONFIDENCE, RISK)
def test_ties_keep_the_mean_over_their_random_orders(confidence: np.ndarray, risk: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    drawn = [aurc(confidence + 1e-3 * rng.random(8), risk) for _ in range(300)]
    assert aurc(confidence, risk) == pytest.approx(np.mean(drawn), abs=0.05)


def test_aurc_by_hand() -> None:
    # kept in order 0.9, 0.5, 0.1: risks 0, 1, 0.5 → selective risks 0, 1/2, 1/2
    assert aurc(np.array([0.5, 0.9, 0.1]), np.array([1.0, 0.0, 0.5])) == pytest.approx(1 / 3)
    assert excess_aurc(np.array([3.0, 2.0, 1.0]), np.array([0.0, 0.5, 1.0])) == 0
    # a constant confidence keeps the mean risk at every coverage
    assert aurc(np.zeros(5), np.array([0, 0, 1, 1, 0.5])) == pytest.approx(0.5)


@given(st.integers(0, 20))
def test_augrc_of_a_perfect_order_is_half_the_squared_error_rate(errors: int) -> None:
    risk = np.arange(20) < errors
    assert augrc(1.0 - risk, risk.astype(float)) == pytest.approx(0.5 * (errors / 20) ** 2)
    assert augrc(np.zeros(20), risk.astype(float)) == pytest.approx(0.5 * errors / 20)


def test_patches_are_accurate_and_certain_or_neither() -> None:
    correct = np.ones((8, 10), bool)
    correct[:4, :4] = False
    uncertainty = np.where(correct, 0.0, 1.0)
    assert pavpu(correct, uncertainty, 0.5) == 1  # 2 × 2 patches; the last two columns fill none
    assert pavpu(correct, 1 - uncertainty, 0.5) == 0
    assert pavpu(correct, np.zeros((8, 10)), 0.5) == 0.75
    assert pavpu(np.stack([correct] * 3), np.zeros((3, 8, 10)), 0.5) == 0.75


def test_no_case_has_no_curve() -> None:
    with pytest.raises(InvalidInputError):
        aurc(np.zeros(0), np.zeros(0))
