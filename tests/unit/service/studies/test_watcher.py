"""When a study that arrives is begun; the clock is an argument."""

import contextlib
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from entrust.contract import TASKS
from service.archive import Archive, Watermark
from service.archive.archive import INDEX_FILE
from service.archive.retention import delete_study
from service.ingest import IngestLimits
from service.jobs.job import Priority
from service.selection import load_rules, with_quiet_seconds
from service.selection.guard import MANUFACTURER, PRODUCT
from service.studies.record import StudyRecord, StudyState
from service.studies.records import StudyRecords
from service.studies.steps import link_study
from service.studies.watcher import Watcher
from tests.factories.studies import dicom_bytes, dicom_datasets


@dataclass
class Watched:
    """A watcher on an archive, and what it has begun."""

    archive: Archive
    records: StudyRecords
    folder: Path
    begun: list[tuple[str, Priority]] = field(default_factory=list)

    def __post_init__(self) -> None:
        rules = load_rules(None, TASKS)
        self.watcher = Watcher(self.archive, self.records, rules, IngestLimits(), self.folder / "looks", self.begin)

    def begin(self, record: StudyRecord, priority: Priority) -> None:
        self.begun.append((record.study_uid, priority))
        received = self.archive.index.last_received(record.study_uid) or 0.0
        record, new = self.records.begin(record.name, priority=priority, considered_seconds=received)
        assert new

    def store(self, datasets: Sequence[Dataset]) -> str:
        for ds in datasets:
            self.archive.store(dicom_bytes(ds))
        self.archive.flush()
        return str(datasets[0].StudyInstanceUID)

    def end(self, study: str) -> None:
        assert self.records.end(self.records.get(study_uid=study).id, StudyState.SUCCEEDED)


@pytest.fixture
def watched(archive: Archive, records: StudyRecords, tmp_path: Path) -> Watched:
    return Watched(archive, records, tmp_path)


def test_a_study_is_begun_when_it_has_been_quiet_for_long_enough(watched: Watched) -> None:
    study = watched.store(dicom_datasets())
    last = watched.archive.index.last_received(study)
    assert last is not None
    for seconds in (0, 2, 30, 59.9):
        watched.watcher.look(last + seconds)
        assert watched.records.get(study_uid=study).state is StudyState.RECEIVING
    watched.watcher.look(last + 60.1)
    assert watched.begun == [(study, Priority.ROUTINE)]
    watched.watcher.look(last + 1000)
    assert len(watched.begun) == 1


