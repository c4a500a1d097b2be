"""Requests for commitment outlive who made them; nobody else's words are taken for an answer."""

import json
import time
from pathlib import Path

import pytest

from service.delivery.reports import CommitmentReports, Report


def test_an_answer_is_found_by_what_it_is_about(tmp_path: Path) -> None:
    asked = CommitmentReports(tmp_path)
    transaction = asked.open("pacs", ["2", "1"])
    other = CommitmentReports(tmp_path)  # another process
    found = other.find("pacs", ["1", "2"])
    assert found is not None
    assert found.report is None
    assert other.tell(transaction.uid, Report(("1",), {"2": 0x0112}))
    found = asked.find("pacs", ["1", "2"])
    assert found is not None
    assert found.report == Report(("1",), {"2": 0x0112})
    assert asked.find("pacs", ["1"]) is None
    assert asked.find("elsewhere", ["1", "2"]) is None


def test_an_answer_to_an_earlier_request_counts(tmp_path: Path) -> None:
    reports = CommitmentReports(tmp_path)
    first, second = reports.open("pacs", ["1"]), reports.open("pacs", ["1"])
    assert first.uid != second.uid
    reports.tell(first.uid, Report(("1",), {}))
    found = reports.find("pacs", ["1"])
    assert found is not None
    assert found.uid == first.uid
    reports.close(found)
    assert reports.find("pacs", ["1"]) is None
    assert not reports.tell(second.uid, Report(("1",), {}))


@pytest.mark.parametrize("uid", ["", "1.2.3", "2.25.7", "2.25.7/../../key", "../key", "2.25." + "9" * 60])
def test_what_was_never_asked_has_no_answer(uid: str, tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text("{}")
    reports = CommitmentReports(tmp_path / "commitments")
    assert not reports.tell(uid, Report((), {}))
    assert [path.name for path in tmp_path.rglob("*.json")] == ["key.json"]


def test_what_is_never_answered_is_forgotten(tmp_path: Path) -> None:
    reports = CommitmentReports(tmp_path)
    old = reports.open("pacs", ["1"])
    path = tmp_path / f"{old.uid}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"asked_at": time.time() - 40 * 86_400}))
    reports.open("pacs", ["2"])
    assert reports.find("pacs", ["1"]) is None
    assert reports.find("pacs", ["2"]) is not None


def test_the_folder_is_ours_alone(tmp_path: Path) -> None:
    CommitmentReports(tmp_path / "commitments")
    assert (tmp_path / "commitments").stat().st_mode & 0o077 == 0
