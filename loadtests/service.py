"""The service under load: a gateway in a process of its own, started again when it dies, as Kubernetes would."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import psutil

from deploy.prometheus.server import free_port
from service.triton.processes import stubs

READY_SECONDS = 240.0
STOP_SECONDS = 25.0
RETAINED_BYTES = 96 * 1024 * 1024
"""Results kept in these tests: so few that they reach their bound within minutes, and only a leak grows after that."""
SETTINGS: Mapping[str, str] = {
    "ENTRUST_JOBS__RETENTION_BYTES": str(RETAINED_BYTES),
    "ENTRUST_LOGS__LEVEL": "info",
}


class SupervisedGateway:
    """A gateway on free ports, and its supervisor.

    Args:
        folder: Where its log and its uploads lie.
        settings: Further ``ENTRUST_…`` variables.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        rest, rpc, self.metrics_port = free_port(), free_port(), free_port()
        self.url, self.address, self.rpc_address = f"http://127.0.0.1:{rest}", f"127.0.0.1:{rest}", f"127.0.0.1:{rpc}"
        self._log = folder / "gateway.log"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ENTRUST_")}
        self._environment = {
            **kept,
            **SETTINGS,
            "ENTRUST_REST__PORT": str(rest),
            "ENTRUST_RPC__PORT": str(rpc),
            "ENTRUST_TRITON__METRICS_PORT": str(self.metrics_port),
            "ENTRUST_JOBS__WORK_FOLDER": str(folder / "work"),
            "ENTRUST_JOBS__RESULTS_FOLDER": str(folder / "results"),
            **(settings or {}),
        }
        self._stopping = threading.Event()
        self._process = self._start()
        self.starts = 1
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
        self._supervisor.start()

    def _start(self) -> psutil.Process:
        with self._log.open("ab") as log:
            return psutil.Popen(
                [sys.executable, "-m", "service", "serve"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment, start_new_session=True,
            )  # fmt: skip

    def _supervise(self) -> None:
        while not self._stopping.is_set():
            try:
                self._process.wait(0.02)
            except psutil.TimeoutExpired:
                continue
            if not self._stopping.is_set():
                self._process = self._start()
                self.starts += 1

    @property
    def pid(self) -> int:
        """Process number of the gateway now running."""
        return self._process.pid

    @property
    def triton_pid(self) -> int:
        """Process number of its Triton.

        Raises:
            RuntimeError: It has none.
        """
        for child in psutil.Process(self.pid).children():
            if stubs(child.pid):
                return child.pid
        raise RuntimeError("the gateway has no Triton with models")

    @property
    def triton_address(self) -> str:
        """``host:port`` of its Triton's gRPC."""
        options = dict(part.split("=", 1) for part in psutil.Process(self.triton_pid).cmdline() if "=" in part)
        return f"{options['--grpc-address']}:{options['--grpc-port']}"

    @property
    def stub_pids(self) -> list[int]:
        """Process numbers of its Triton's models."""
        return list(stubs(self.triton_pid))

    def stub_of(self, model: str) -> int:
        """Return a process of a model.

        Raises:
            RuntimeError: There is none.
        """
        for pid, command in stubs(self.triton_pid).items():
            if any(model in part for part in command):
                return pid
        raise RuntimeError(f"no process of {model}")

    def wait_ready(self) -> None:
        """Wait until it can work.

        Raises:
            RuntimeError: It cannot within the time given; the message holds the end of its log.
        """
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if is_ready(self.url):
                return
            time.sleep(0.1)
        raise RuntimeError(f"the gateway is not ready:\n{self.log_tail()}")

    def log_tail(self) -> str:
        """Return the end of the log."""
        return self._log.read_text(errors="replace")[-3000:]

    def kill(self, before_next: Callable[[], None] = lambda: None) -> None:
        """Kill it with SIGKILL, and return when it has been started again.

        Args:
            before_next: Called when it has been killed.
        """
        starts = self.starts
        os.kill(self.pid, signal.SIGKILL)
        before_next()
        while self.starts == starts:
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop it for good, and everything that it started."""
        self._stopping.set()
        self._supervisor.join()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except psutil.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class ForkedGateway(SupervisedGateway):
    """A gateway that is started from a process that has loaded its libraries already, and nothing else.

    Most of a start is the loading of libraries; without it, many more fit into an hour.
    """

    def _start(self) -> psutil.Process:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["service.__main__", "service.app"])
        process = context.Process(target=_serve, args=(self._environment, self._log))
        process.start()
        return psutil.Process(process.pid)


def _serve(environment: Mapping[str, str], log: Path) -> None:
    """Do as ``python -m service serve`` with this environment."""
    os.setsid()
    with log.open("ab") as out, open(os.devnull, "rb") as nothing:
        for file, descriptor in ((nothing, 0), (out, 1), (out, 2)):
            os.dup2(file.fileno(), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    from service.__main__ import serve  # loaded already, where this runs

    serve()


def is_ready(url: str) -> bool:
    """Ask whether a gateway can work."""
    try:
        return httpx.get(f"{url}/health/ready", timeout=2.0, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


@contextlib.contextmanager
def running_service(
    folder: Path, settings: Mapping[str, str] | None = None, *, kind: type[SupervisedGateway] = SupervisedGateway
) -> Iterator[SupervisedGateway]:
    """Run a gateway that is ready, until the end of the block.

    Args:
        folder: Where its log and its uploads lie.
        settings: Further ``ENTRUST_…`` variables.
        kind: How it is started.
    """
    service = kind(folder, settings)
    try:
        service.wait_ready()
        yield service
    finally:
        service.stop()
