"""Every panel's query, asked of a real Prometheus that scraped a real gateway and its Triton at work.

What is asked is read from the committed JSON, so that the test sees what Grafana would see.
"""

import contextlib
import json
import math
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from PIL import Image

from deploy.grafana.__main__ import files
from deploy.grafana.drawing import Span, draw, read_page
from deploy.grafana.units import BASE, base_unit, check, metrics_of
from deploy.prometheus.server import Prometheus, free_port
from service.api.rpc.v1 import segmentation_pb2 as pb
from service.api.rpc.v1 import segmentation_pb2_grpc as pb_grpc
from service.triton.installation import Installation
from service.triton.processes import stubs
from tests.factories.studies import dicom_zip, nifti_files
from tests.integration.observability.waiting import scraped, until
from tests.integration.rpc.conftest import OPTIONS, nifti_request
from tests.servers.prometheus import StartPrometheus
from tests.servers.service_process import ServiceProcess, StartService

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "deploy" / "grafana" / "dashboards"
SHORT = {"task": "oncology", "num_hypotheses": "2", "num_steps": "2", "wait": "true"}
VARIABLES = {"$__rate_interval": "2m", "$__range": "2m", "$task": ".*"}


@dataclass(frozen=True)
class Question:
    """One query of one panel, as Grafana reads it."""

    page: str
    title: str
    unit: str
    expression: str
    heatmap: bool

    def __str__(self) -> str:
        return f"{self.page}: {self.title}"


def questions() -> list[Question]:
    found = []
    for path in sorted(FOLDER.glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", []):
                heatmap = panel["type"] == "heatmap"
                unit = panel["options"]["yAxis"]["unit"] if heatmap else panel["fieldConfig"]["defaults"]["unit"]
                expression = target["expr"]
                for name, value in VARIABLES.items():
                    expression = expression.replace(name, value)
                found.append(Question(path.stem, panel["title"], unit, expression, heatmap))
    return found


QUESTIONS = questions()


def stub_of(gateway: int, model: str) -> int:
    """Return a process of a model in the Triton that a gateway process started."""
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1] if folder.name.isdecimal() else "0"
            if int(parent) == gateway:
                return next(p for p, c in stubs(int(folder.name)).items() if any(model in part for part in c))
    raise AssertionError(f"{model} has no process")


def work(service: ServiceProcess) -> None:
    """Send what a day sends: studies that succeed, that are refused, and that fail; a client that asks for nothing."""
    with httpx.Client(base_url=service.url, timeout=120.0, trust_env=False) as client:
        done = client.post("/v1/segmentations", files=nifti_files(), data=SHORT)
        assert done.status_code == 200, done.text[:300]
        partial = client.post("/v1/segmentations", files=nifti_files(("ct",)), data=SHORT)
        assert partial.status_code == 200
        broken = client.post("/v1/segmentations", params=SHORT, content=dicom_zip()[:-500],
                             headers={"Content-Type": "application/zip"})  # fmt: skip
        assert broken.status_code == 400
        assert client.post("/v1/segmentations", data={"task": "nothing"}).status_code == 415
        assert client.get("/nowhere").status_code == 404
    with grpc.insecure_channel(service.rpc_address, options=OPTIONS) as channel:
        stub = pb_grpc.SegmentationServiceStub(channel)
        assert stub.Segment(nifti_request()).results
        with pytest.raises(grpc.RpcError):
            stub.GetJob(pb.GetJobRequest(job_id="0" * 32))


@pytest.fixture(scope="module")
def observed(
    start_prometheus: StartPrometheus,
    start_service: StartService,
    triton_installation: Installation,
    model_repository: Path,
) -> Iterator[Prometheus]:
    """A Prometheus that saw a gateway and its Triton at work, and one model's process die."""
    port = free_port()
    settings = {"ENTRUST_TRITON__METRICS_PORT": str(port), "ENTRUST_TRITON__REPOSITORY": str(model_repository)}
    with start_service(**settings) as service:
        targets = {"entrust-gateway": [service.address], "entrust-triton": [f"127.0.0.1:{port}"]}
        with start_prometheus(targets, rules=ROOT / "deploy" / "prometheus" / "rules.yml") as prometheus:
            until(prometheus, "min(up) == 1")
            work(service)
            scraped(prometheus)
            work(service)
            os.kill(stub_of(service.pid, "oncology_denoiser"), signal.SIGKILL)
            until(prometheus, 'sum(entrust_triton_repairs_total{action="reload"}) == 1')
            until(prometheus, 'sum(increase(entrust_triton_canaries_total{outcome="ok"}[1m])) > 0')
            work(service)
            scraped(prometheus)
            yield prometheus


