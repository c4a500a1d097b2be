"""One study's sampling steps, served and in this process: ``python -m loadtests.step_latency``.

The same study goes in turn through a running gateway with its Triton, and through the same loop
(:func:`service.inference.run_inference`) with onnxruntime in this process; in turn, so that whatever else the machine
does falls on both alike. Both tell their steps to the same kind of histogram; a real Prometheus scrapes both, and is
asked as the dashboards ask it.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import httpx
import typer
import yaml
from prometheus_client import start_http_server

from deploy.prometheus.server import Prometheus, ServerError, binary, free_port, running_prometheus
from entrust.contract import ModelCard, get_task
from loadtests.figures import Interval, bootstrap
from loadtests.in_process import InProcessExecutor
from loadtests.service import SupervisedGateway, running_service
from loadtests.studies import write_archives
from service.inference import TritonClient, load_card, run_inference
from service.ingest import IngestLimits, read_study
from service.observability.activities import Activities
from service.observability.metrics import Metrics
from service.pipeline import prepare_study
from service.selection import default_rules
from service.startup import REPOSITORY, make_metrics
from service.study import Case

SERVED, IN_PROCESS = "entrust-gateway", "in-process"
STEP = "entrust_sampling_step_duration_seconds_bucket"
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
SCRAPE_SECONDS = 1.0
LIMITS = IngestLimits(
    max_files=20_000, max_bytes=2**32, max_uncompressed_bytes=2**33, max_ratio=200.0, max_voxels=2**30
)


@dataclass(frozen=True)
class StepLatency:
    """What was measured.

    Attributes:
        rounds: Times that the study went each way.
        loop: Whole loop through Triton over the loop in process, ratios within each round.
        loop_seconds: Medians of the whole loop by way.
        quantiles_seconds: Of the duration of a step, by way; empty without a Prometheus.
        mean_seconds: Of each step by its index, by way; empty without a Prometheus.
    """

    rounds: int
    loop: Interval
    loop_seconds: Mapping[str, float]
    quantiles_seconds: Mapping[str, Mapping[str, float]]
    mean_seconds: Mapping[str, Mapping[str, float]]


@contextmanager
def observed(service: SupervisedGateway, metrics: Metrics, folder: Path) -> Iterator[Prometheus | None]:
    """Run a Prometheus that scrapes the gateway, its Triton, and this process; ``None`` where none is installed."""
    try:
        binary("prometheus")
    except ServerError:
        yield None
        return
    port = free_port()
    server, thread = start_http_server(port, "127.0.0.1", registry=metrics.registry)
    targets = {
        SERVED: service.address,
        IN_PROCESS: f"127.0.0.1:{port}",
        "entrust-triton": f"127.0.0.1:{service.metrics_port}",
    }
    config = {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS:.0f}s", "scrape_timeout": f"{SCRAPE_SECONDS:.0f}s"},
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [address]}]} for job, address in targets.items()
        ],
    }
    try:
        with running_prometheus(yaml.safe_dump(config), folder) as prometheus:
            yield prometheus
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def measure(
    service: SupervisedGateway, metrics: Metrics, prometheus: Prometheus | None, archive: Path, *, rounds: int,
    num_hypotheses: int, num_steps: int,
) -> StepLatency:  # fmt: skip
    """Send one study both ways in turn.

    Args:
        service: The gateway.
        metrics: Hears of the steps in this process.
        prometheus: Scrapes both.
        archive: The study.
        rounds: How often, after one round that warms up.
        num_hypotheses: K.
        num_steps: S.
    """
    task = get_task("oncology")
    case = prepare_study(read_study(archive, limits=LIMITS), task, default_rules())
    async with TritonClient(service.triton_address) as client:
        card = await load_card(client, task)
    executor = InProcessExecutor(REPOSITORY)
    times: dict[str, list[float]] = {SERVED: [], IN_PROCESS: []}
    began = time.time()
    async with httpx.AsyncClient(base_url=service.url, timeout=600.0, trust_env=False) as http:
        query = {"task": task.name, "num_hypotheses": str(num_hypotheses), "num_steps": str(num_steps), "wait": "true"}

        async def serve() -> float:
            return await _served(http, query, archive.read_bytes())

        async def compute() -> float:
            return await _in_process(executor, case, card, metrics, num_hypotheses, num_steps)

        ways = {SERVED: serve, IN_PROCESS: compute}
        for turn in range(rounds + 1):
            for way in (SERVED, IN_PROCESS) if turn % 2 else (IN_PROCESS, SERVED):
                seconds = await ways[way]()
                if turn:
                    times[way].append(seconds)
                else:
                    began = time.time()  # the steps that warm up are in no quantile
    ratios = [a / b for a, b in zip(times[SERVED], times[IN_PROCESS], strict=True)]
    await asyncio.sleep(3.0 * SCRAPE_SECONDS)
    found = ({}, {}) if prometheus is None else (step_quantiles(prometheus, began), step_means(prometheus, began))
    return StepLatency(rounds, bootstrap(ratios), {way: bootstrap(t).value for way, t in times.items()}, *found)


async def _served(http: httpx.AsyncClient, query: Mapping[str, str], content: bytes) -> float:
    """Return the seconds of the stage *inference*, as the gateway tells them."""
    headers = {"Content-Type": "application/zip", "Accept": "application/json"}
    answer = await http.post("/v1/segmentations", params=query, content=content, headers=headers)
    answer.raise_for_status()
    return float(answer.json()["timings"]["stages_seconds"]["inference"])


async def _in_process(
    executor: InProcessExecutor, case: Case, card: ModelCard, metrics: Metrics, num_hypotheses: int, num_steps: int
) -> float:
    result = await run_inference(
        executor, case, card, num_hypotheses=num_hypotheses, num_steps=num_steps, seed=0, observer=Activities(metrics)
    )
    return result.timings.total_seconds


def step_quantiles(prometheus: Prometheus, since: float) -> dict[str, dict[str, float]]:
    """Return quantiles of a step's duration by way, as ``histogram_quantile`` tells them from the buckets."""
    window = f"{max(int(time.time() - since), 5)}s"
    found: dict[str, dict[str, float]] = {}
    for name, q in QUANTILES.items():
        for series in prometheus.query(f"histogram_quantile({q}, sum by (le, job) (increase({STEP}[{window}])))"):
            found.setdefault(series["metric"]["job"], {})[name] = float(series["value"][1])
    return found


