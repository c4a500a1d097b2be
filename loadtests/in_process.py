"""The reference executor: the same ONNX files in this process, computed as the server's backend computes them."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """Open a model as the server's backend does (``deploy/triton/backends/onnxruntime``).

    Args:
        path: The ONNX file.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])


class InProcessExecutor:
    """Runs a model repository with onnxruntime, each call on one thread, as many calls at a time as are made.

    Args:
        repository: The repository that Triton serves.
    """

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}
        self.calls: list[str] = []

    async def infer(
        self, model: str, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, tuple[int, ...]]
    ) -> dict[str, np.ndarray]:
        """See :class:`service.inference.executor.Executor`.

        Raises:
            ValueError: An answer has another shape than it should.
        """
        self.calls.append(model)
        session = self._session(model)
        feed = {name: np.ascontiguousarray(array, np.float32) for name, array in inputs.items()}
        answer = dict(zip(outputs, await asyncio.to_thread(session.run, list(outputs), feed), strict=True))
        if {name: array.shape for name, array in answer.items()} != dict(outputs):
            raise ValueError(f"{model} answered with other shapes than it should")
        return answer

    def _session(self, model: str) -> onnxruntime.InferenceSession:
        if model not in self._sessions:
            self._sessions[model] = open_session(self._repository / model / "1" / "model.onnx")
        return self._sessions[model]
