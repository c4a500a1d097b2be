"""The service as its operator runs it: a process, its signals, its logs, its command line."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from deploy.prometheus.server import free_port
from service.api.rpc.v1 import segmentation_pb2 as pb
from service.api.rpc.v1 import segmentation_pb2_grpc as pb_grpc
from service.intake.upload import work_folder
from service.triton.embedded import EmbeddedTriton
from tests.factories.studies import dicom_bytes, dicom_datasets, dicom_zip, nifti_files, zipped
from tests.servers.service_process import StartService

FAST = {"task": "oncology", "num_hypotheses": "2", "num_steps": "1"}
SLOW = {"task": "oncology", "num_hypotheses": "8", "num_steps": "12"}
ZIP = {"Content-Type": "application/zip"}
SECRETS = ("Zebrafink", "Xanthippe", "PID4711", "ACC0815", "Leberkaes")
PATIENT = {
    "PatientName": "Zebrafink^Xanthippe", "PatientID": "PID4711", "AccessionNumber": "ACC0815",
    "StudyDescription": "Leberkaes",
}  # fmt: skip


class Service:
    """A running `entrust serve`."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log
        self.client = httpx.Client(timeout=120.0, trust_env=False)

    def wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            for line in self.lines():
                if line["event"] == "listening":
                    self.client.base_url = httpx.URL(f"http://127.0.0.1:{line['port']}")
                    return
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    @property
    def rpc_address(self) -> str:
        (line,) = (line for line in self.lines() if line["event"] == "rpc-listening")
        return f"127.0.0.1:{line['port']}"

    def lines(self) -> list[dict[str, Any]]:
        found = []
        for line in self.log.read_text().splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found


def environment(**settings: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("ENTRUST_")} | settings


@pytest.fixture
def service(triton: EmbeddedTriton, tmp_path: Path) -> Iterator[Service]:
    log = tmp_path / "service.log"
    settings = environment(
        ENTRUST_TRITON__URL=triton.url,
        ENTRUST_REST__PORT="0",
        ENTRUST_RPC__PORT="0",
        ENTRUST_JOBS__WORK_FOLDER=str(tmp_path / "work"),
    )
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "service", "serve"], env=settings, stdout=out, stderr=out)
    running = Service(process, log)
    try:
        running.wait_until_it_listens()
        yield running
    finally:
        running.client.close()
        if process.poll() is None:
            process.kill()
        process.wait()


def test_no_patient_data_outside_of_the_dicom_results(service: Service) -> None:
    told: list[str] = []

    def keep(answer: httpx.Response) -> httpx.Response:
        told.extend([answer.text, str(answer.headers)])
        return answer

    good = dicom_zip(tags=PATIENT)
    tilted = dicom_datasets(("ct",), PATIENT)
    tilted[2].ImageOrientationPatient = [1, 0, 0, 0, 0.8, 0.6]
    broken = zipped({f"Zebrafink/{i}.dcm": dicom_bytes(ds) for i, ds in enumerate(tilted)})
    for content in (good, broken, good[:-500]):
        accepted = service.client.post("/v1/segmentations", params=FAST, content=content, headers=ZIP)
        job = keep(accepted).json()
        while job.get("state") in ("queued", "running"):
            time.sleep(0.1)
            job = keep(service.client.get(accepted.headers["Location"])).json()
        keep(service.client.get(f"{accepted.headers['Location']}/results", headers={"Accept": "application/json"}))
    keep(service.client.get("/v1/jobs/Zebrafink", params={"name": "Xanthippe"}))
    keep(service.client.get("/Zebrafink/Xanthippe"))
    keep(service.client.post("/v1/segmentations", params=FAST | {"Zebrafink": "PID4711"}, content=good, headers=ZIP))
    keep(
        service.client.post(
            "/v1/segmentations", data=FAST | {"seed": "PID4711"}, files={"ct": ("Zebrafink.nii", b"Xanthippe" * 50)}
        )
    )
    keep(service.client.get("/metrics"))
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(30) == 0
    log = service.log.read_text()
    assert "succeeded" in log
    for secret in SECRETS:
        assert secret not in "\n".join(told)
        assert secret not in log


