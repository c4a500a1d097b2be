"""The three served models as ONNX graphs, with every size dynamic and the same bytes on every export."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import onnx
import torch
from jaxtyping import Float
from torch import Tensor, nn

from entrust.contract import ModelContract, Task, model_contracts
from entrust.errors import InternalError
from entrust.networks.blocks import upsample2
from entrust.networks.calibration_head import CalibrationHead
from entrust.networks.enfuse import EnFuse
from entrust.networks.release import ServedNetworks

OPSET = 18
"""Understood by ONNX Runtime from 1.14 (NVIDIA's backend of 24.10 has 1.19) and by TensorRT's parser."""

AXES = {
    "images": ("b", "m", "z", "h", "w"),
    "presence": ("b", "m", "z", "h", "w"),
    "keep": ("b", "v", "m"),
    "conflict_gain": ("b", "v"),
    "conflict": ("b", "1", "h", "w"),
    "pair_conflict": ("b", "p", "h", "w"),
    "unimodal": ("b", "m", "c", "h", "w"),
    "x": ("b", "k", "c", "h", "w"),
    "clean": ("b", "k", "c", "h", "w"),
    "t": ("b", "1"),
    "logits": ("b", "k", "c", "h", "w"),
    "features": ("b", "f", "h", "w"),
    "probability": ("b", "c", "h", "w"),
    "error_probability": ("b", "1", "h", "w"),
}
"""Names of the axes; the conditioning's are apart, because it has one more axis as output than as input."""

CONDITIONING_OUT = ("b", "v", "f", "h_half", "w_half")
CONDITIONING_IN = ("b", "f", "h_half", "w_half")


class ServedEnFuse(nn.Module):
    """EnFuse with the outputs of the contract: maps of the unperturbed variant at full resolution."""

    def __init__(self, enfuse: EnFuse) -> None:
        super().__init__()
        self.enfuse = enfuse

    def forward(
        self,
        images: Float[Tensor, "b m z h w"],
        presence: Float[Tensor, "b m z h w"],
        keep: Float[Tensor, "b v m"],
        conflict_gain: Float[Tensor, "b v"],
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return conditioning [b,v,f,h/2,w/2], conflict [b,1,h,w], pair_conflict [b,p,h,w], unimodal [b,m,c,h,w]."""
        b, v, m = keep.shape
        fused = self.enfuse(images, presence, keep, conflict_gain)
        finest = fused.scales[0]

        def base(maps: Tensor) -> Tensor:
            return maps.reshape(b, v, *maps.shape[1:])[:, 0].float()

        p = base(finest.unimodal_logits).softmax(dim=2)
        c, h, w = p.shape[2:]
        return (
            fused.conditioning,
            upsample2(torch.sigmoid(base(finest.conflict_logit))),
            upsample2(base(finest.pair_conflict)),
            upsample2(p.reshape(b, m * c, h, w)).reshape(b, m, c, 2 * h, 2 * w),
        )


class ServedCalibrationHead(nn.Module):
    """The calibration head without its log-temperature."""

    def __init__(self, head: CalibrationHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Float[Tensor, "b f h w"]) -> tuple[Tensor, Tensor]:
        """Return probability [b, c, h, w] and error_probability [b, 1, h, w]."""
        probability, error_probability, _ = self.head(features)
        return probability, error_probability


@dataclass(frozen=True)
class ServedModel:
    """One model as it is served: its contract, the torch module it stands for, and the names of its axes."""

    contract: ModelContract
    module: nn.Module
    input_axes: tuple[tuple[str, ...], ...]
    output_axes: tuple[tuple[str, ...], ...]


def served_models(task: Task, networks: ServedNetworks) -> dict[str, ServedModel]:
    """Return the three models of a task by their part."""
    contracts = model_contracts(task)
    modules: dict[str, nn.Module] = {
        "enfuse": ServedEnFuse(networks.enfuse),
        "denoiser": networks.denoiser,
        "calibration_head": ServedCalibrationHead(networks.calibration_head),
    }
    return {
        part: ServedModel(
            contract=contract,
            module=modules[part].eval(),
            input_axes=tuple(AXES.get(spec.name, CONDITIONING_IN) for spec in contract.inputs),
            output_axes=tuple(AXES.get(spec.name, CONDITIONING_OUT) for spec in contract.outputs),
        )
        for part, contract in contracts.items()
    }


def example_inputs(model: ServedModel, sizes: dict[str, int], generator: torch.Generator) -> tuple[Tensor, ...]:
    """Return random inputs of a model.

    Args:
        model: The model.
        sizes: Size of each dynamic axis: ``b``, ``v``, ``k``, ``h``, ``w``.
        generator: Source of the numbers.
    """
    sizes = {**sizes, "h_half": sizes["h"] // 2, "w_half": sizes["w"] // 2}
    tensors = []
    for spec, axes in zip(model.contract.inputs, model.input_axes, strict=True):
        shape = (sizes["b"], *(sizes[a] if d < 0 else d for d, a in zip(spec.dims, axes[1:], strict=True)))
        draw = torch.randn(shape, generator=generator)
        if spec.name in ("presence", "keep"):
            draw = (draw > -1.0).float()
        elif spec.name in ("t", "conflict_gain"):
            draw = torch.rand(shape, generator=generator)
        elif spec.name == "features":
            draw = -draw.abs()
        tensors.append(draw)
    return tuple(tensors)


def to_onnx(model: ServedModel) -> bytes:
    """Return the model as a self-contained ONNX file; the same weights give the same bytes.

    Raises:
        InternalError: The graph is not a valid ONNX model.
    """
    contract = model.contract
    # no size of the example is 0 or 1, and no two agree: either would tie sizes together in the graph
    sizes = {"b": 2, "v": 3, "k": 4, "h": 48, "w": 80}
    example = example_inputs(model, sizes, torch.Generator().manual_seed(0))
    dynamic: Any = tuple(
        {0: torch.export.Dim.DYNAMIC, **{i + 1: torch.export.Dim.DYNAMIC for i, d in enumerate(spec.dims) if d < 0}}
        for spec in contract.inputs
    )
    with _quiet():
        program = torch.onnx.export(
            model.module,
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=[spec.name for spec in contract.inputs],
            output_names=[spec.name for spec in contract.outputs],
            dynamic_shapes=dynamic,
            verbose=False,
        )
    if program is None:
        raise InternalError("The exporter gave no graph.")
    proto = program.model_proto
    _anonymise(proto)
    for tensors, specs, axes in (
        (proto.graph.input, contract.inputs, model.input_axes),
        (proto.graph.output, contract.outputs, model.output_axes),
    ):
        for value, spec, names in zip(tensors, specs, axes, strict=True):
            shape = value.type.tensor_type.shape
            shape.Clear()
            shape.dim.add().dim_param = names[0]
            for size, name in zip(spec.dims, names[1:], strict=True):
                if size < 0:
                    shape.dim.add().dim_param = name
                else:
                    shape.dim.add().dim_value = size
    try:
        onnx.checker.check_model(proto, full_check=True)
    except onnx.checker.ValidationError as error:
        raise InternalError("The exported graph is not a valid ONNX model.") from error
    return bytes(proto.SerializeToString(deterministic=True))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's own deprecations and its notes on absent packages to itself."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _anonymise(proto: onnx.ModelProto) -> None:
    """Take out what names the exporting machine or program: stack traces, paths, versions; and inferred shapes."""
    proto.producer_name, proto.producer_version = "entrust", ""
    proto.domain, proto.doc_string = "", ""
    proto.graph.name, proto.graph.doc_string = "entrust", ""
    del proto.metadata_props[:]
    del proto.graph.metadata_props[:]
    del proto.graph.value_info[:]  # in the example's symbols; every consumer infers them anew
    del proto.functions[:]
    for node in proto.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for tensor in (*proto.graph.initializer, *proto.graph.input, *proto.graph.output):
        tensor.doc_string = ""
        del tensor.metadata_props[:]
