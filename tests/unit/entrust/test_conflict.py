"""Conflict between modalities, and the probes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from entrust.conflict import (
    Probe,
    jensen_shannon,
    pair_conflict,
    probe_plan,
    probe_shifts,
    shows_foreground,
    union_conflict,
    vacuity,
)
from entrust.contract import ONCOLOGY
from entrust.errors import InvalidInputError
from entrust.uncertainty import softmax

ALL = (True, True, True)


def two_class(*foreground: float) -> np.ndarray:
    """One voxel: p_m(foreground) per modality → [m, 1, 2, 1, 1]."""
    p = np.asarray(foreground, np.float32)
    return np.stack([1 - p, p], axis=1).reshape(len(p), 1, 2, 1, 1)


def present(*flags: float) -> np.ndarray:
    return np.asarray(flags, np.float32).reshape(-1, 1, 1, 1)


def test_the_plan_asks_without_each_modality_and_turns_the_conflict_up_down_and_off() -> None:
    plan = probe_plan(ONCOLOGY, ALL, epsilon=0.25)
    assert [probe.name for probe in plan] == [
        "base",
        "without_ct",
        "without_pet",
        "without_t1",
        "conflict_up",
        "conflict_down",
        "conflict_off",
    ]
    assert plan[2].keep == (True, False, True)
    assert [probe.conflict_gain for probe in plan] == [1, 1, 1, 1, 1.25, 0.75, 0]
    assert all(probe.keep == ALL for probe in (plan[0], *plan[4:]))


@given(st.tuples(st.booleans(), st.booleans(), st.booleans()).filter(any))
def test_every_question_keeps_something_and_nothing_that_is_absent(available: tuple[bool, ...]) -> None:
    plan = probe_plan(ONCOLOGY, available)
    assert plan[0] == Probe("base", available, 1.0)
    assert len(plan) == 4 + (sum(available) if sum(available) > 1 else 0)
    for probe in plan:
        assert any(probe.keep)
        assert all(a or not k for k, a in zip(probe.keep, available, strict=True))


@pytest.mark.parametrize(("available", "epsilon"), [((False,) * 3, 0.5), ((True,), 0.5), (ALL, 0.0), (ALL, 1.5)])
def test_plans_for_nothing_are_refused(available: tuple[bool, ...], epsilon: float) -> None:
    with pytest.raises(InvalidInputError):
        probe_plan(ONCOLOGY, available, epsilon)


def test_jensen_shannon_agrees_with_scipy(rng: np.random.Generator) -> None:
    p, q = softmax(rng.normal(size=(2, 5, 3, 4, 4)).astype(np.float32) * 3, axis=2)
    expected = jensenshannon(p.astype(float), q.astype(float), axis=1) ** 2
    np.testing.assert_allclose(jensen_shannon(p, q, axis=1), expected, atol=1e-5)
    np.testing.assert_array_equal(jensen_shannon(p, p, axis=1), 0)
    np.testing.assert_allclose(jensen_shannon(p, q, axis=1), jensen_shannon(q, p, axis=1), atol=1e-7)
    sure = np.eye(2, dtype=np.float32)
    np.testing.assert_allclose(jensen_shannon(sure, sure[::-1], axis=1), np.log(2), rtol=1e-6)


def test_shifts_are_what_the_probes_moved() -> None:
    plan = probe_plan(ONCOLOGY, (True, False, True), epsilon=0.5)
    answers = np.concatenate([two_class(0.6)] * len(plan))
    names = [probe.name for probe in plan]
    answers[names.index("without_t1")] = two_class(0.9)
    answers[names.index("conflict_up")] = two_class(0.7)
    answers[names.index("conflict_down")] = two_class(0.55)
    shifts = probe_shifts(ONCOLOGY, plan, answers)
    d_t1 = jensen_shannon(two_class(0.6), two_class(0.9), axis=2).item()
    np.testing.assert_allclose(shifts.leave_one_out.ravel(), [0, 0, d_t1], atol=1e-6)
    assert shifts.sensitivity.item() == pytest.approx(0.15 / 0.5, abs=1e-6)
    assert shifts.leave_one_out.dtype == np.float32


def test_without_the_gain_probes_there_is_no_sensitivity() -> None:
    plan = (Probe("base", ALL, 1.0), Probe("without_ct", (False, True, True), 1.0))
    shifts = probe_shifts(ONCOLOGY, plan, np.concatenate([two_class(0.2), two_class(0.8)]))
    assert not shifts.sensitivity.any()
    assert shifts.leave_one_out[0].item() > 0


def test_answers_that_do_not_belong_to_the_questions_are_refused() -> None:
    plan = probe_plan(ONCOLOGY, ALL)
    answers = np.concatenate([two_class(0.5)] * len(plan))
    with pytest.raises(InvalidInputError):
        probe_shifts(ONCOLOGY, plan, answers[:-1])
    with pytest.raises(InvalidInputError):
        probe_shifts(ONCOLOGY, plan[1:], answers[1:])


def test_two_that_are_sure_and_opposite_conflict_and_a_third_that_does_not_know_stays_out() -> None:
    pairs = pair_conflict(two_class(1.0, 0.0, 0.5), present(1, 1, 1))
    np.testing.assert_allclose(pairs.ravel(), [1, 0, 0], atol=1e-4)  # (0,1), (0,2), (1,2)
    assert union_conflict(pairs).item() == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(vacuity(two_class(1.0, 0.0, 0.5)).ravel(), [0, 0, 1], atol=1e-4)
    np.testing.assert_array_equal(shows_foreground(two_class(1.0, 0.0, 0.5)).ravel(), [True, False, False])


def test_agreement_and_absence_are_no_conflict() -> None:
    assert not pair_conflict(two_class(0.9, 0.9), present(1, 1)).any()
    assert not pair_conflict(two_class(1.0, 0.0), present(1, 0)).any()
    assert not pair_conflict(two_class(1.0, 0.0), np.asarray([[[[True]]], [[[False]]]])).any()


@given(st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3))
def test_conflict_stays_between_nothing_and_one_and_knows_no_order(foreground: list[float]) -> None:
    pairs = pair_conflict(two_class(*foreground), present(1, 1, 1))
    assert pairs.min() >= -1e-6
    assert pairs.max() <= union_conflict(pairs).item() + 1e-6 <= 1 + 2e-6
    backwards = pair_conflict(two_class(*foreground[::-1]), present(1, 1, 1))
    np.testing.assert_allclose(pairs.ravel(), backwards.ravel()[::-1], atol=1e-6)