def test_every_line_of_the_log_is_json_of_known_keys(service: Service) -> None:
    service.client.get("/v1/models")
    service.client.get("/nowhere?name=Zebrafink")
    service.process.send_signal(signal.SIGTERM)
    service.process.wait(30)
    text = service.log.read_text()
    assert len(service.lines()) == len(text.splitlines())
    requests = [line for line in service.lines() if line["event"] == "request"]
    assert {line["route"] for line in requests} == {"/v1/models", "unmatched"}
    assert all(re.fullmatch("[0-9a-f]{16}", line["request_id"]) for line in requests)


def test_a_stop_lets_the_running_job_end_and_answers_who_waits(service: Service) -> None:
    accepted = service.client.post("/v1/segmentations", data=SLOW, files=nifti_files(("ct",)))
    address = accepted.headers["Location"]
    while service.client.get(address).json()["state"] != "running":
        time.sleep(0.02)
    with service.client.stream("GET", f"{address}/events") as stream:
        lines = stream.iter_lines()
        next(lines)
        service.process.send_signal(signal.SIGTERM)
        text = "\n".join(lines)
    assert "event: succeeded" in text
    assert service.process.wait(30) == 0
    assert [line["event"] for line in service.lines()][-1] == "stopped"


def pieces(study: bytes, **parameters: Any) -> Iterator[pb.SegmentStreamRequest]:
    asked = pb.SegmentationParameters(task="oncology", **parameters)
    yield pb.SegmentStreamRequest(start=pb.SegmentStreamStart(parameters=asked))
    yield pb.SegmentStreamRequest(file=pb.InputFileStart())
    yield pb.SegmentStreamRequest(data=study)


def test_grpc_is_served_beside_http_and_a_stop_hands_over_what_runs(service: Service) -> None:
    with grpc.insecure_channel(service.rpc_address) as channel:
        stub: Any = pb_grpc.SegmentationServiceStub(channel)
        news = stub.SegmentStream(pieces(dicom_zip(("ct",)), num_hypotheses=8, num_steps=12), timeout=100)
        for message in news:
            if message.job.progress.stage == "sampling":
                break
        job_id = message.job.id
        assert service.client.get(f"/v1/jobs/{job_id}").json()["state"] == "running"  # one job, two doors
        service.process.send_signal(signal.SIGTERM)
        rest = list(news)
    assert rest[-1].result.info.name
    assert service.process.wait(30) == 0
    assert [line["event"] for line in service.lines()][-1] == "stopped"


def test_no_patient_data_over_grpc(service: Service) -> None:
    told: list[str] = []
    tilted = dicom_datasets(("ct",), PATIENT)
    tilted[2].ImageOrientationPatient = [1, 0, 0, 0, 0.8, 0.6]
    broken = zipped({f"Zebrafink/{i}.dcm": dicom_bytes(ds) for i, ds in enumerate(tilted)})
    with grpc.insecure_channel(service.rpc_address) as channel:
        stub: Any = pb_grpc.SegmentationServiceStub(channel)
        good = list(stub.SegmentStream(pieces(dicom_zip(tags=PATIENT), num_hypotheses=2, num_steps=1), timeout=100))
        told += [str(message) for message in good if message.WhichOneof("content") == "job"]
        told += [str(m) for m in good if m.result.info.name == "summary.json"]
        calls = [
            lambda: list(stub.SegmentStream(pieces(broken))),
            lambda: list(stub.SegmentStream(pieces(broken, sampler="Zebrafink"))),
            lambda: list(stub.SegmentStream(pieces(broken, assignment={"Xanthippe": "PID4711"}))),
            lambda: stub.GetJob(pb.GetJobRequest(job_id="Zebrafink")),
            lambda: channel.unary_unary("/Zebrafink/Xanthippe")(b""),
        ]
        for call in calls:
            with pytest.raises(grpc.RpcError) as caught:
                call()
            error: Any = caught.value
            told += [error.details(), str(error.trailing_metadata())]
    told.append(service.client.get("/metrics").text)
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(30) == 0
    for secret in SECRETS:
        assert secret not in service.log.read_text()
        for text in told:
            assert secret not in text


