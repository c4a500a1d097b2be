"""The archive: nothing is lost, nothing is half there, and the index is only ever a copy."""

import contextlib
import copy
import multiprocessing
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from entrust.errors import ConflictError, ErrorKind, InternalError, InvalidInputError, OverloadedError
from service.archive import Archive, Level, Query, Watermark
from service.archive.archive import INDEX_FILE
from service.archive.files import disk_errors
from service.archive.retention import apply_retention, delete_study
from service.archive.status import STATUSES
from tests.factories.dicomweb import part10, small_series


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Archive]:
    with contextlib.closing(Archive(folder, watermark=Watermark(1.0, 0))) as archive:
        yield archive


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with opened(tmp_path / "archive") as made:
        yield made


def found(archive: Archive) -> set[str]:
    return {one["00080018"]["Value"][0] for one in archive.search(Query(Level.INSTANCE)).results}


def test_what_is_stored_is_found_at_once_and_after_a_restart(tmp_path: Path) -> None:
    series = small_series(3)
    with opened(tmp_path) as archive:
        assert [archive.store(part10(ds)).duplicate for ds in series] == [False] * 3
        assert found(archive) == {ds.SOPInstanceUID for ds in series}
    with opened(tmp_path) as archive:
        assert found(archive) == {ds.SOPInstanceUID for ds in series}
        assert archive.reconcile() == 0


def test_the_index_is_made_again_from_the_files(tmp_path: Path) -> None:
    series = small_series(3)
    with opened(tmp_path) as archive:
        for ds in series:
            archive.store(part10(ds))
        before = archive.search(Query(Level.STUDY))
    for path in tmp_path.glob(f"{INDEX_FILE}*"):
        path.unlink()
    with opened(tmp_path) as archive:
        archive.reconcile()
        assert archive.search(Query(Level.STUDY)) == before
        assert found(archive) == {ds.SOPInstanceUID for ds in series}


def test_files_that_are_gone_are_forgotten_and_damaged_ones_hide_nobody(archive: Archive) -> None:
    series = small_series(3)
    for ds in series:
        archive.store(part10(ds))
    gone, damaged, kept = (archive.path(located) for located in archive.locate(series[0].StudyInstanceUID))
    gone.unlink()
    damaged.write_bytes(b"rubbish")
    archive.index.forget([damaged.stem, kept.stem])
    assert archive.reconcile() == 2  # one back in, one out
    assert found(archive) == {series[2].SOPInstanceUID}


def test_the_same_data_set_is_a_duplicate_whatever_stands_around_it(archive: Archive) -> None:
    ds = small_series(1)[0]
    archive.store(part10(ds))
    other_head = copy.deepcopy(ds)
    other_head.file_meta.SourceApplicationEntityTitle = "SCANNER"
    assert archive.store(part10(other_head)).duplicate
    changed = copy.deepcopy(ds)
    changed.PatientName = "Somebody^Else"
    with pytest.raises(ConflictError) as caught:
        archive.store(part10(changed))
    assert "Somebody" not in str(caught.value)
    (located,) = archive.locate(ds.StudyInstanceUID)
    assert archive.path(located).read_bytes() == part10(ds)


@pytest.mark.parametrize("content", [b"", b"rubbish", bytes(128) + b"DICM", part10(small_series(1)[0])[:180]])
def test_what_is_no_instance_is_refused_and_leaves_nothing(archive: Archive, content: bytes) -> None:
    with pytest.raises(InvalidInputError):
        archive.store(content)
    assert not list((archive.files.folder / "incoming").iterdir())
    assert not list(archive.files.names())


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"])
def test_an_instance_without_a_needed_uid_is_refused(archive: Archive, keyword: str) -> None:
    ds = small_series(1)[0]
    uid = str(ds[keyword].value).encode()
    for content in (
        part10(ds).replace(uid, b"../../etc/passwd"[: len(uid)].ljust(len(uid), b"/")),
        _without(ds, keyword),
    ):
        with pytest.raises(InvalidInputError):
            archive.store(content)


def _without(ds: Dataset, keyword: str) -> bytes:
    ds[keyword].value = ""
    return part10(ds)


def test_odd_values_are_kept_and_left_out_of_the_index(archive: Archive) -> None:
    ds = small_series(1)[0]
    content = part10(ds).replace(b"IS\x02\x001 ", b"IS\x02\x00xy").replace(b"115500", b"latest")
    archive.store(content)
    (result,) = archive.search(Query(Level.INSTANCE)).results
    assert "00200013" not in result
    assert result["00080018"]["Value"] == [ds.SOPInstanceUID]
    (located,) = archive.locate(ds.StudyInstanceUID)
    assert archive.path(located).read_bytes() == content