def test_the_committed_dashboards_are_what_the_code_writes() -> None:
    assert {path.name: path.read_text() for path in FOLDER.glob("*.json")} == files(), "python -m deploy.grafana"


def test_the_questions_are_all_there() -> None:
    assert {question.page for question in QUESTIONS} == {path.removesuffix(".json") for path in files()}
    assert len(QUESTIONS) > 50


@pytest.mark.parametrize("question", QUESTIONS, ids=str)
def test_a_panel_has_data_in_its_unit(question: Question, observed: Prometheus) -> None:
    check(question.expression, question.unit, heatmap=question.heatmap)
    series = observed.query(question.expression)
    values = [float(one["value"][1]) for one in series]
    finite = [value for value in values if math.isfinite(value)]
    assert finite, f"no data: {question.expression} gave {values}"
    assert min(finite) >= 0.0
    if question.unit == "percentunit" and not question.heatmap:
        assert max(finite) <= 1.0 + 1e-9


def test_what_prometheus_was_told_of_units_is_what_the_names_say(observed: Prometheus) -> None:
    told: dict[str, Any] = observed.get("metadata")
    ours = {name: entries[0] for name, entries in told.items() if name.startswith("entrust_")}
    assert len(ours) > 30
    for name, entry in ours.items():
        assert base_unit(name) == (BASE[entry["unit"]] if entry["unit"] else base_unit("things")), name


def test_every_metric_that_a_panel_reads_exists(observed: Prometheus) -> None:
    known = set(observed.get("label/__name__/values"))
    for question in QUESTIONS:
        assert metrics_of(question.expression) <= known, question


def test_the_pictures_agree_with_what_was_done(observed: Prometheus) -> None:
    (failed,) = observed.query('sum(entrust_jobs_finished_total{outcome="invalid-input"})')
    (good,) = observed.query('sum(entrust_jobs_finished_total{outcome="succeeded"})')
    assert (float(failed["value"][1]), float(good["value"][1])) == (3.0, 9.0)
    (told,) = observed.query('sum(entrust_problems_total{kind="invalid-input"})')
    assert float(told["value"][1]) == 3.0, "who waited for a job that failed was told so"
    found = observed.query("entrust_door_requests_total > 0")
    doors = {(one["metric"]["door"], one["metric"]["outcome"]): float(one["value"][1]) for one in found}
    assert doors == {("rest", "ok"): 6.0, ("rest", "refused"): 9.0, ("grpc", "ok"): 3.0, ("grpc", "refused"): 3.0}
    delivered = observed.query("entrust_results_delivered_bytes_total > 0")
    assert {one["metric"]["door"] for one in delivered} == {"rest", "grpc"}
    (dead,) = observed.query("sum(entrust_triton_stub_deaths_total)")
    assert float(dead["value"][1]) == 1.0
    (calls,) = observed.query('sum(entrust_triton_call_duration_seconds_count{model="oncology_denoiser"})')
    (counted,) = observed.query('sum(nv_inference_request_success{model="oncology_denoiser"})')
    assert float(counted["value"][1]) >= float(calls["value"][1]) * 0.5, "the Triton that was scraped is this gateway's"


def test_a_dashboard_can_be_looked_at_without_grafana(observed: Prometheus, tmp_path: Path) -> None:
    now = time.time()
    for page in ("entrust-overview", "entrust-steps"):
        path = tmp_path / f"{page}.png"
        draw(read_page(FOLDER / f"{page}.json"), observed, Span(now - 60.0, now, 2.0, "1m"), path)
        pixels = np.asarray(Image.open(path).convert("L"))
        assert pixels.shape[1] == 1200
        assert 0.01 < (pixels < 200).mean() < 0.3, "neither empty nor black"
