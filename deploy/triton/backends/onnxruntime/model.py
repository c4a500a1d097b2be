"""Serve a plain ``1/model.onnx`` with onnxruntime, as a python-based backend of Triton.

A folder named ``onnxruntime`` among the server's backends makes it accept ``backend: "onnxruntime"``, so that one model
repository works here and, unchanged, with the native backend of NVIDIA's container.

Every request runs on its own: requests are never merged, because the summation order inside a convolution may depend
on the batch, and a study must give the same bits whatever else runs beside it. One thread per instance for the same
reason; instances are the parallelism.
"""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

NUMPY_TYPES = {"TYPE_FP32": np.float32, "TYPE_FP16": np.float16, "TYPE_INT64": np.int64, "TYPE_INT32": np.int32}


def check_tensors() -> None:
    """Refuse to serve from an environment whose numpy the stub mangles.

    The stub of Triton 2.51 was built for numpy 1. Under numpy 2 it repeats the first element on reading and sends
    nothing on writing, without a word and only on the way between processes; hence the version is looked at as well.

    Raises:
        RuntimeError: Tensors would not survive.
    """
    sent = np.arange(6, dtype=np.float32).reshape(2, 3) + 0.5
    tensor = pb_utils.Tensor("echo", sent)
    survives = np.array_equal(np.from_dlpack(tensor), sent) and np.array_equal(tensor.as_numpy(), sent)
    if not survives or int(np.__version__.split(".")[0]) >= 2:
        raise RuntimeError(
            f"tensors do not survive this python environment (numpy {np.__version__}); "
            "reinstall the server's environment: python -m service.triton.install --force"
        )


def open_session(path: Path, threads: int, *, on_gpu: bool) -> onnxruntime.InferenceSession:
    """Load a model so that the same input gives the same bits, and idle threads do not burn the CPU.

    Args:
        path: The ONNX file.
        threads: Threads within an operator.
        on_gpu: Run on CUDA where this onnxruntime can.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    providers = ["CPUExecutionProvider"]
    if on_gpu and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        providers.insert(0, "CUDAExecutionProvider")
    return onnxruntime.InferenceSession(str(path), options, providers=providers)


class TritonPythonModel:
    """One instance of one model: a session, and the names it answers with."""

    def initialize(self, args: dict[str, str]) -> None:
        """Check the environment and load the model.

        Args:
            args: Given by Triton: ``model_config`` (JSON), ``model_repository`` (this model's folder),
                ``model_version``, ``model_instance_kind``.
        """
        check_tensors()
        config = json.loads(args["model_config"])
        parameters = {name: value["string_value"] for name, value in config.get("parameters", {}).items()}
        folder = Path(args["model_repository"]) / args["model_version"]
        file = folder / (config.get("default_model_filename") or "model.onnx")
        threads = int(parameters.get("intra_op_thread_count", "1"))
        self.session = open_session(file, threads, on_gpu=args["model_instance_kind"] == "GPU")
        self.inputs = [tensor["name"] for tensor in config["input"]]
        self.outputs = {tensor["name"]: NUMPY_TYPES[tensor["data_type"]] for tensor in config["output"]}
        served = {tensor.name for tensor in self.session.get_inputs()}, {t.name for t in self.session.get_outputs()}
        if served[0] != set(self.inputs) or not set(self.outputs) <= served[1]:
            raise pb_utils.TritonModelException(
                f"config.pbtxt and {file.name} disagree about tensors: the file has inputs {sorted(served[0])} "
                f"and outputs {sorted(served[1])}"
            )

    def execute(self, requests: list) -> list:
        """Answer each request by itself; one request's failure is its own."""
        return [self.answer(request) for request in requests]

    def answer(self, request: "pb_utils.InferenceRequest") -> "pb_utils.InferenceResponse":
        """Run one request, unless its caller has gone."""
        if request.is_cancelled():
            gone = pb_utils.TritonError("the caller cancelled the request", pb_utils.TritonError.CANCELLED)
            return pb_utils.InferenceResponse(error=gone)
        try:
            feed = {name: self.read(request, name) for name in self.inputs}
            wanted = [name for name in self.outputs if name in request.requested_output_names()]
            values = self.session.run(wanted, feed)
        except Exception as error:  # whatever a model raises must end as this request's answer, not as a dead stub
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(f"{type(error).__name__}: {error}"))
        # written as C-ordered arrays of the promised type: the stub copies bytes and asks no questions
        tensors = [
            pb_utils.Tensor(name, np.ascontiguousarray(value, dtype=self.outputs[name]))
            for name, value in zip(wanted, values, strict=True)
        ]
        return pb_utils.InferenceResponse(output_tensors=tensors)

    @staticmethod
    def read(request: "pb_utils.InferenceRequest", name: str) -> np.ndarray:
        """Return an input; through dlpack, which copies nothing and is right under any numpy.

        Raises:
            ValueError: The request lacks it.
        """
        tensor = pb_utils.get_input_tensor_by_name(request, name)
        if tensor is None:
            raise ValueError(f"input {name!r} is missing")
        return np.from_dlpack(tensor)

    def finalize(self) -> None:
        """Let the model go."""
        del self.session
