"""The committed model repository is what the exporter makes of the committed weights, today."""

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from entrust.contract import CONTRACT_VERSION, ONCOLOGY, TASKS, FittedConstants, ModelCard, model_contracts
from export.graphs import served_models, to_onnx
from export.repository import config_pbtxt
from export.weights import load_networks, released_path
from service.startup import REPOSITORY

pytestmark = pytest.mark.timeout(900)  # tracing EnFuse is a minute of CPU, more on a busy machine

PARTS = ("enfuse", "denoiser", "calibration_head")


def committed_config(released: Any, part: str) -> str:
    return Path(REPOSITORY / released.models[part].contract.name / "config.pbtxt").read_text()


@pytest.mark.parametrize("part", PARTS)
def test_the_configuration_is_up_to_date(released: Any, part: str) -> None:
    assert committed_config(released, part) == config_pbtxt(released.models[part].contract, released.card)


@pytest.mark.parametrize("part", PARTS)
def test_the_card_can_be_read_back(released: Any, part: str) -> None:
    config = text_format.Parse(committed_config(released, part), model_config_pb2.ModelConfig())
    card = ModelCard.from_parameters({k: v.string_value for k, v in config.parameters.items()})
    assert (card.task, card.contract) == (released.task.name, CONTRACT_VERSION)
    assert card.version != "untrained"
    assert card.constants != FittedConstants(), "the constants were never fitted"


@pytest.mark.parametrize("part", ["denoiser", "calibration_head"])
def test_the_graph_is_up_to_date(released: Any, part: str) -> None:
    assert to_onnx(released.models[part]) == released.files[part], "run 'make export' and commit model_repository/"


def test_the_graph_of_enfuse_is_up_to_date() -> None:
    """One task's, for tracing takes a minute; that the others compute the same is tested on numbers."""
    models = served_models(ONCOLOGY, load_networks(ONCOLOGY, released_path(ONCOLOGY)))
    file = REPOSITORY / models["enfuse"].contract.name / "1" / "model.onnx"
    assert to_onnx(models["enfuse"]) == file.read_bytes(), "run 'make export' and commit model_repository/"


@pytest.mark.parametrize("task_name", list(TASKS))
def test_parity_was_reported_for_these_weights(task_name: str) -> None:
    report = json.loads(released_path(TASKS[task_name]).with_suffix(".parity.json").read_text())
    assert report["inputs"] == ("real slices" if task_name == "oncology" else "simulated slices")
    assert len(report["tensors"]) == sum(len(c.outputs) for c in model_contracts(TASKS[task_name]).values())
    assert all(row["max_abs"] < report["tolerance"] <= 1e-4 for row in report["tensors"])


def test_the_repository_stays_small() -> None:
    assert sum(file.stat().st_size for file in REPOSITORY.rglob("*") if file.is_file()) < 40e6