def test_uploads_of_a_killed_gateway_are_wiped_by_the_next(service: Service, tmp_path: Path) -> None:
    service.client.post("/v1/segmentations", data=SLOW, files=nifti_files(("ct",)))
    service.process.kill()
    service.process.wait()
    left = list((tmp_path / "work").iterdir())
    assert left
    with work_folder(tmp_path / "work"):
        assert not any(folder.exists() for folder in left)


def run_cli(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "service", *arguments]
    return subprocess.run(
        command, env=environment(**settings), capture_output=True, text=True, timeout=240, check=False
    )


def write_nifti(folder: Path) -> dict[str, str]:
    paths = {}
    for slug, (name, content) in nifti_files(("ct", "pet")).items():
        (folder / name).write_bytes(content)
        paths[slug] = str(folder / name)
    return paths


def test_the_command_line_segments_with_a_triton_of_its_own(
    tmp_path: Path, model_repository: Path, triton_installation: object
) -> None:
    paths = write_nifti(tmp_path)
    done = run_cli(
        "segment", "--task", "oncology", "--out", str(tmp_path / "out"), "--modality", f"ct={paths['ct']}",
        f"pet={paths['pet']}", "--num-hypotheses", "2", "--num-steps", "1",
        ENTRUST_TRITON__REPOSITORY=str(model_repository),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Gross tumour" in done.stdout
    summary = json.loads((tmp_path / "out" / "summary.json").read_bytes())
    assert summary["missing"] == ["t1"]
    assert (tmp_path / "out" / "mask.nii.gz").is_file()


def test_the_command_line_makes_further_dicom_results(tmp_path: Path, triton: EmbeddedTriton) -> None:
    (tmp_path / "study.zip").write_bytes(dicom_zip())
    done = run_cli(
        "segment", str(tmp_path / "study.zip"), "--out", str(tmp_path / "out"), "--num-hypotheses", "2",
        "--num-steps", "1", "--extra-result", "rtstruct", "--extra-result", "labelmap", ENTRUST_TRITON__URL=triton.url,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    names = {path.name for path in (tmp_path / "out").glob("*.dcm")}
    assert names == {
        "segmentation.dcm", "error_probability.dcm", "conflict.dcm", "report.dcm", "labelmap.dcm", "rtstruct.dcm",
    }  # fmt: skip


def test_the_command_line_lists_the_models(triton: EmbeddedTriton) -> None:
    done = run_cli("models", ENTRUST_TRITON__URL=triton.url)
    assert done.returncode == 0, done.stderr
    assert "oncology" in done.stdout
    assert "ready" in done.stdout


def test_the_command_line_fails_in_two_lines() -> None:
    done = run_cli("segment", "/does/not/exist", "--out", "x")
    assert done.returncode == 2
    assert done.stdout == ""
    error, fix = done.stderr.strip().splitlines()
    assert error.startswith("error: ")
    assert fix.startswith("fix: ")


def test_who_follows_a_killed_gateway_gets_its_ports_and_its_results(
    start_service: StartService, tmp_path: Path
) -> None:
    port = str(free_port())
    settings = {"ENTRUST_TRITON__METRICS_PORT": port, "ENTRUST_JOBS__RESULTS_FOLDER": str(tmp_path / "results")}
    with start_service(**settings) as first:
        with httpx.Client(base_url=first.url, timeout=120.0, trust_env=False) as client:
            accepted = client.post("/v1/segmentations", params=FAST, content=dicom_zip(), headers=ZIP)
            job = accepted.headers["Location"]
            while (state := client.get(job).json()["state"]) in ("queued", "running"):
                time.sleep(0.1)
            assert state == "succeeded"
            mask = client.get(f"{job}/results/mask.nii.gz").content
        os.kill(first.pid, signal.SIGKILL)
        with start_service(**settings) as second:
            with httpx.Client(base_url=second.url, timeout=120.0, trust_env=False) as client:
                assert client.get(f"{job}/results/mask.nii.gz").content == mask
                assert client.post(
                    "/v1/segmentations", params=FAST | {"wait": "true"}, content=dicom_zip(), headers=ZIP
                )
            assert "nv_inference" in httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
            time.sleep(2.0)  # a Triton whose port is taken ends a second after it was ready
            assert "triton-died" not in second.log_path.read_text()
