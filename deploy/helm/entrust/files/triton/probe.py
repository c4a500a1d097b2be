"""Ask a Triton whether it really answers: ``python3 -I -S probe.py startup|ready|live <address> <canaries.json>``.

Triton goes on saying *ready* when a model's process is dead; only an answer proves a model. The standard library alone,
because this runs inside whatever image serves the models; and from inside the pod, so that Triton's HTTP may stay on
the loopback address.

- ``ready``: Triton says that it and its models are ready.
- ``live``: Triton answers, none of its models' processes is dead, and each model answers a small question. A model that
  is merely busy passes. A question alone would not do: with two instances, every other one goes to the living process.
  Models that its repository does not hold are not asked: a deployment may serve some of the tasks.
- ``startup``: ``ready``, and each model has answered once, which also spares the first study the first call's warm-up.
"""

import array
import glob
import json
import math
import os
import sys
import time
from http.client import HTTPConnection, HTTPException

BUDGET_SECONDS = 8.0
"""Time for all questions together; the kubelet's own limit lies above it."""
STUB = "triton_python_b"
"""Name of the python backend's processes, as long as the kernel keeps it."""
HEADER_LENGTH = "Inference-Header-Content-Length"


class UnwellError(Exception):
    """What is wrong, in words for the pod's events."""


def call(address: str, method: str, path: str, seconds: float, body: bytes = b"", header_length: int = 0) -> bytes:
    """Send one request and return the body of its answer; the header of a tensor answer comes off with its length.

    Raises:
        UnwellError: The status is not 200.
        OSError: Nobody answers, or not in time (TimeoutError).
    """
    connection = HTTPConnection(address, timeout=max(seconds, 0.1))
    try:
        connection.request(method, path, body, {HEADER_LENGTH: str(header_length)} if header_length else {})
        response = connection.getresponse()
        content = response.read()
    except HTTPException as error:
        raise UnwellError(f"{path}: {type(error).__name__}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise UnwellError(f"{path}: status {response.status}")
    return content[int(response.headers.get(HEADER_LENGTH) or 0) :]


def question(shapes: dict[str, list[int]]) -> tuple[bytes, int]:
    """Return a request with tensors of these shapes, and the length of its header."""
    inputs, payload = [], b""
    for name, shape in shapes.items():
        content = array.array("f", [i % 17 / 17 for i in range(math.prod(shape))]).tobytes()
        parameters = {"binary_data_size": len(content)}
        inputs.append({"name": name, "shape": shape, "datatype": "FP32", "parameters": parameters})
        payload += content
    header = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    return header + payload, len(header)


def ask(address: str, model: str, shapes: dict[str, list[int]], seconds: float) -> None:
    """Ask one model.

    Raises:
        UnwellError: It fails, or answers no number.
        TimeoutError: It is busy.
    """
    body, header_length = question(shapes)
    answer = call(address, "POST", f"/v2/models/{model}/infer", seconds, body, header_length)
    values = array.array("f", answer)
    if not values or not all(map(math.isfinite, values)):
        raise UnwellError(f"{model} answers no finite number")


def deployed(address: str, seconds: float) -> set[str]:
    """Return the names of the models in the repository.

    Raises:
        UnwellError: Triton does not tell.
        OSError: It does not answer, or not in time.
    """
    return {model["name"] for model in json.loads(call(address, "POST", "/v2/repository/index", seconds))}


def network(process: str) -> str:
    """Return what tells one pod's network from another's, where processes of several are to be seen."""
    return os.readlink(f"/proc/{process}/ns/net")


def dead_stubs(address: str) -> int:
    """Return how many of the models' processes have died under the Triton at an address; it never collects them."""
    option = f"--http-port={address.rpartition(':')[2]}".encode()
    dead = 0
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                name, _, rest = file.read().partition("(")[2].rpartition(")")
            state, parent = rest.split()[:2]
            if name == STUB and state == "Z":
                with open(f"/proc/{parent}/cmdline", "rb") as file:
                    dead += option in file.read().split(b"\0") and network("self") == network(parent)
        except (OSError, ValueError):
            continue  # it has gone in the meantime
    return dead


def probe(mode: str, address: str, canaries: dict[str, dict[str, list[int]]]) -> None:
    """Ask what the mode wants to know.

    Raises:
        UnwellError: Triton or a model does not do its work.
        OSError: Triton does not answer.
    """
    end = time.monotonic() + BUDGET_SECONDS
    call(address, "GET", "/v2/health/live" if mode == "live" else "/v2/health/ready", end - time.monotonic())
    if mode == "live" and dead_stubs(address):
        raise UnwellError("a model's process is dead")
    if mode == "ready":
        return
    known = deployed(address, end - time.monotonic())
    if not known & canaries.keys():
        raise UnwellError("the repository holds no model of any task")
    for model in sorted(known & canaries.keys()):
        shapes = canaries[model]
        try:
            ask(address, model, shapes, min(3.0, end - time.monotonic()))
        except TimeoutError:
            if mode == "startup":
                raise


def main() -> None:
    """Run one probe; the exit status is the answer, a line of text the reason."""
    _, mode, address, path = sys.argv
    if mode not in ("startup", "ready", "live"):
        raise SystemExit(f"unknown mode {mode}")
    with open(path, encoding="utf-8") as file:
        canaries = json.load(file)
    try:
        probe(mode, address, canaries)
    except (UnwellError, OSError) as error:
        raise SystemExit(f"{type(error).__name__}: {error}") from None


if __name__ == "__main__":
    main()
