"""Confidence that should find bad patients."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from entrust.errors import InvalidInputError
from entrust.metrics import augrc, aurc, excess_aurc, patient_augrc, patient_aurc, patient_excess_aurc

CONFIDENCE = hnp.arrays(np.float64, 8, elements=st.sampled_from([0.1, 0.5, 0.9]))
RISK = hnp.arrays(np.float64, 8, elements=st.floats(0, 1))


@given(CONFIDENCE, RISK, st.permutations(range(8)))
def test_risk_coverage_areas_do_not_depend_on_the_order_of_cases(
    confidence: np.ndarray, risk: np.ndarray, order: list[int]
) -> None:
    for area in (aurc, augrc):
        assert area(confidence[order], risk[order]) == pytest.approx(area(confidence, risk))
    assert excess_aurc(confidence, risk) >= -1e-12


@given(CONFIDENCE, RISK)
def test_ties_keep_the_mean_over_all_their_orders(confidence: np.ndarray, risk: np.ndarray) -> None:
    confidence, risk = confidence[:5], risk[:5]

    def direct(order: tuple[int, ...]) -> tuple[float, float]:
        kept = np.cumsum(risk[list(order)])
        generalised = np.r_[0.0, kept / 5]
        return float(np.mean(kept / np.arange(1, 6))), float(np.mean(0.5 * (generalised[1:] + generalised[:-1])))

    falling = [o for o in permutations(range(5)) if (np.diff(confidence[list(o)]) <= 0).all()]
    areas = np.mean([direct(order) for order in falling], axis=0)
    assert (aurc(confidence, risk), augrc(confidence, risk)) == pytest.approx(tuple(areas))


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


@given(CONFIDENCE, RISK, hnp.arrays(np.int64, 8, elements=st.integers(0, 3)).filter(np.any))
def test_counting_a_patient_twice_is_having_it_twice(
    confidence: np.ndarray, risk: np.ndarray, times: np.ndarray
) -> None:
    counts = np.stack([times, np.ones(8, int)]).astype(float)
    repeated = np.repeat(confidence, times), np.repeat(risk, times)
    for statistic, area in ((patient_aurc, aurc), (patient_augrc, augrc), (patient_excess_aurc, excess_aurc)):
        expected = area(*repeated), area(confidence, risk)
        assert statistic(confidence, risk).of(counts) == pytest.approx(expected, abs=1e-12)


@given(CONFIDENCE, RISK)
def test_a_perfect_order_is_best_and_a_reversed_one_worst(confidence: np.ndarray, risk: np.ndarray) -> None:
    for area in (aurc, augrc):
        best, worst = area(-risk, risk), area(risk, risk)
        assert best - 1e-12 <= area(confidence, risk) <= worst + 1e-12
    assert excess_aurc(-risk, risk) == pytest.approx(0, abs=1e-12)


def test_no_case_has_no_curve() -> None:
    with pytest.raises(InvalidInputError):
        aurc(np.zeros(0), np.zeros(0))
    with pytest.raises(InvalidInputError):
        augrc(np.array([0.5, np.nan]), np.zeros(2))
