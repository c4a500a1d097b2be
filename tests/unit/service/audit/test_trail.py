"""The trail on the disk: whole, in order, bounded, and never in anybody's way."""

import json
import os
import stat
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from entrust.errors import InvalidInputError, NotFoundError
from service import audit
from service.audit import About, AuditSource, Event, Hop, Outcome, What, read_trail, record
from service.audit.journal import Journal, Position, file_numbers, file_path, open_journal, read_lines
from service.audit.recording import MAX_WAITING, Trail
from tests.factories.audit_messages import parse_message

STUDY, OTHER = "1.2.3.1", "1.2.3.2"


@contextmanager
def trail(folder: Path, **named: Any) -> Iterator[Counter[str]]:
    counts: Counter[str] = Counter()

    def count(outcome: str, number: int) -> None:
        counts[outcome] += number

    sizes = {"max_file_bytes": 1 << 20, "max_files": 8} | named
    with audit.open_trail(folder, source=AuditSource("test", host="host"), count=count, **sizes):
        yield counts


def lines(folder: Path) -> list[dict[str, Any]]:
    return [line for line, _ in read_lines(folder, Position())]


def test_without_a_trail_nothing_happens() -> None:
    record(Event(What.STARTED))


def test_events_of_all_threads_are_written_once_each(tmp_path: Path) -> None:
    with trail(tmp_path / "trail") as counts:
        threads = [
            threading.Thread(target=lambda i=i: [record(Event(job_id=f"{i}-{n}")) for n in range(50)]) for i in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    written = [line["job_id"] for line in lines(tmp_path / "trail")]
    assert Counter(written) == Counter(f"{i}-{n}" for i in range(8) for n in range(50))
    for i in range(8):
        assert [one for one in written if one.startswith(f"{i}-")] == [f"{i}-{n}" for n in range(50)], "in order"
    assert counts == {"written": 400}


def test_the_files_are_private(tmp_path: Path) -> None:
    with trail(tmp_path / "trail"):
        record(Event(What.STARTED))
    for path in [tmp_path / "trail", *(tmp_path / "trail").iterdir()]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path.name


def test_who_asked_goes_along_with_what_is_done_for_them(tmp_path: Path) -> None:
    with trail(tmp_path):
        with audit.about(About("rest", "token-1", "192.0.2.1", "job")):
            record(Event(hop=Hop.QUEUED))
            record(Event(What.EXPORTED, door="gateway"))
        record(Event(What.STARTED))
    queued, exported, started = lines(tmp_path)
    assert (queued["door"], queued["peer"], queued["address"], queued["job_id"]) == (
        "rest", "token-1", "192.0.2.1", "job",
    )  # fmt: skip
    assert exported["door"] == "gateway", "what an event says itself goes first"
    assert not {"door", "peer", "address", "job_id"} & started.keys()


def test_old_files_go_and_new_ones_are_begun(tmp_path: Path) -> None:
    with open_journal(tmp_path, max_file_bytes=100, max_files=3) as journal:
        for n in range(20):
            journal.append([json.dumps({"n": n, "filler": "x" * 60}).encode()])
    assert len(file_numbers(tmp_path)) == 3
    found = [line["n"] for line in lines(tmp_path)]
    assert found == list(range(20 - len(found), 20)), "the newest, in order, none missing"
    assert max(file_path(tmp_path, n).stat().st_size for n in file_numbers(tmp_path)) < 300


def test_a_line_that_a_dead_process_left_unfinished_spoils_no_other(tmp_path: Path) -> None:
    with trail(tmp_path):
        record(Event(job_id="before"))
    with file_path(tmp_path, 1).open("ab") as file:
        file.write(b'{"at":"2026-01-01T00:00')
    assert [line["job_id"] for line in lines(tmp_path)] == ["before"]
    with trail(tmp_path):
        record(Event(job_id="after"))
    assert [line["job_id"] for line in lines(tmp_path)] == ["before", "after"]


def test_a_folder_is_one_gateways_own(tmp_path: Path) -> None:
    with trail(tmp_path), pytest.raises(InvalidInputError, match="another gateway's"), trail(tmp_path):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInputError, match="cannot be used"), trail(tmp_path / "file"):
        pass


