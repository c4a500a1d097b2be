"""The gateway as a child process: started for the demonstration, and stopped with everything it started."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from entrust.errors import ModelUnavailableError

READY_SECONDS = 240.0
STOP_SECONDS = 20.0


@contextmanager
def running_gateway(log_path: Path) -> Iterator[str]:
    """Start a gateway with an embedded Triton on a free port, and stop both at the end, whatever the end is.

    Args:
        log_path: Where the gateway's log goes.

    Yields:
        Its base URL, once it can work.

    Raises:
        ModelUnavailableError: It did not become ready; the end of its log is in the message.
    """
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith("ENTRUST_") or k.startswith("ENTRUST_TRITON")
    }
    environment |= {"ENTRUST_REST__HOST": "127.0.0.1", "ENTRUST_REST__PORT": str(port)}
    environment |= {"ENTRUST_RPC__ENABLED": "false", "ENTRUST_LOGS__FORMAT": "text"}
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("wb") as log, tempfile.TemporaryDirectory(prefix="entrust-demo-") as work_folder:
        environment["ENTRUST_JOBS__WORK_FOLDER"] = work_folder
        # A session of its own: Ctrl-C reaches us alone, and we stop the gateway in order.
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "serve"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            _wait_ready(url, process, log_path)
            yield url
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_ready(url: str, process: subprocess.Popen[bytes], log_path: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    reason = "it did not answer"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            reason = f"it ended with code {process.returncode}"
            break
        try:
            response = httpx.get(f"{url}/health/ready", timeout=5.0)
            if response.status_code == httpx.codes.OK:
                return
            reason = "it answers, but is not ready"
        except httpx.HTTPError:
            pass  # not listening yet
        time.sleep(0.25)
    tail = "\n".join(log_path.read_text(errors="replace").splitlines()[-15:])
    raise ModelUnavailableError(f"The gateway did not become ready: {reason}. Its log ends with:\n{tail}\n")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # its own session: nobody else's processes are in it
    process.wait()
