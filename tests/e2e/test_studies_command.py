"""``entrust studies`` against a gateway that runs; and what such a gateway tells of patients: nothing."""

import json
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from service.triton.embedded import EmbeddedTriton
from tests.factories.dicomweb import RELATED, related
from tests.factories.studies import dicom_bytes, dicom_datasets
from tests.servers.service_process import ServiceProcess, StartService

PATIENT = {"PatientName": "Zebrafink^Xanthippe", "PatientID": "PID4711", "AccessionNumber": "ACC0815"}
SECRETS = ("Zebrafink", "Xanthippe", "PID4711", "ACC0815")
pytestmark = pytest.mark.timeout(900)


def ask(service: ServiceProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "service", "studies", *arguments, "--url", service.url]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def test_the_command_line_shows_restarts_and_cancels(
    start_service: StartService, triton: EmbeddedTriton, tmp_path: Path
) -> None:
    datasets = dicom_datasets(("ct",), PATIENT)
    study = str(datasets[0].StudyInstanceUID)
    settings = {
        "ENTRUST_TRITON__URL": triton.url,
        "ENTRUST_ARCHIVE__FOLDER": str(tmp_path / "archive"),
        "ENTRUST_ARCHIVE__MAX_USED_RATIO": "1.0",
        "ENTRUST_ARCHIVE__MIN_FREE_BYTES": "0",
        "ENTRUST_STUDIES__QUIET_SECONDS": "1",
        "ENTRUST_STUDIES__NUM_HYPOTHESES": "1",
        "ENTRUST_STUDIES__NUM_STEPS": "1",
    }
    with start_service(**settings) as service:
        assert "0 of 0" in ask(service, "list").stdout
        body = related([dicom_bytes(ds) for ds in datasets])
        with httpx.Client(base_url=service.url, trust_env=False, timeout=60.0) as client:
            assert client.post("/dicom-web/studies", content=body, headers={"Content-Type": RELATED}).is_success
        deadline, found = time.monotonic() + 600, {"state": ""}
        while found["state"] not in ("succeeded", "failed") and time.monotonic() < deadline:
            shown = ask(service, "show", study)
            found = json.loads(shown.stdout) if shown.returncode == 0 else found
        assert found["state"] == "succeeded", service.log_path.read_text()
        listed = json.loads(ask(service, "list", "--state", "succeeded", "--json").stdout)
        assert [one["study"] for one in listed["studies"]] == [study]
        assert "run 2" in ask(service, "restart", study).stdout
        cancelled = ask(service, "cancel", study)
        assert "cancelled" in cancelled.stdout or cancelled.returncode == 2  # it may have ended before
        nowhere = ask(service, "show", "1.2.3")
        assert nowhere.returncode == 2
        assert nowhere.stderr.splitlines()[0].startswith("error: There is no such study")
        assert ask(service, "show", "no uid").returncode == 2
        log = service.log_path.read_text()
        assert "study-succeeded" in log
        for secret in (*SECRETS, study):
            assert secret not in log
        for line in log.splitlines():
            json.loads(line)
    gone = ask(service, "list")
    assert gone.returncode == 69
    assert "does not answer" in gone.stderr