def test_a_study_that_goes_on_arriving_is_waited_for(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = dicom_datasets()
    start = time.time()
    clock = [start]
    monkeypatch.setattr("service.archive.archive.time.time", lambda: clock[0])
    for number, ds in enumerate(datasets):
        clock[0] = start + 50.0 * number
        study = watched.store([ds])
        watched.watcher.look(start + 50.0 * number + 1)
        watched.watcher.look(start + 50.0 * number + 49)
    assert watched.begun == []
    watched.watcher.look(start + 50.0 * (len(datasets) - 1) + 61)
    assert watched.begun == [(study, Priority.ROUTINE)]


def test_an_urgent_study_is_begun_as_such(watched: Watched) -> None:
    study = watched.store(dicom_datasets(tags={"RequestedProcedurePriority": "STAT"}))
    watched.watcher.look(time.time())
    watched.watcher.look(time.time() + 61)
    assert watched.begun == [(study, Priority.STAT)]


def test_our_own_results_begin_nothing(watched: Watched) -> None:
    study = watched.store(dicom_datasets(tags={"Manufacturer": MANUFACTURER, "ManufacturerModelName": PRODUCT}))
    watched.watcher.look(time.time())
    watched.watcher.look(time.time() + 1000)
    assert watched.begun == []
    assert watched.records.get(study_uid=study).state is StudyState.IGNORED


def test_results_that_arrive_in_a_study_do_not_begin_it_again(watched: Watched) -> None:
    datasets = dicom_datasets()
    study = watched.store(datasets)
    watched.watcher.look(time.time())
    watched.watcher.look(time.time() + 61)
    watched.end(study)
    result = dicom_datasets(("ct",), {"Manufacturer": MANUFACTURER, "ManufacturerModelName": PRODUCT})
    for ds in result:
        ds.StudyInstanceUID, ds.PatientID = study, datasets[0].PatientID
    watched.store(result)
    for seconds in (62, 70, 200, 1000):
        watched.watcher.look(time.time() + seconds)
    assert len(watched.begun) == 1
    assert watched.records.get(study_uid=study).state is StudyState.SUCCEEDED


def test_a_purge_during_a_look_begins_nothing(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = dicom_datasets()
    study = watched.store(datasets)
    watched.watcher.look(time.time())
    watched.watcher.look(time.time() + 61)
    watched.end(study)
    (result, *_) = dicom_datasets(("ct",), {"Manufacturer": MANUFACTURER, "ManufacturerModelName": PRODUCT})
    result.StudyInstanceUID, result.PatientID = study, datasets[0].PatientID
    watched.store([result])

    def purged_meanwhile(archive: Archive, study_uid: str, folder: Path) -> int:
        found = link_study(archive, study_uid, folder)
        delete_study(archive, study_uid, but={str(result.SOPInstanceUID)})
        return found

    monkeypatch.setattr("service.studies.watcher.link_study", purged_meanwhile)
    watched.watcher.look(time.time() + 62)
    watched.watcher.look(time.time() + 200)
    assert len(watched.begun) == 1


def test_a_series_that_comes_late_begins_the_study_again(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = dicom_datasets()
    late = [ds for ds in datasets if ds.Modality == "PT"]
    study = watched.store([ds for ds in datasets if ds.Modality != "PT"])
    now = time.time()
    watched.watcher.look(now)
    watched.watcher.look(now + 61)
    monkeypatch.setattr("service.archive.archive.time.time", lambda: now + 100)
    watched.store(late)
    watched.watcher.look(now + 101)
    watched.watcher.look(now + 300)
    assert len(watched.begun) == 1, "the first run goes on"
    watched.end(study)
    watched.watcher.look(now + 400)
    assert len(watched.begun) == 2
    assert watched.records.get(study_uid=study).run == 2


def test_what_was_not_begun_before_a_kill_is_found_again(watched: Watched, tmp_path: Path) -> None:
    study = watched.store(dicom_datasets())
    watched.watcher.look(time.time())
    second = Watched(watched.archive, watched.records, tmp_path)
    second.watcher.look(time.time())
    second.watcher.look(time.time() + 61)
    assert second.begun == [(study, Priority.ROUTINE)]
    third = Watched(watched.archive, watched.records, tmp_path)
    third.watcher.look(time.time() + 61)
    third.watcher.look(time.time() + 200)
    assert third.begun == []


def test_what_comes_to_light_late_after_a_kill_is_found(
    records: StudyRecords, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index is brought up to date while instances arrive; what lay on the disk is older than these."""
    with contextlib.closing(Archive(tmp_path / "archive", watermark=Watermark(1.0, 0))) as archive:
        old = Watched(archive, records, tmp_path).store(dicom_datasets())
        hour_ago = time.time() - 3600
        for located in archive.locate(old):
            os.utime(archive.path(located), (hour_ago, hour_ago))
    (tmp_path / "archive" / INDEX_FILE).unlink()
    gate, reconcile = threading.Event(), Archive.reconcile
    monkeypatch.setattr(Archive, "reconcile", lambda archive: (gate.wait(), reconcile(archive))[1])
    with contextlib.closing(Archive(tmp_path / "archive", watermark=Watermark(1.0, 0))) as archive:
        watched = Watched(archive, records, tmp_path)
        new = watched.store(dicom_datasets())
        watched.watcher.look(time.time())
        gate.set()
        while not archive.reconciled:
            time.sleep(0.01)
        watched.watcher.look(time.time())
        watched.watcher.look(time.time() + 100)
        assert {study for study, _ in watched.begun} == {old, new}


def test_a_study_that_cannot_be_read_is_left_with_its_reason(watched: Watched) -> None:
    datasets = dicom_datasets()
    datasets[-1].PatientID = "ANOTHER"
    study = watched.store(datasets)
    watched.watcher.look(time.time())
    watched.watcher.look(time.time() + 2)
    assert watched.records.get(study_uid=study).state is StudyState.RECEIVING
    watched.watcher.look(time.time() + 1000)
    found = watched.records.get(study_uid=study)
    assert found.state is StudyState.IGNORED
    assert "patient" in found.reason
    assert watched.begun == []


def test_nothing_is_begun_while_the_disk_is_too_full(records: StudyRecords, tmp_path: Path) -> None:
    with contextlib.closing(Archive(tmp_path / "archive", watermark=Watermark(max_used_ratio=1e-9))) as archive:
        full = Watched(archive, records, tmp_path)
        study = full.store(dicom_datasets())  # taken a moment before the disk was full
        full.watcher.look(time.time())
        full.watcher.look(time.time() + 100)
    assert full.begun == []
    found = records.get(study_uid=study)
    assert found.state is StudyState.RECEIVING
    assert "full" in found.reason
    with contextlib.closing(Archive(tmp_path / "archive", watermark=Watermark(1.0, 0))) as archive:
        roomy = Watched(archive, records, tmp_path)
        roomy.watcher.look(time.time())
        roomy.watcher.look(time.time() + 100)
    assert roomy.begun == [(study, Priority.ROUTINE)]


def test_a_quiet_time_of_a_deployment_replaces_that_of_the_rules() -> None:
    rules = with_quiet_seconds(load_rules(None, TASKS), 5.0)
    assert [signal.quiet_seconds for signal in rules.complete_when.signals] == [5.0]  # type: ignore[union-attr]
