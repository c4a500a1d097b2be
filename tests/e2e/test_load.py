"""The load test itself, a minute of it: its machinery, not the speed of this machine."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from loadtests.claims import Claim
from loadtests.results import Results
from service.triton.installation import Installation

ROOT = Path(__file__).resolve().parents[2]
ABOUT_TIME = ("transport", "sampling loop", "p99", "is answered after", "growth")
KEYS = set(Claim.__dataclass_fields__)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory, triton_installation: Installation) -> Path:
    """The folder that a quick run wrote."""
    out = tmp_path_factory.mktemp("load")
    done = subprocess.run(
        [sys.executable, "-m", "loadtests", "--quick", "--out", str(out)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=840,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return out


@pytest.fixture(scope="module")
def rows(quick: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((quick / "benchmarks" / "load.json").read_text())
    return found


@pytest.mark.timeout(900)
def test_everybody_ends_as_they_should_and_nobody_accepted_is_forgotten(quick: Path) -> None:
    results = Results.load(quick / "results.json")
    visits = [record for stage in results.stages for record in stage.records]
    assert [record for record in visits if not record.expected] == []
    assert {record.door for record in visits} == {"rest", "grpc"}
    refused = [record for record in visits if record.refused_for_load]
    assert refused, "an overload in which nobody is sent away is none"
    assert all(record.retry_after_seconds for record in refused)
    assert any(record.outcome == "succeeded" for record in results.overload_stage.accepted)


@pytest.mark.timeout(900)
def test_every_row_has_its_form_and_what_does_not_depend_on_the_machine_holds(rows: list[dict[str, Any]]) -> None:
    assert len(rows) >= 10
    for row in rows:
        assert set(row) == KEYS
        assert row["low"] <= row["value"] <= row["high"], row
        assert row["machine"]
        assert row["command"] == "make load-quick"
        assert (row["met"] is None) == (row["bar"] is None)
        assert row["bar"] is None or row["met"] == (row["value"] <= row["bar"])
    judged = [row for row in rows if row["bar"] is not None and not any(word in row["claim"] for word in ABOUT_TIME)]
    assert len(judged) >= 4
    assert [row for row in judged if not row["met"]] == []


@pytest.mark.timeout(900)
def test_a_killed_gateway_comes_back_and_gives_the_same_answer(quick: Path) -> None:
    (kill,) = Results.load(quick / "results.json").kills["gateway"].kills
    assert 0.0 < kill.sent_after_seconds <= kill.answered_after_seconds
    assert kill.same_answer
    assert (kill.kept, kill.lost) == (2, 0)


@pytest.mark.timeout(900)
def test_the_report_has_its_tables_and_pictures(quick: Path) -> None:
    page = (quick / "benchmarks.md").read_text()
    for title in ("what is promised", "step p50", "offered, jobs/s", "ended with", "killed"):
        assert f"| {title}" in page, title
    for name in ("load-throughput.png", "load-steps.png", "load-memory.png"):
        assert (quick / "images" / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.timeout(900)
def test_steps_are_read_from_prometheus(quick: Path) -> None:
    if shutil.which("prometheus") is None:
        pytest.skip("not installed: prometheus (apt-get install prometheus)")
    steps = Results.load(quick / "results.json").steps
    for way in ("entrust-gateway", "in-process"):
        assert set(steps.mean_seconds[way]) == {"0", "1"}
        assert 0.0 < steps.quantiles_seconds[way]["p50"] <= steps.quantiles_seconds[way]["p99"]


def test_load_on_another_machine_needs_its_owner(tmp_path: Path) -> None:
    for command in (
        ["locust", "-f", "loadtests/locustfile.py", "--headless", "--visits", "1", "--host", "http://192.0.2.1"],
        ["loadtests.rpc_load", "--address", "192.0.2.1:8081", "--visits", "1"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode not in (0, None)
        assert "--i-own-this-host" in done.stderr + done.stdout