def step_means(prometheus: Prometheus, since: float) -> dict[str, dict[str, float]]:
    """Return the mean duration of each step by its index, by way."""
    window = f"{max(int(time.time() - since), 5)}s"
    seconds, steps = (
        f"sum by (job, step_index) (increase({name}_total[{window}]))"
        for name in ("entrust_sampling_steps_seconds", "entrust_sampling_steps")
    )
    found: dict[str, dict[str, float]] = {}
    for series in prometheus.query(f"({seconds} / {steps}) > 0"):  # what was never done is NaN, and not above zero
        found.setdefault(series["metric"]["job"], {})[series["metric"]["step_index"]] = float(series["value"][1])
    return found


def main(
    rounds: Annotated[int, typer.Option(min=2, max=1000, help="Times that the study goes each way.")] = 15,
    size: Annotated[str, typer.Option(help="small, medium or large")] = "medium",
    num_hypotheses: Annotated[int, typer.Option(min=1, max=32)] = 8,
    num_steps: Annotated[int, typer.Option(min=1, max=64)] = 4,
) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="entrust-load-") as name:
        folder, metrics = Path(name), make_metrics()
        archive = write_archives(folder / "archives")[size]
        with running_service(folder) as service, observed(service, metrics, folder) as prometheus:
            if prometheus is None:
                typer.echo("No Prometheus is installed (apt-get install prometheus): no distribution of steps.")
            options = {"rounds": rounds, "num_hypotheses": num_hypotheses, "num_steps": num_steps}
            typer.echo(
                json.dumps(asdict(asyncio.run(measure(service, metrics, prometheus, archive, **options))), indent=2)
            )


if __name__ == "__main__":
    typer.run(main)
