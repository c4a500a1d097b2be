"""Gateways as processes of their own, as several of them run on one machine."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.prometheus.server import free_port, running


@dataclass(frozen=True)
class ServiceProcess:
    """A gateway that runs."""

    url: str
    pid: int
    rpc_address: str
    log_path: Path

    @property
    def address(self) -> str:
        """``host:port``."""
        return self.url.removeprefix("http://")


StartService = Callable[..., AbstractContextManager[ServiceProcess]]
"""``start_service(ENTRUST_TRITON__URL=…)`` gives a gateway that is ready."""


@pytest.fixture(scope="session")
def start_service(tmp_path_factory: pytest.TempPathFactory) -> StartService:
    """Start gateways on free ports; they stop at the end of their block."""

    @contextlib.contextmanager
    def start(**settings: str) -> Iterator[ServiceProcess]:
        folder, port, rpc_port = tmp_path_factory.mktemp("service"), free_port(), free_port()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ENTRUST_")}
        own = {"REST__PORT": str(port), "RPC__PORT": str(rpc_port), "JOBS__WORK_FOLDER": str(folder)}
        own["TRITON__TASKS"] = "oncology"  # what the tests ask for: twelve models take several times as long to start
        environment = kept | {f"ENTRUST_{name}": value for name, value in own.items()} | settings
        url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "service", "serve"]
        ready = f"{url}/health/ready"
        log_path = folder / "service.log"
        with running(command, ready, log_path, 120.0, environment=environment) as pid:
            yield ServiceProcess(url, pid, f"127.0.0.1:{rpc_port}", log_path)

    return start