class _StuckJournal(Journal):
    """A disk that takes nothing until it is let go."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, max_file_bytes=1 << 20, max_files=2)
        self.tried, self.go = threading.Event(), threading.Event()

    def append(self, lines: Any) -> None:
        """Wait, then write."""
        self.tried.set()
        self.go.wait(60)
        super().append(lines)


def test_a_disk_that_hangs_holds_nobody_up(tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    journal = _StuckJournal(tmp_path)
    stuck = Trail(journal, AuditSource("test"), lambda o, n: counts.update({o: n}), lambda: None)
    stuck.put(Event(job_id="first"))
    assert journal.tried.wait(60)
    for _ in range(MAX_WAITING + 7):  # returns, or this test never ends
        stuck.put(Event(job_id="more"))
    assert counts == {"dropped": 7}
    journal.go.set()
    stuck.close()
    journal.close()
    assert counts == {"dropped": 7, "written": MAX_WAITING + 1}


def test_a_full_disk_delays_events_and_loses_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = iter([OSError(28, "No space left on device")] * 2)
    real = os.fdatasync

    def full(descriptor: int) -> None:
        if (failure := next(failures, None)) is not None:
            raise failure
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", full)
    monkeypatch.setattr("service.audit.recording._RETRY_SECONDS", 0.01)
    with trail(tmp_path) as counts:
        record(Event(job_id="patient"))
        while not counts["written"]:
            threading.Event().wait(0.01)
    assert {line["job_id"] for line in lines(tmp_path)} == {"patient"}


def test_repeated_events_of_one_caller_are_told_once_in_a_while(tmp_path: Path) -> None:
    with trail(tmp_path):
        for _ in range(100):
            record(Event(What.TRANSFERRED, study_uid=STUDY, address="192.0.2.1", quiet_seconds=3600.0))
        record(Event(What.TRANSFERRED, study_uid=OTHER, address="192.0.2.1", quiet_seconds=3600.0))
        record(Event(What.TRANSFERRED, study_uid=STUDY, address="192.0.2.2", quiet_seconds=3600.0))
    assert len(lines(tmp_path)) == 3


def test_a_studys_trail_joins_what_its_jobs_said_and_leaves_out_others(tmp_path: Path) -> None:
    with trail(tmp_path):
        record(Event(hop=Hop.RECEIVED, job_id="a", duration_seconds=1.5))
        record(Event(hop=Hop.RECEIVED, job_id="b", duration_seconds=2.5))
        record(Event(What.IMPORTED, job_id="a", study_uid=STUDY))
        record(Event(What.IMPORTED, job_id="b", study_uid=OTHER))
        record(Event(What.ACCESSED, job_id="a", outcome=Outcome.MINOR_FAILURE, reason="geometry-conflict"))
        record(Event(What.EXPORTED, hop=Hop.DELIVERED, job_id="a"))
    steps = read_trail(tmp_path, STUDY)
    assert [step.line["event"] for step in steps] == ["hop", "imported", "instances-accessed", "exported"]
    assert steps[0].line["milliseconds"] == 1500.0
    assert [step.since_milliseconds for step in steps] == sorted(step.since_milliseconds for step in steps)
    assert steps[0].since_milliseconds == 0.0
    assert f'ParticipantObjectID="{STUDY}"' in steps[-1].line["message"], "an event of a job names its study"
    for step in steps[1:]:
        parse_message(step.line["message"])
    assert [step.line for step in read_trail(tmp_path, "a")] == [step.line for step in steps]
    with pytest.raises(NotFoundError):
        read_trail(tmp_path, "1.2.3.9")
    with pytest.raises(NotFoundError):
        read_trail(tmp_path / "nowhere", STUDY)
