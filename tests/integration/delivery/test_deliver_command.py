"""``entrust deliver``: an operator's hand, at a real PACS."""

import shutil
import sys
from pathlib import Path

import pytest

from deploy.orthanc.server import Orthanc
from service.__main__ import main
from tests.factories.deliveries import Parcel, dimse, stow

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""pynetdicom leaves a socket that could not be connected to the garbage collector."""
MISSING_RESULTS, REFUSED, UNAVAILABLE = 2, 74, 74


@pytest.fixture
def deliver(orthanc: Orthanc, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """Run the command with two targets: an Orthanc by each protocol; return the exit code and what was printed."""
    for name, settings in (("WEB", stow(orthanc)), ("PACS", dimse(orthanc)), ("GONE", dimse(orthanc, port=1))):
        for key, value in settings.items():
            monkeypatch.setenv(f"ENTRUST_DELIVERY__TARGETS__{name}__{key.upper()}", str(value))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["entrust", "deliver", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        told = capsys.readouterr()
        return int(stopped.value.code or 0), told.out + told.err

    return run


def test_it_reports_each_instance_at_each_target(deliver, orthanc: Orthanc, parcel: Parcel) -> None:  # type: ignore[no-untyped-def]
    results, images = str(parcel.results[0].parent), str(parcel.images)
    code, told = deliver(results, "--source", images, "--target", "web", "--target", "pacs")
    assert code == 0, told
    assert "web: delivered" in told
    assert "pacs: delivered" in told
    for path in parcel.results:
        assert sum(line.count(path.name) for line in told.splitlines()) == 2
    assert told.count("stored") == 2 * 2 * len(parcel.results)
    assert len(orthanc.get("/instances")) == len(parcel.results)


def test_a_target_that_is_down_costs_the_other_nothing(deliver, orthanc: Orthanc, parcel: Parcel) -> None:  # type: ignore[no-untyped-def]
    results, images = str(parcel.results[0].parent), str(parcel.images)
    code, told = deliver(results, "--source", images, "--target", "gone", "--target", "web", "--wait-seconds", "0.1")
    assert code == UNAVAILABLE
    assert "gone: failed" in told
    assert "web: delivered" in told
    assert "error: The target gone does not answer" in told
    assert len(orthanc.get("/instances")) == len(parcel.results)


def test_what_is_not_to_leave_does_not(deliver, orthanc: Orthanc, parcel: Parcel, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    results = str(parcel.results[0].parent)
    assert deliver(str(tmp_path), "--target", "web")[0] == MISSING_RESULTS
    code, told = deliver(results, "--target", "web")  # neither an archive nor a folder with images
    assert (code, "--source" in told) == (2, True)
    shutil.copytree(parcel.images / "ct", tmp_path / "images" / "ct")
    code, told = deliver(results, "--source", str(tmp_path / "images"), "--target", "web")
    assert (code, "not at hand" in told) == (REFUSED, True)
    assert orthanc.get("/instances") == []
