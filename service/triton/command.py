"""How the embedded server is called: its command line, its environment, and its ports."""

import contextlib
import os
import socket
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from service.observability.trace_collector import Collector
from service.triton.installation import Installation, library_path
from service.triton.tracing import trace_arguments, trace_environment

ADDRESS = "127.0.0.1"
LAUNCHER = Path(__file__).with_name("launch.py")
EXIT_SECONDS = 2  # nothing is lost by a short one: models are read only, and the gateway has ended its own work before


class Ports(NamedTuple):
    """TCP ports of one server.

    Attributes:
        grpc: Of gRPC.
        http: Of HTTP.
        metrics: Of its own metrics.
    """

    grpc: int = 0
    http: int = 0
    metrics: int = 0


def free_ports(metrics_port: int = 0) -> Ports:
    """Return ports that are free on the loopback address now.

    Args:
        metrics_port: The port for metrics, where it is not to be a free one.
    """
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in Ports._fields]
        for each in sockets:
            each.bind((ADDRESS, 0))
        grpc, http, metrics = (each.getsockname()[1] for each in sockets)
        return Ports(grpc, http, metrics_port or metrics)


def command_line(
    installation: Installation,
    repository: Path,
    models: Iterable[str],
    ports: Ports,
    *,
    shared_memory_prefix: str,
    collector: Collector | None = None,
) -> list[str]:
    """Return the server's command line.

    Args:
        installation: Where its files are.
        repository: Model repository.
        models: Those that it loads.
        ports: Where it listens.
        shared_memory_prefix: Of what it keeps in /dev/shm.
        collector: Where it sends traces.
    """
    return [
        sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()),
        str(installation.binary),
        f"--model-repository={repository}",
        f"--backend-directory={installation.backends}",
        "--model-control-mode=explicit",
        *(f"--load-model={model}" for model in models),
        "--strict-readiness=true",
        "--disable-auto-complete-config",  # what is served is what config.pbtxt says
        f"--exit-timeout-secs={EXIT_SECONDS}",
        f"--backend-config=python,shm-region-prefix-name={shared_memory_prefix}",
        f"--grpc-address={ADDRESS}", f"--grpc-port={ports.grpc}",
        f"--http-address={ADDRESS}", f"--http-port={ports.http}",
        f"--metrics-address={ADDRESS}", f"--metrics-port={ports.metrics}",
        "--metrics-config=summary_latencies=true",
        "--allow-gpu-metrics=false",
        "--cuda-memory-pool-byte-size=0:0", "--pinned-memory-pool-byte-size=0",
        *trace_arguments(collector),
    ]  # fmt: skip


def environment(installation: Installation, collector: Collector | None = None) -> dict[str, str]:
    """Return the server's environment: this one's, without what would lead its stubs to another Python.

    Args:
        installation: Where its files are.
        collector: Where it sends traces.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "LD_"))}
    return kept | {
        "PATH": f"{installation.environment / 'bin'}:{os.environ.get('PATH', os.defpath)}",
        "LD_LIBRARY_PATH": library_path(),
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        **trace_environment(collector),
    }
