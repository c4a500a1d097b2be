"""A small question with a known answer, asked of every model again and again.

Triton goes on saying *ready* when a model's process is dead or its tensors are mangled; only an answer proves a model.
The question goes over HTTP with binary tensors, beside the gateway's own gRPC traffic.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import httpx
import numpy as np

from entrust.contract import ModelContract, Task, TensorSpec, model_contracts
from entrust.errors import InferenceFailedError

HEADER_LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True, eq=False)
class Canary:
    """One question.

    Attributes:
        inputs: Tensors by name, batch first, float32.
        expected: The answer where it is known beforehand; else the first answer becomes the known one.
    """

    inputs: Mapping[str, np.ndarray]
    expected: Mapping[str, np.ndarray] | None = None


def digest(answer: Mapping[str, np.ndarray]) -> str:
    """Return a hash of every bit of an answer."""
    hashed = hashlib.sha256()
    for name in sorted(answer):
        hashed.update(f"{name}{answer[name].shape}".encode())
        hashed.update(np.ascontiguousarray(answer[name]).tobytes())
    return hashed.hexdigest()


def task_canaries(task: Task) -> dict[str, Canary]:
    """Return a question for each served model of a task: one smallest slice, one variant, two hypotheses."""
    return {contract.name: Canary(_small_inputs(contract, task)) for contract in model_contracts(task).values()}


def _small_inputs(contract: ModelContract, task: Task) -> dict[str, np.ndarray]:
    """Return fixed pseudo-random inputs of the smallest size that the model takes."""
    generator = np.random.Generator(np.random.Philox(key=20240229))
    return {spec.name: generator.random((1, *_small_shape(spec, task)), dtype=np.float32) for spec in contract.inputs}


def _small_shape(spec: TensorSpec, task: Task) -> tuple[int, ...]:
    """Replace the dynamic sizes of a tensor: planes by the smallest plane, counts by two hypotheses or one variant."""
    plane = task.size_multiple // 2 if spec.name == "conditioning" else task.size_multiple  # half resolution
    count = 2 if spec.name in ("x", "clean") else 1
    dims = list(spec.dims)
    if len(dims) >= 3:
        dims[-2:] = [plane, plane]
    return tuple(count if size < 0 else size for size in dims)


async def ask(http: httpx.AsyncClient, model: str, canary: Canary) -> dict[str, np.ndarray]:
    """Ask one question over Triton's HTTP protocol with binary tensors.

    Args:
        http: Client whose base address is the server's.
        model: Name of the model.
        canary: The question.

    Returns:
        Output tensors by name.

    Raises:
        InferenceFailedError: The server answered with an error.
        httpx.HTTPError: The server did not answer.
    """
    arrays = {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in canary.inputs.items()}
    header = json.dumps(
        {
            "inputs": [
                {
                    "name": name,
                    "shape": list(array.shape),
                    "datatype": "FP32",
                    "parameters": {"binary_data_size": array.nbytes},
                }
                for name, array in arrays.items()
            ],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    response = await http.post(
        f"/v2/models/{model}/infer",
        content=header + b"".join(array.tobytes() for array in arrays.values()),
        headers={HEADER_LENGTH: str(len(header)), "Content-Type": "application/octet-stream"},
    )
    if response.status_code != httpx.codes.OK:
        raise InferenceFailedError(f"Model {model} does not answer its canary (status {response.status_code}).")
    if HEADER_LENGTH not in response.headers:  # what a mangled environment sends: an answer of no bytes
        raise InferenceFailedError(f"Model {model} answers its canary without any tensor.")
    length = int(response.headers[HEADER_LENGTH])
    answer: dict[str, np.ndarray] = {}
    for output in json.loads(response.content[:length])["outputs"]:
        size = output["parameters"]["binary_data_size"]
        values = np.frombuffer(response.content, dtype=np.float32, count=size // 4, offset=length)
        answer[output["name"]] = values.reshape(output["shape"])
        length += size
    return answer
