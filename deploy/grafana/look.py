"""Have a look at the dashboards' data without a Grafana: ``python -m deploy.grafana.look``.

Without ``--prometheus`` a gateway, its Triton and a Prometheus are started, simulated studies are sent for some minutes
(some good, some broken, one model process killed on the way), and what Prometheus then knows is drawn.
"""

import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import grpc
import httpx
import typer
import yaml

from deploy.grafana.__main__ import FOLDER
from deploy.grafana.drawing import Span, draw, read_page
from deploy.prometheus.server import Prometheus, free_port, running, running_prometheus
from service.api.rpc.v1.segmentation_pb2 import ListModelsRequest
from service.api.rpc.v1.segmentation_pb2_grpc import SegmentationServiceStub
from service.triton.processes import stubs
from training.datasets.phantoms.dicom import write_study, zip_study
from training.datasets.phantoms.limb import make_phantom

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
PAGES = {"entrust-overview": "dashboard.png", "entrust-steps": "dashboard-steps.png"}
PHANTOMS = (3, 11)
READY_SECONDS = 180.0


@contextlib.contextmanager
def observed_service(folder: Path) -> Iterator[tuple[str, str, int, Prometheus]]:
    """Run a gateway with its Triton, and a Prometheus that scrapes both every second.

    Yields:
        The gateway's HTTP and gRPC addresses and process number, and the Prometheus.
    """
    port, rpc_port, metrics_port = free_port(), free_port(), free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ENTRUST_")}
    settings = {
        "ENTRUST_REST__PORT": str(port),
        "ENTRUST_RPC__PORT": str(rpc_port),
        "ENTRUST_TRITON__METRICS_PORT": str(metrics_port),
        "ENTRUST_JOBS__WORK_FOLDER": str(folder / "work"),
        "ENTRUST_JOBS__MAX_QUEUED": "2",
    }
    url = f"http://127.0.0.1:{port}"
    targets = {"entrust-gateway": f"127.0.0.1:{port}", "entrust-triton": f"127.0.0.1:{metrics_port}"}
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "2s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()
        ],
    }
    command = [sys.executable, "-m", "service", "serve"]
    with (
        running(
            command, f"{url}/health/ready", folder / "gateway.log", READY_SECONDS, environment=kept | settings
        ) as pid,
        running_prometheus(yaml.safe_dump(config), folder) as prometheus,
    ):
        yield url, f"127.0.0.1:{rpc_port}", pid, prometheus


def send(url: str, rpc_address: str, gateway: int, folder: Path, minutes: float) -> None:
    """Send studies one after another; half way, kill a model's process, as the field does."""
    archives = []
    for seed in PHANTOMS:
        write_study(make_phantom(seed), folder / f"phantom-{seed}")
        archives.append(zip_study(folder / f"phantom-{seed}", folder / f"phantom-{seed}.zip").read_bytes())
    began, sent, killed = time.monotonic(), 0, False
    with (
        httpx.Client(base_url=url, timeout=300.0, trust_env=False) as client,
        grpc.insecure_channel(rpc_address) as channel,
    ):
        stub = SegmentationServiceStub(channel)
        while time.monotonic() - began < minutes * 60.0:
            content = archives[sent % len(archives)]
            if sent % 3 == 2:
                content = content[: len(content) // 2]
            query = {"task": "oncology", "num_hypotheses": "4", "num_steps": "4", "wait": "true"}
            client.post("/v1/segmentations", params=query, content=content, headers={"Content-Type": "application/zip"})
            client.get("/v1/models")
            stub.ListModels(ListModelsRequest())
            if not killed and time.monotonic() - began > minutes * 30.0:
                killed = True
                os.kill(_a_stub(gateway), signal.SIGKILL)
            sent += 1


def _a_stub(gateway: int) -> int:
    """Return a process of the denoiser in the Triton that a gateway started."""
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if int((process / "stat").read_text().rpartition(")")[2].split()[1]) == gateway:
                return next(p for p, c in stubs(int(process.name)).items() if any("denoiser" in part for part in c))
    raise RuntimeError("the gateway's Triton has no process of the denoiser")


def main(
    prometheus: Annotated[str, typer.Option(help="Address of your Prometheus; a service is started without.")] = "",
    minutes: Annotated[float, typer.Option(min=0.5, help="How much is drawn.")] = 5.0,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = ROOT / "docs" / "images",
) -> None:
    """Draw the main dashboards."""
    with tempfile.TemporaryDirectory(prefix="entrust-look-") as name:
        folder = Path(name)
        with contextlib.ExitStack() as stack:
            source = Prometheus(prometheus.rstrip("/"))
            if not prometheus:
                url, rpc_address, gateway, source = stack.enter_context(observed_service(folder))
                time.sleep(5.0)
                send(url, rpc_address, gateway, folder, minutes)
                time.sleep(5.0)
            end = time.time()
            span = Span(end - minutes * 60.0, end, max(2.0, minutes * 60.0 / 150.0), "30s" if not prometheus else "5m")
            for page, picture in PAGES.items():
                draw(read_page(FOLDER / f"{page}.json"), source, span, out / picture)


if __name__ == "__main__":
    typer.run(main)
