"""The committed graphs: torch's numbers at any size, ORT 1.19's vocabulary, TensorRT's approval, no trace of us."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from export import parity, plans
from export.graphs import OPSET, example_inputs

PARTS = ("enfuse", "denoiser", "calibration_head")
SIZES = (
    {"b": 1, "v": 1, "k": 1, "h": 16, "w": 16},
    {"b": 3, "v": 7, "k": 2, "h": 32, "w": 112},
    {"b": 2, "v": 2, "k": 8, "h": 112, "w": 96},
)


@pytest.mark.parametrize("sizes", SIZES, ids=lambda s: "b{b}-v{v}-k{k}-{h}x{w}".format(**s))
@pytest.mark.parametrize("part", PARTS)
def test_numbers_are_torchs_at_any_size(released: Any, part: str, sizes: dict[str, int]) -> None:
    model = released.models[part]
    tensors = example_inputs(model, sizes, torch.Generator().manual_seed(11))
    feed = {spec.name: t.numpy() for spec, t in zip(model.contract.inputs, tensors, strict=True)}
    found = parity.run_onnx(released.files[part], feed)
    for name, expected in parity.run_torch(model, feed).items():
        assert found[name].shape == tuple(expected.shape)
        assert np.abs(found[name] - expected.numpy()).max() < parity.TOLERANCE


def test_numbers_are_torchs_on_slices(released: Any) -> None:
    inputs = parity.find_inputs(released.task)
    rows = parity.compare(released.task, released.models, released.files, inputs)
    assert {row.model for row in rows} == {model.contract.name for model in released.models.values()}
    parity.check(rows)


@pytest.mark.parametrize("part", PARTS)
def test_tensors_are_the_contracts(released: Any, part: str) -> None:
    graph = onnx.load_from_string(released.files[part]).graph
    contract = released.models[part].contract
    for values, specs in ((graph.input, contract.inputs), (graph.output, contract.outputs)):
        assert [v.name for v in values] == [s.name for s in specs]
        for value, spec in zip(values, specs, strict=True):
            tensor = value.type.tensor_type
            assert tensor.elem_type == onnx.TensorProto.FLOAT
            batch, *dims = tensor.shape.dim
            assert batch.dim_param == "b"
            assert [d.dim_value if d.HasField("dim_value") else -1 for d in dims] == list(spec.dims)


@pytest.mark.parametrize("part", PARTS)
def test_older_runtimes_understand_the_file(released: Any, part: str) -> None:
    """ONNX Runtime 1.19, as in NVIDIA's container of 24.10, reads IR version 10 and opset 21 at most."""
    model = onnx.load_from_string(released.files[part])
    assert model.ir_version <= 10
    assert [(o.domain, o.version) for o in model.opset_import] == [("", OPSET)]
    assert not model.functions


@pytest.mark.parametrize("part", PARTS)
def test_the_file_says_nothing_about_the_machine_that_made_it(released: Any, part: str) -> None:
    model = onnx.load_from_string(released.files[part])
    assert (model.producer_name, model.producer_version, model.doc_string) == ("entrust", "", "")
    assert not model.metadata_props
    assert not model.graph.metadata_props
    assert not model.graph.value_info
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")  # random bytes may spell anything
    words = model.SerializeToString()
    for trace in (str(Path(__file__).resolve().parents[2]), "site-packages", ".py", "File "):
        assert trace.encode() not in words
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)


@pytest.fixture(scope="module")
def tensorrt_rtx() -> ModuleType:
    pytest.importorskip("tensorrt_rtx_libs", reason="TensorRT for RTX is not installed (extra 'dev')")
    return pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT for RTX is not installed (extra 'dev')")


@pytest.mark.parametrize("part", PARTS)
def test_tensorrt_parses_and_builds_the_graph(released: Any, tensorrt_rtx: ModuleType, part: str) -> None:
    plan = plans.build_plan(tensorrt_rtx, released.models[part], released.files[part])
    assert len(plan) > 10_000
