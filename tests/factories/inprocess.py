"""The reference executor: the same ONNX files in this process, computed as the server's backend computes them."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime


class InProcessExecutor:
    """Runs a model repository with onnxruntime, one thread, one call at a time.

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
        self.calls.append(model)
        session = self._session(model)
        feed = {name: np.ascontiguousarray(array, np.float32) for name, array in inputs.items()}
        answer = dict(zip(outputs, await asyncio.to_thread(session.run, list(outputs), feed), strict=True))
        assert {name: array.shape for name, array in answer.items()} == dict(outputs)
        return answer

    def _session(self, model: str) -> onnxruntime.InferenceSession:
        if model not in self._sessions:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            options.use_deterministic_compute = True
            path = self._repository / model / "1" / "model.onnx"
            self._sessions[model] = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
        return self._sessions[model]
