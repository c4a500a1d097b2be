"""What the records promise: the worklist's order, and that no move is made twice."""

import pytest

from entrust.errors import NotFoundError
from service.jobs.job import Priority
from service.studies.record import ResultRef, Review, Sent, Step, StudyState
from service.studies.records import StudyRecords


def begin(records: StudyRecords, name: str, priority: Priority = Priority.ROUTINE, received: float = 1.0) -> str:
    records.see(f"1.2.{name}", name, received)
    record, begun = records.begin(name, priority=priority, considered_seconds=received)
    assert begun
    return record.id


def test_the_worklist_is_by_priority_then_by_need_of_review_then_by_age(records: StudyRecords) -> None:
    for number, (name, priority, reliability, share) in enumerate(
        [
            ("5", Priority.ROUTINE, "high", 0.9),
            ("4", Priority.ROUTINE, "moderate", 0.1),
            ("3", Priority.ROUTINE, "low", 0.1),
            ("2", Priority.ROUTINE, "low", 0.5),
            ("1", Priority.STAT, "high", 0.0),
        ]
    ):
        record_id = begin(records, name, priority, received=float(number))
        records.note(record_id, review=Review(reliability, share))
        assert records.end(record_id, StudyState.SUCCEEDED)
    begin(records, "7", received=20.0)
    begin(records, "6", received=10.0)
    found, total = records.find()
    assert [record.name for record in found] == ["1", "2", "3", "4", "5", "6", "7"]
    assert total == 7
    assert [record.name for record in records.find(limit=2, offset=1)[0]] == ["2", "3"]
    assert [record.name for record in records.find([StudyState.QUEUED])[0]] == ["6", "7"]
    assert records.counts()[StudyState.SUCCEEDED] == 5


def test_a_study_has_one_run_at_a_time(records: StudyRecords) -> None:
    first = begin(records, "a")
    record, begun = records.begin("a", priority=Priority.STAT, considered_seconds=2.0)
    assert (record.id, record.priority, begun) == (first, Priority.ROUTINE, False)


def test_a_run_ends_once_and_what_is_over_is_not_entered(records: StudyRecords) -> None:
    first = begin(records, "a")
    assert records.enter(first, Step.RECEIVE) is not None
    assert records.end(first, StudyState.CANCELLED)
    assert not records.end(first, StudyState.FAILED)
    assert records.enter(first, Step.SELECT) is None
    second = begin(records, "a")
    assert first != second
    assert records.enter(first, Step.SELECT) is None, "a run that was left behind must not touch its successor"
    assert records.enter(second, Step.RECEIVE) is not None


def test_the_last_target_ends_the_study(records: StudyRecords) -> None:
    run = begin(records, "a")
    records.note(run, results=[ResultRef("1", "2")], send_to=("pacs", "viewer"))
    records.note(run, send_to=("pacs", "viewer"))  # the step is done again
    assert not records.settle(run, "pacs", Sent.CONFIRMED)
    assert not records.settle(run, "pacs", Sent.CONFIRMED)
    assert records.get(name="a").state is StudyState.QUEUED
    assert records.settle(run, "viewer", Sent.CONFIRMED)
    found = records.get(name="a")
    assert (found.state, set(found.targets.values())) == (StudyState.SUCCEEDED, {Sent.CONFIRMED})
    assert found.results == (ResultRef("1", "2"),)


def test_an_unknown_study_is_not_found(records: StudyRecords) -> None:
    for given in ({"name": "x"}, {"study_uid": "1.2"}):
        with pytest.raises(NotFoundError):
            records.get(**given)
    assert records.enter("x-1", Step.INFER) is None
    assert records.enter("no number", Step.INFER) is None
