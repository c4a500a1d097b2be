"""Several gateways on one machine give one truth: each is scraped by itself, and the sums are right."""

import os
import signal
import subprocess

import httpx

from entrust.contract import TASKS
from service.observability.references import load_references
from service.triton.embedded import EmbeddedTriton
from tests.factories.studies import nifti_files
from tests.integration.observability.waiting import scraped, until
from tests.servers.prometheus import StartPrometheus
from tests.servers.service_process import ServiceProcess, StartService

SHORT = {"task": "oncology", "num_hypotheses": "2", "num_steps": "1", "wait": "true"}


def segment(service: ServiceProcess, times: int) -> None:
    with httpx.Client(base_url=service.url, timeout=120.0, trust_env=False) as client:
        for _ in range(times):
            assert client.post("/v1/segmentations", files=nifti_files(("ct",)), data=SHORT).status_code == 200


def test_two_processes_and_one_truth(
    triton: EmbeddedTriton, start_service: StartService, start_prometheus: StartPrometheus
) -> None:
    settings = {"ENTRUST_TRITON__URL": triton.url, "ENTRUST_JOBS__MAX_QUEUED": "5"}
    with (
        start_service(**settings) as one,
        start_service(**settings) as two,
        start_prometheus({"entrust-gateway": [one.address, two.address]}) as prometheus,
    ):

        def value(expression: str) -> float:
            (series,) = prometheus.query(expression)
            return float(series["value"][1])

        until(prometheus, "count(up == 1) == 2")
        segment(one, 2)
        segment(two, 1)
        scraped(prometheus)
        assert value('sum(entrust_jobs_finished_total{outcome="succeeded"})') == 3
        assert value(f'sum(entrust_jobs_finished_total{{outcome="succeeded", instance="{two.address}"}})') == 1
        assert value('sum(entrust_jobs{state="succeeded"})') == 3
        assert value("sum(entrust_queue_capacity_jobs)") == 10, "each process has a queue of its own"
        assert value("sum(entrust_triton_call_duration_seconds_count) - sum(entrust_triton_calls_total)") == 0
        # what is the same from every process is not added up
        assert value("count(max by (task) (entrust_calibration_reference_studies))") == len(load_references(TASKS))
        assert value('max(entrust_calibration_reference_studies{task="oncology"})') == 6

        os.kill(two.pid, signal.SIGKILL)
        until(prometheus, "count(up == 0) == 1")
        scraped(prometheus)
        assert value('sum(entrust_jobs{state="succeeded"})') == 2, "what the dead process held is gone with it"
        assert value('sum(increase(entrust_jobs_finished_total{outcome="succeeded"}[1m]))') > 2.5, "what it did is not"


def test_a_real_scrape_passes_promtool(
    prometheus_programs: None, triton: EmbeddedTriton, start_service: StartService
) -> None:
    with start_service(ENTRUST_TRITON__URL=triton.url) as service:
        segment(service, 1)
        text = httpx.get(f"{service.url}/metrics", timeout=10.0, trust_env=False).content
    assert b"entrust_sampling_step_duration_seconds_bucket" in text
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
