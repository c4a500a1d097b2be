"""ONNX → TensorRT plans, where the ``tensorrt`` package and a GPU exist.

A plan belongs to one GPU type and one TensorRT version: build it on the machine that serves it. The network is always
strongly typed, so precision is what the ONNX file says.
"""

from types import ModuleType
from typing import Any

from entrust.contract import ModelContract
from entrust.errors import InternalError, ModelUnavailableError
from export.graphs import ServedModel

SIZES = {
    "b": (1, 8, 64),
    "v": (1, 7, 8),
    "k": (1, 8, 16),
    "h": (16, 112, 256),
    "w": (16, 112, 256),
    "h_half": (8, 56, 128),
    "w_half": (8, 56, 128),
}
"""Smallest, usual and largest size of each dynamic axis: the one optimisation profile of every plan."""


def load_tensorrt() -> ModuleType:
    """Return the ``tensorrt`` package.

    Raises:
        ModelUnavailableError: The package, or a GPU for it, is not there.
    """
    try:
        import tensorrt
    except ImportError as error:
        raise ModelUnavailableError(
            "Plans cannot be built: the package 'tensorrt' is not installed.",
            fix="Install the project's extra 'gpu' on a machine with an NVIDIA GPU, or run the export inside NVIDIA's "
            "Triton or TensorRT container; plans belong on the machine that serves them.",
        ) from error
    module: ModuleType = tensorrt
    try:
        module.Builder(module.Logger(module.Logger.ERROR))
    except Exception as error:  # the binding raises TypeError or RuntimeError where CUDA does not initialise
        raise ModelUnavailableError(
            "Plans cannot be built: TensorRT finds no usable NVIDIA GPU.",
            fix="Run the export on the machine that will serve the plans, with its driver installed.",
        ) from error
    return module


def axis_sizes(contract: ModelContract) -> dict[str, tuple[int, int, int]]:
    """Return :data:`SIZES` with the batch's limit of the contract."""
    largest = contract.max_batch_size
    return {**SIZES, "b": (1, min(SIZES["b"][1], largest), largest)}


def build_plan(trt: Any, model: ServedModel, onnx_file: bytes) -> bytes:
    """Parse an ONNX file and build it for the GPU at hand.

    Args:
        trt: ``tensorrt``, or ``tensorrt_rtx`` with the same interface.
        model: What the file is of; its axes decide the optimisation profile.
        onnx_file: The content of the ONNX file.

    Raises:
        InternalError: The parser or the builder refuses the graph.
    """
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    # from TensorRT 11 on every network is strongly typed, and the flag may be gone
    strongly_typed = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if strongly_typed is None else 1 << int(strongly_typed))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx_file):
        reasons = "; ".join(str(parser.get_error(i).desc()) for i in range(parser.num_errors))
        raise InternalError(f"TensorRT does not take the graph of {model.contract.name}: {reasons}")
    profile = builder.create_optimization_profile()
    sizes = axis_sizes(model.contract)
    for spec, axes in zip(model.contract.inputs, model.input_axes, strict=True):
        shapes = (
            (sizes["b"][i], *(sizes[a][i] if d < 0 else d for d, a in zip(spec.dims, axes[1:], strict=True)))
            for i in range(3)
        )
        profile.set_shape(spec.name, *shapes)
    config = builder.create_builder_config()
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise InternalError(f"TensorRT does not build {model.contract.name}.", fix="See TensorRT's log above.")
    return bytes(plan)
