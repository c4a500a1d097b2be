"""When a study that comes in pieces is complete: by silence, by its roles, never because of our own results."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrust.errors import GeometryConflictError, UnsupportedMediaError
from service.selection import Arrival, Completeness, Rules, completeness, default_rules
from service.selection.completeness import StudyState
from service.selection.guard import MANUFACTURER, PRODUCT
from service.study import SeriesHeader
from tests.factories.rules_files import TASKS, parse
from tests.factories.selections import header

ROLES = "tasks: [{task: oncology, roles: {ct: {required: true}, pet: {required: true}, t1: {}}}]"
CT, PET, MR = header("CT", 1), header("PT", 2), header("MR", 3, "T1")
OWN = header("CT", 9, Manufacturer=MANUFACTURER, ManufacturerModelName=PRODUCT)


def rules(complete_when: str) -> Rules:
    return parse(f"version: 1\ncomplete_when: {complete_when}\n{ROLES}")


QUIET = rules("{any: [quiet_seconds: 60]}")
ROLES_OR_QUIET = rules("{any: [{roles_filled_for_seconds: 5}, {quiet_seconds: 60}]}")
ROLES_AND_QUIET = rules("{all: [{roles_filled_for_seconds: 5}, {quiet_seconds: 60}]}")
ROLES_ALONE = rules("{any: [roles_filled_for_seconds: 5]}")


def at(now: float, by: Rules, *arrived: tuple[SeriesHeader, float], done: float | None = None) -> Completeness:
    arrivals = [Arrival(series, seconds) for series, seconds in arrived]
    return completeness(arrivals, by, TASKS, now_seconds=now, done_at_seconds=done)


def test_silence() -> None:
    arrived = ((CT, 0.0), (PET, 30.0))
    waiting = at(89.0, QUIET, *arrived)
    assert (waiting.state, waiting.look_again_at_seconds) == (StudyState.WAITING, 90.0)
    complete = at(90.0, QUIET, *arrived)
    assert (complete.state, complete.look_again_at_seconds) == (StudyState.COMPLETE, None)
    assert complete.selection.task == "oncology"
    assert set(complete.selection.chosen) == {"ct", "pet"}


def test_roles_do_not_wait_for_silence() -> None:
    arrived = ((CT, 0.0), (PET, 30.0), (MR, 34.0))  # the MR is still coming, and is not required
    assert at(34.0, ROLES_OR_QUIET, *arrived).look_again_at_seconds == 35.0
    assert at(35.0, ROLES_OR_QUIET, *arrived).state is StudyState.COMPLETE


def test_without_the_roles_silence_ends_in_nothing_to_do() -> None:
    assert at(59.0, ROLES_OR_QUIET, (CT, 0.0)).look_again_at_seconds == 60.0
    ended = at(60.0, ROLES_OR_QUIET, (CT, 0.0))
    assert (ended.state, ended.reason) == (StudyState.NOTHING_TO_DO, "No task fits what has come.")


@pytest.mark.parametrize("by", [ROLES_AND_QUIET, ROLES_ALONE])
def test_a_required_role_is_waited_for_as_long_as_it_takes(by: Rules) -> None:
    found = at(1e9, by, (CT, 0.0))
    assert (found.state, found.look_again_at_seconds) == (StudyState.WAITING, None)
    assert found.reason == "A required role is not played yet."


def test_both_signals_may_be_asked_for() -> None:
    arrived = ((CT, 0.0), (PET, 1.0))
    assert at(60.0, ROLES_AND_QUIET, *arrived).look_again_at_seconds == 61.0
    assert at(61.0, ROLES_AND_QUIET, *arrived).state is StudyState.COMPLETE


def test_half_a_series_plays_no_role() -> None:
    half = header("PT", 2, refused=GeometryConflictError("Slices are missing from the series."))
    assert at(1e9, ROLES_ALONE, (CT, 0.0), (half, 1.0)).state is StudyState.WAITING


def test_without_required_roles_any_role_will_do() -> None:
    by = parse(
        "version: 1\ncomplete_when: {any: [roles_filled_for_seconds: 5]}\ntasks: [{task: oncology, roles: {ct: {}}}]"
    )
    assert at(4.0, by, (CT, 0.0)).state is StudyState.WAITING
    assert at(5.0, by, (CT, 0.0)).state is StudyState.COMPLETE


def test_our_own_results_neither_delay_nor_repeat() -> None:
    arrived = ((CT, 0.0), (PET, 0.0))
    assert at(60.0, QUIET, *arrived, (OWN, 59.0)).state is StudyState.COMPLETE
    again = at(500.0, QUIET, *arrived, (OWN, 100.0), done=60.0)
    assert (again.state, again.reason) == (
        StudyState.NOTHING_TO_DO,
        "Nothing that plays a role has come since it was done.",
    )
    late = at(500.0, QUIET, *arrived, (OWN, 100.0), (MR, 400.0), done=60.0)
    assert late.state is StudyState.COMPLETE
    report = header("SR", 8, refused=UnsupportedMediaError("The objects hold no images."))
    assert at(500.0, QUIET, *arrived, (report, 400.0), done=60.0).state is StudyState.NOTHING_TO_DO
    assert at(500.0, QUIET, (OWN, 1.0)).state is StudyState.NOTHING_TO_DO
    assert at(500.0, QUIET).state is StudyState.NOTHING_TO_DO


def test_an_urgent_study_is_known_before_it_is_complete() -> None:
    urgent = header("CT", 1, RequestedProcedurePriority="STAT")
    found = at(1.0, default_rules(), (urgent, 0.0))
    assert (found.state, found.selection.priority) == (StudyState.WAITING, "stat")


ARRIVED = st.lists(st.tuples(st.sampled_from([CT, PET, MR, OWN]), st.floats(0.0, 100.0)), max_size=5)
BY = st.sampled_from([QUIET, ROLES_OR_QUIET, ROLES_AND_QUIET, ROLES_ALONE])


@given(BY, ARRIVED, st.floats(0.0, 300.0))
def test_looking_again_when_told_settles_it(by: Rules, arrived: list[tuple[SeriesHeader, float]], now: float) -> None:
    found = at(now, by, *arrived)
    if found.state is StudyState.WAITING and found.look_again_at_seconds is not None:
        assert found.look_again_at_seconds > now
        assert at(found.look_again_at_seconds, by, *arrived).state is not StudyState.WAITING
        before = (now + found.look_again_at_seconds) / 2
        if now < before < found.look_again_at_seconds:
            assert at(before, by, *arrived).state is StudyState.WAITING


@given(BY, ARRIVED, st.floats(0.0, 300.0), st.floats(0.0, 300.0))
def test_time_alone_never_makes_a_study_incomplete(
    by: Rules, arrived: list[tuple[SeriesHeader, float]], now: float, later: float
) -> None:
    if at(now, by, *arrived).state is StudyState.COMPLETE:
        assert at(now + later, by, *arrived).state is StudyState.COMPLETE
