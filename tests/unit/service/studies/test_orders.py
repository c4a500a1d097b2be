"""Whoever orders a study has it to itself, and every call may come again after a kill."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from entrust.contract import TASKS
from entrust.errors import NotFoundError
from service.archive import Archive
from service.ingest import IngestLimits
from service.jobs.job import Priority
from service.selection import load_rules
from service.studies.orders import LEFT, Orders
from service.studies.record import StudyRecord, StudyState
from service.studies.records import StudyRecords
from service.studies.watcher import Watcher
from tests.factories.studies import dicom_bytes, dicom_datasets

NAMED = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Grün^Ada"}]}}
LATER = 1000.0
"""Seconds after which rules wait for nothing more."""


class Room:
    """An archive whose studies are ordered, or begun by the rules."""

    def __init__(self, archive: Archive, records: StudyRecords, folder: Path) -> None:
        self.archive, self.records, self.folder = archive, records, folder
        self.orders = Orders(archive, records, self.begin, self.cancel)
        rules = load_rules(None, TASKS)
        self.watcher = Watcher(archive, records, rules, IngestLimits(), folder / "looks", self.begin)

    def begin(
        self, record: StudyRecord, priority: Priority, task: str = "", attributes: Any = None, order: str = ""
    ) -> None:
        received = self.archive.index.last_received(record.study_uid) or record.received_seconds
        self.records.begin(
            record.name, priority=priority, task=task, considered_seconds=received, attributes=attributes, order=order
        )

    def cancel(self, record: StudyRecord) -> None:
        self.records.end(record.id, StudyState.CANCELLED)

    def store(self, datasets: Sequence[Dataset]) -> str:
        for ds in datasets:
            self.archive.store(dicom_bytes(ds))
        self.archive.flush()
        return str(datasets[0].StudyInstanceUID)

    def look(self, after_seconds: float = LATER) -> None:
        for seconds in (after_seconds, after_seconds + LATER):  # once to see it, once to look at it
            self.watcher.look(time.time() + seconds)

    def record(self, study: str) -> StudyRecord:
        return self.records.get(study_uid=study)

    def alter(self, how: str, table: str) -> None:
        with contextlib.closing(sqlite3.connect(self.folder / "studies")) as connection:
            connection.execute(f"ALTER TABLE {table} {how}")

    async def submit(self, order: str) -> None:
        await self.orders.submit(order, priority=Priority.STAT, attributes=NAMED)


@pytest.fixture
def room(archive: Archive, records: StudyRecords, tmp_path: Path) -> Room:
    return Room(archive, records, tmp_path)


async def test_the_rules_begin_nothing_of_a_study_that_is_ordered(room: Room) -> None:
    datasets = dicom_datasets()
    study = str(datasets[0].StudyInstanceUID)
    assert not await room.orders.hold("a", study)
    room.store(datasets)
    room.look()
    assert room.record(study).run == 0
    await room.submit("a")
    record = room.record(study)
    assert (record.run, record.state, record.priority) == (1, StudyState.QUEUED, Priority.STAT)
    assert record.attributes == NAMED
    room.records.end(record.id, StudyState.SUCCEEDED)
    await room.orders.release("a")
    room.look(3 * LATER)
    assert room.record(study).run == 1, "what the order was about is done"


async def test_a_series_that_comes_later_begins_a_run_of_the_rules_after_the_release(room: Room) -> None:
    datasets = dicom_datasets()
    study = room.store(datasets[:6])
    await room.orders.hold("a", study)
    await room.submit("a")
    time.sleep(0.01)
    room.store(datasets)
    room.look()
    room.records.end(room.record(study).id, StudyState.SUCCEEDED)
    room.look(3 * LATER)
    assert room.record(study).run == 1
    await room.orders.release("a")
    room.look(6 * LATER)
    record = room.record(study)
    assert (record.run, record.order, record.attributes) == (2, "", {}), (
        "the order's patient is not the rules' business"
    )


async def test_every_call_may_come_again(room: Room) -> None:
    study = room.store(dicom_datasets(("ct",)))
    for begun in (False, False):
        assert await room.orders.hold("a", study) is begun
    for _ in range(2):
        await room.submit("a")
        assert await room.orders.hold("a", study), "after a kill it is known that the work was begun"
    assert room.record(study).run == 1
    room.records.end(room.record(study).id, StudyState.SUCCEEDED)
    assert await room.orders.hold("a", study), "and so it is when the work has ended meanwhile"
    await room.submit("a")
    await room.orders.cancel("a")
    assert ((await room.orders.get("a")).state, room.record(study).run) == (StudyState.SUCCEEDED, 1)
    for _ in range(2):
        await room.orders.release("a")
    with pytest.raises(NotFoundError):
        await room.orders.get("a")


async def test_orders_of_one_study_come_one_after_the_other(room: Room) -> None:
    study = room.store(dicom_datasets(("ct",)))
    await room.orders.hold("a", study)
    second = asyncio.create_task(room.orders.hold("b", study))
    await asyncio.sleep(0.3)
    await room.submit("a")
    room.records.end(room.record(study).id, StudyState.SUCCEEDED)
    await asyncio.sleep(0.3)
    assert not second.done(), "the first may still have to be told how it ended"
    await room.orders.release("a")
    assert not await second
    await room.submit("b")
    assert room.record(study).run == 2


async def test_a_database_that_is_away_is_waited_for(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.studies.orders.AWAY_SECONDS", 0.05)
    study = room.store(dicom_datasets(("ct",)))
    room.alter("RENAME TO gone", "entrust_study_orders")
    order = asyncio.create_task(room.orders.hold("a", study))
    await asyncio.sleep(0.2)
    assert not order.done()
    room.alter("RENAME TO entrust_study_orders", "gone")
    assert not await order
    assert room.record(study).order == "a"


async def test_an_order_waits_for_a_run_of_the_rules(room: Room) -> None:
    study = room.store(dicom_datasets(("ct",)))
    room.look()
    assert room.record(study).run == 1
    order = asyncio.create_task(room.orders.hold("a", study))
    await asyncio.sleep(0.3)
    assert not order.done()
    room.records.end(room.record(study).id, StudyState.SUCCEEDED)
    assert not await order


async def test_what_was_fetched_for_an_order_that_was_taken_back_is_left_alone(room: Room) -> None:
    datasets = dicom_datasets()
    study = str(datasets[0].StudyInstanceUID)
    await room.orders.hold("a", study)
    room.store(datasets)
    room.look()
    await room.orders.release("a")
    room.look(3 * LATER)
    record = room.record(study)
    assert (record.run, record.state, record.reason) == (0, StudyState.IGNORED, LEFT)


async def test_an_order_for_a_study_of_which_nothing_came_leaves_nothing(room: Room) -> None:
    await room.orders.hold("a", "1.2.3")
    with pytest.raises(NotFoundError):
        await room.submit("a")
    await room.orders.release("a")
    assert room.records.find() == ([], 0)


async def test_a_release_takes_back_work_that_has_not_ended(room: Room) -> None:
    study = room.store(dicom_datasets(("ct",)))
    await room.orders.hold("a", study)
    await room.submit("a")
    await room.orders.release("a")
    assert room.record(study).state is StudyState.CANCELLED


async def test_orders_that_nobody_knows_are_let_go_at_the_start(room: Room) -> None:
    studies = [room.store(dicom_datasets(("ct",))) for _ in range(2)]
    for order, study in zip("ab", studies, strict=True):
        await room.orders.hold(order, study)
    await room.orders.retain({"b"})
    assert [room.record(study).order for study in studies] == ["", "b"]


async def test_a_study_that_is_ordered_is_not_over(room: Room) -> None:
    study = room.store(dicom_datasets(("ct",)))
    await room.orders.hold("a", study)
    await room.submit("a")
    room.records.end(room.record(study).id, StudyState.SUCCEEDED)
    assert room.records.over(time.time() + LATER, with_images=False) == []
    await room.orders.release("a")
    assert [record.study_uid for record in room.records.over(time.time() + LATER, with_images=False)] == [study]