LEFT_BY_A_CRASH = """
import os, sys
from pathlib import Path
from service.archive import files
def die(descriptor):
    os.kill(os.getpid(), 9)
archive = files.InstanceFiles(Path(sys.argv[1]))
with archive.incoming() as file:
    file.write(b"half of it")
    os.fsync = die
    archive.keep(file, archive.name("1.2.3"))
"""


def test_what_a_crash_left_between_its_place_and_the_disk_is_taken_back(tmp_path: Path) -> None:
    """The sender was never told of a success, and will send again: what is there must not be in the way."""
    done = subprocess.run([sys.executable, "-c", LEFT_BY_A_CRASH, tmp_path], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.rglob("*.dcm"))) == 1
    assert len(list((tmp_path / "incoming").iterdir())) == 2
    with opened(tmp_path) as archive:
        assert not list(archive.files.names())
        assert not list((tmp_path / "incoming").iterdir())


def test_another_process_that_starts_does_not_sweep_what_is_being_received(tmp_path: Path) -> None:
    ds = small_series(1)[0]
    with opened(tmp_path) as first, first.incoming() as file:
        file.write(part10(ds))
        with opened(tmp_path) as second:
            assert not first.keep(file, first.read(file)).duplicate
            second.reconcile()
            assert found(second) == {ds.SOPInstanceUID}


def _store_all(folder: Path, contents: list[bytes], outcomes: "multiprocessing.SimpleQueue[list[bool]]") -> None:
    with opened(folder) as archive:
        outcomes.put([archive.store(content).duplicate for content in contents])


def test_processes_share_one_folder(tmp_path: Path) -> None:
    contents = [part10(ds) for ds in small_series(8)]
    context = multiprocessing.get_context("spawn")
    outcomes = context.SimpleQueue()
    processes = [context.Process(target=_store_all, args=(tmp_path, contents, outcomes)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    told = [outcomes.get() for _ in processes]
    assert [sum(not duplicate for duplicate in one) for one in zip(*told, strict=True)] == [1] * 8
    with opened(tmp_path) as archive:
        assert len(found(archive)) == 8


def test_a_full_disk_is_said_before_and_while_writing(tmp_path: Path) -> None:
    full = Watermark(max_used_ratio=1.0, min_free_bytes=2**62)
    with contextlib.closing(Archive(tmp_path, watermark=full)) as archive, pytest.raises(OverloadedError) as caught:
        archive.check_space()
    assert caught.value.retry_after_seconds == 60.0
    with open("/dev/full", "wb", buffering=0) as file, pytest.raises(OverloadedError), disk_errors():
        file.write(b"x")


def test_a_damaged_key_is_no_reason_to_make_a_new_one(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(InternalError):
        Archive(tmp_path)


def test_studies_say_when_they_last_grew(archive: Archive) -> None:
    first, second = small_series(2)
    archive.store(part10(first))
    assert archive.holds(first.StudyInstanceUID)
    before = archive.index.last_received(first.StudyInstanceUID)
    time.sleep(0.01)
    archive.store(part10(second))
    archive.flush()
    after = archive.index.last_received(first.StudyInstanceUID)
    assert before is not None
    assert after is not None
    assert after > before
    assert archive.index.last_received("1.2.3") is None


def test_retention_takes_the_longest_untouched_first(archive: Archive) -> None:
    studies = [small_series(1)[0] for _ in range(3)]
    for ds in studies:
        archive.store(part10(ds))
        archive.flush()
    size = sum(len(part10(ds)) for ds in studies)
    assert apply_retention(archive, max_age_seconds=3600.0, max_bytes=size) == 0
    assert apply_retention(archive, max_age_seconds=3600.0, max_bytes=size - 1) == 1
    assert found(archive) == {ds.SOPInstanceUID for ds in studies[1:]}
    assert apply_retention(archive, max_age_seconds=60.0, max_bytes=size, now=time.time() + 61.0) == 2
    assert archive.search(Query(Level.STUDY)).results == []
    assert not list(archive.files.names())


def test_a_deleted_study_can_come_again(archive: Archive) -> None:
    series = small_series(2)
    for _ in range(2):
        assert not any(archive.store(part10(ds)).duplicate for ds in series)
        assert delete_study(archive, series[0].StudyInstanceUID) == 2


def test_the_index_survives_a_lock(archive: Archive) -> None:
    """Another process writes: instances are kept all the same, and indexed when it is done."""
    ds = small_series(1)[0]
    with contextlib.closing(sqlite3.connect(archive.files.folder / INDEX_FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        archive.store(part10(ds))
        assert len(list(archive.files.names())) == 1
        other.execute("ROLLBACK")
    assert found(archive) == {ds.SOPInstanceUID}


def test_every_kind_of_error_has_a_status_that_is_a_failure() -> None:
    assert set(STATUSES) == set(ErrorKind)
    assert all(status != 0 and status & 0xF000 != 0xB000 for status in STATUSES.values())
