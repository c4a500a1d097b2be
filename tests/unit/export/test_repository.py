"""config.pbtxt says what the contract says."""

from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from entrust.contract import ONCOLOGY, FittedConstants, ModelCard, model_contracts
from export.repository import ModelFile, config_pbtxt, write_repository

CARD = ModelCard(task="oncology", version="0.1", digest="ab" * 32, constants=FittedConstants(kappa=0.25))


def parsed(text: str) -> model_config_pb2.ModelConfig:
    return text_format.Parse(text, model_config_pb2.ModelConfig())


@pytest.mark.parametrize("part", ["enfuse", "denoiser", "calibration_head"])
def test_the_configuration_is_the_contract(part: str) -> None:
    contract = model_contracts(ONCOLOGY)[part]
    config = parsed(config_pbtxt(contract, CARD))
    assert (config.name, config.max_batch_size) == (contract.name, contract.max_batch_size)
    assert config.backend == "onnxruntime"
    assert not config.platform  # the native backend would insist on its own name for it
    for tensors, specs in ((config.input, contract.inputs), (config.output, contract.outputs)):
        assert [(t.name, tuple(t.dims)) for t in tensors] == [(s.name, s.dims) for s in specs]
        assert {t.data_type for t in tensors} == {model_config_pb2.TYPE_FP32}
    assert [group.count for group in config.instance_group] == [contract.instances]


def test_requests_are_never_merged() -> None:
    """A study's result may not depend on what else is asked at the same time."""
    for contract in model_contracts(ONCOLOGY).values():
        assert not parsed(config_pbtxt(contract, CARD)).HasField("dynamic_batching")


def test_the_card_travels_as_parameters() -> None:
    config = parsed(config_pbtxt(model_contracts(ONCOLOGY)["denoiser"], CARD))
    assert ModelCard.from_parameters({k: v.string_value for k, v in config.parameters.items()}) == CARD


def test_plans_run_on_the_gpu_with_the_one_profile() -> None:
    config = parsed(config_pbtxt(model_contracts(ONCOLOGY)["enfuse"], CARD, "tensorrt"))
    assert (config.platform, config.backend) == ("tensorrt_plan", "tensorrt")
    (group,) = config.instance_group
    assert group.kind == model_config_pb2.ModelInstanceGroup.KIND_GPU
    assert list(group.profile) == ["0"]


def test_the_layout_is_tritons(tmp_path: Path) -> None:
    contract = model_contracts(ONCOLOGY)["denoiser"]
    write_repository(tmp_path, [ModelFile(contract, b"graph")], CARD)
    assert (tmp_path / "oncology_denoiser" / "1" / "model.onnx").read_bytes() == b"graph"
    assert parsed((tmp_path / "oncology_denoiser" / "config.pbtxt").read_text()).name == "oncology_denoiser"
