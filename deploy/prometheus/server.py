"""Start Debian's Prometheus and Alertmanager in a folder of their own, for tests and for the picture in the docs."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

READY_SECONDS = 60.0
STOP_SECONDS = 15.0
LOG_TAIL_CHARACTERS = 3000


class ServerError(RuntimeError):
    """A server did not start, or refused a question; the message holds what it said."""


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus; the questions that its HTTP interface answers."""

    url: str

    def query(self, expression: str, *, at: float | None = None) -> list[dict[str, Any]]:
        """Return an instant vector: series with ``metric`` and ``value``.

        Raises:
            ServerError: The expression is refused.
        """
        parameters = {"query": expression} | ({} if at is None else {"time": str(at)})
        return _result(self.get("query", parameters))

    def query_range(self, expression: str, start: float, end: float, step_seconds: float) -> list[dict[str, Any]]:
        """Return series with ``metric`` and ``values``.

        Raises:
            ServerError: The expression is refused.
        """
        parameters = {"query": expression, "start": str(start), "end": str(end), "step": str(step_seconds)}
        return _result(self.get("query_range", parameters))

    def get(self, what: str, parameters: dict[str, str] | None = None) -> Any:
        """Return the data of one answer of ``/api/v1``.

        Raises:
            ServerError: It refuses.
        """
        answer = httpx.get(f"{self.url}/api/v1/{what}", params=parameters, timeout=60.0, trust_env=False)
        if answer.status_code != httpx.codes.OK:
            raise ServerError(answer.text[:500])
        return answer.json()["data"]


@contextmanager
def running_prometheus(
    config: str, folder: Path, *, flags: Sequence[str] = (), ready_seconds: float = READY_SECONDS
) -> Iterator[Prometheus]:
    """Run Prometheus on a free port.

    Args:
        config: Content of its configuration.
        folder: Where its data and log go; data that lie in ``folder/data`` are served.
        flags: Further flags.
        ready_seconds: How long it may take.

    Raises:
        ServerError: It is not installed or does not start.
    """
    port = free_port()
    path = folder / "prometheus.yml"
    path.write_text(config, encoding="utf-8")
    command = [
        binary("prometheus"), f"--config.file={path}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn", *flags,
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    with running(command, f"{url}/-/ready", folder / "prometheus.log", ready_seconds):
        yield Prometheus(url)


@contextmanager
def running_alertmanager(config: str, folder: Path) -> Iterator[str]:
    """Run Alertmanager on a free port and give its address.

    Raises:
        ServerError: It is not installed or does not start.
    """
    port = free_port()
    path = folder / "alertmanager.yml"
    path.write_text(config, encoding="utf-8")
    command = [
        binary("prometheus-alertmanager", "alertmanager"), f"--config.file={path}",
        f"--storage.path={folder / 'alertmanager'}", f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    with running(command, f"{url}/-/ready", folder / "alertmanager.log", READY_SECONDS):
        yield url


@contextmanager
def running(
    command: Sequence[str],
    ready_url: str,
    log: Path,
    ready_seconds: float,
    *,
    environment: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """Run a program until the end of the block and give its process number; it is there once ``ready_url`` answers.

    Raises:
        ServerError: It ended, or did not answer in time.
    """
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603  (our own command line)
            list(command), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, env=environment
        )
    try:
        deadline = time.monotonic() + ready_seconds
        while not _answers(ready_url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise ServerError(f"{Path(command[0]).name} is not ready:\n{log.read_text()[-LOG_TAIL_CHARACTERS:]}")
            time.sleep(0.1)
        yield process.pid
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is not None:
                break
            os.kill(process.pid, number)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                continue


def binary(*names: str) -> str:
    """Return the path of the first program that is installed.

    Raises:
        ServerError: None is.
    """
    for name in names:
        path = shutil.which(name)
        if path is not None:
            return path
    raise ServerError(f"{names[0]} is not installed (Debian: apt-get install prometheus prometheus-alertmanager).")


def free_port() -> int:
    """Return a port that is free on the loopback address now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2.0, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _result(data: dict[str, Any]) -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = data["result"]
    return result
