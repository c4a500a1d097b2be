"""docker-compose.yml as it runs on this machine: by podman-compose, on free ports of the loopback address."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx

from tests.containers.engine import ROOT, Engine
from tests.containers.images import STAND_INS, build

READY_SECONDS = 240.0
PORTS = (
    "GATEWAY_PORT",
    "GATEWAY_RPC_PORT",
    "TRITON_GRPC_PORT",
    "TRITON_HTTP_PORT",
    "TRITON_METRICS_PORT",
    "PROMETHEUS_PORT",
)
SERVICES = ("triton", "gateway", "prometheus")


class Stack:
    """The services, their addresses, and a look into them.

    Args:
        engine: Runs them.
        images: Names by target.
        folder: For Prometheus' configuration.
    """

    def __init__(self, engine: Engine, images: dict[str, str], folder: Path) -> None:
        self.engine = engine
        self.ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        stand_in = build(engine, STAND_INS[0], "tests/containers/stand-ins.Dockerfile")
        self._variables = {name: str(port) for name, port in self.ports.items()} | {
            "GATEWAY_IMAGE": images["gateway"],
            "TRITON_IMAGE": images["triton-cpu"],
            "PROMETHEUS_IMAGE": stand_in,
            "PROMETHEUS_FOLDER": str(self._prometheus_folder(folder)),
        }

    @property
    def url(self) -> str:
        """The gateway."""
        return f"http://127.0.0.1:{self.ports['GATEWAY_PORT']}"

    @property
    def triton_url(self) -> str:
        """Triton's HTTP."""
        return f"http://127.0.0.1:{self.ports['TRITON_HTTP_PORT']}"

    def up(self) -> None:
        """Start everything and wait until the gateway is ready."""
        self.engine.compose("up", "--detach", "--no-build", *SERVICES, **self._variables)
        self.wait_until_ready()

    def up_orthanc(self, users: Path) -> None:
        """Start what the profile ``pacs`` adds."""
        self._variables |= {
            "COMPOSE_PROFILES": "cpu,pacs",
            "ORTHANC_IMAGE": build(self.engine, STAND_INS[1], "tests/containers/stand-ins.Dockerfile"),
            "ORTHANC_USERS_FILE": str(users),
        }
        self.engine.compose("up", "--detach", "--no-build", "orthanc", **self._variables)

    def down(self) -> None:
        """Stop and remove everything, volumes too."""
        with suppress(AssertionError):
            self.engine.compose("down", "--volumes", "--timeout", "10", **self._variables)

    def wait_until_ready(self) -> None:
        """Wait for the gateway, and with it for Triton."""
        wait_for(f"{self.url}/health/ready", lambda: self.engine.logs(self.container("gateway")))

    def container(self, service: str) -> str:
        """Return a service's container."""
        return f"entrust-e2e_{service}_1"

    def inspect(self, service: str) -> dict:
        """Return what podman knows of a service's container."""
        return json.loads(self.engine.podman("inspect", self.container(service)))[0]

    def inside(self, service: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a service's container."""
        return subprocess.run(
            ["podman", "exec", self.container(service), *command],
            env=self.engine.environment, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    def check_health(self, service: str) -> subprocess.CompletedProcess[str]:
        """Run a service's health check, as the engine's timer does where there is systemd."""
        command = ["podman", "healthcheck", "run", self.container(service)]
        return subprocess.run(command, env=self.engine.environment, capture_output=True, text=True, timeout=60)

    def shared_memory(self) -> dict[str, dict]:
        """Return the pieces of shared memory that Triton knows."""
        answer = httpx.get(f"{self.triton_url}/v2/systemsharedmemory/status", trust_env=False)
        return {region["name"]: region for region in answer.raise_for_status().json()}

    def _prometheus_folder(self, folder: Path) -> Path:
        """Copy Prometheus' files with this machine's addresses in place of the services' names."""
        copied = Path(shutil.copytree(ROOT / "deploy" / "prometheus", folder / "prometheus"))
        scrapes = copied / "prometheus.compose.yml"
        text = scrapes.read_text().replace("interval: 15s", "interval: 1s")
        for service, port in (("gateway:8080", "GATEWAY_PORT"), ("triton:8002", "TRITON_METRICS_PORT")):
            assert service in text
            text = text.replace(service, f"127.0.0.1:{self.ports[port]}")
        scrapes.write_text(text)
        for each in (copied.parents[1], copied.parent, copied):
            each.chmod(0o755)  # Prometheus is another user
        return copied


def wait_for(url: str, explain: Callable[[], str]) -> None:
    """Wait until an address answers 200."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        with suppress(httpx.HTTPError):
            if httpx.get(url, timeout=10.0, trust_env=False).status_code == httpx.codes.OK:
                return
        time.sleep(0.5)
    raise AssertionError(f"{url} is not ready:\n{explain()[-3000:]}")


def free_ports(count: int) -> list[int]:
    """Return different ports that are free on the loopback address now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
