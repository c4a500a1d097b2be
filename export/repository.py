"""The model repository that Triton serves: ``<model>/config.pbtxt`` and ``<model>/1/<file>``.

One repository with plain ONNX files is served by the embedded server through its python-based ``onnxruntime`` backend
and, unchanged, by the native backend of NVIDIA's container. Plans of TensorRT live in a second repository, because
they belong to one GPU and one version.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from entrust.contract import ModelCard, ModelContract, TensorSpec

Target = Literal["onnx", "tensorrt"]

THREAD_PARAMETERS = {"intra_op_thread_count": "1", "inter_op_thread_count": "1"}
"""On CPUs an instance has one thread; more work in parallel means more instances, and results stay the same."""


@dataclass(frozen=True)
class ModelFile:
    """One model ready to be written: its contract and the content of its file."""

    contract: ModelContract
    content: bytes


def config_pbtxt(contract: ModelContract, card: ModelCard, target: Target = "onnx") -> str:
    """Return the configuration of a served model as text.

    No dynamic batching: a request is computed as it came, so its result does not depend on what else runs.

    Args:
        contract: Names, types, shapes, batch and instances.
        card: Identifies the weights; written as parameters.
        target: Decides backend, platform and devices.
    """
    config = model_config_pb2.ModelConfig(name=contract.name, max_batch_size=contract.max_batch_size)
    for specs, add in ((contract.inputs, config.input.add), (contract.outputs, config.output.add)):
        for spec in specs:
            add(name=spec.name, data_type=_data_type(spec), dims=spec.dims)
    parameters = dict(card.parameters())
    if target == "onnx":
        config.backend = "onnxruntime"
        config.instance_group.add(count=contract.instances, kind=model_config_pb2.ModelInstanceGroup.KIND_AUTO)
        parameters |= THREAD_PARAMETERS
    else:
        config.platform, config.backend = "tensorrt_plan", "tensorrt"
        # an instance owns its execution context; all share the plan's one optimisation profile
        config.instance_group.add(count=1, kind=model_config_pb2.ModelInstanceGroup.KIND_GPU, profile=["0"])
    for key, value in sorted(parameters.items()):
        config.parameters[key].string_value = value
    text: str = text_format.MessageToString(config, as_utf8=True)
    return text.rstrip("\n") + "\n"


def file_name(target: Target) -> str:
    """Return the name that Triton expects of a model's file."""
    return "model.onnx" if target == "onnx" else "model.plan"


def write_repository(root: Path, models: list[ModelFile], card: ModelCard, target: Target = "onnx") -> list[Path]:
    """Write models and configurations; folders of other models stay as they are.

    Args:
        root: The repository; made if it does not exist.
        models: The models of a task.
        card: Identifies the weights.
        target: Decides the file's name and the configuration.

    Returns:
        What was written.
    """
    written = []
    for model in models:
        folder = root / model.contract.name
        (folder / "1").mkdir(parents=True, exist_ok=True)
        config, content = folder / "config.pbtxt", folder / "1" / file_name(target)
        config.write_text(config_pbtxt(model.contract, card, target), encoding="utf-8")
        content.write_bytes(model.content)
        written += [config, content]
    return written


def _data_type(spec: TensorSpec) -> int:
    return int(model_config_pb2.DataType.Value(f"TYPE_{spec.dtype}"))
