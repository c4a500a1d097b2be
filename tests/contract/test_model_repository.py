"""The committed model repository is what the exporter makes of the committed weights, today."""

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from entrust.contract import CONTRACT_VERSION, TASKS, FittedConstants, ModelCard, model_contracts
from entrust.networks.release import load_release
from export.repository import config_pbtxt
from export.weights import PROJECT_ROOT, released_path

pytestmark = pytest.mark.timeout(900)  # tracing the graphs is half a minute of CPU, more on a busy machine

REPOSITORY = PROJECT_ROOT / "model_repository"
MODELS = [(task.name, part) for task in TASKS.values() for part in model_contracts(task)]


def committed(task_name: str, part: str) -> Path:
    folder = REPOSITORY / model_contracts(TASKS[task_name])[part].name
    if not folder.is_dir():
        pytest.skip(f"no released weights of task {task_name!r} yet: run 'make train export'")
    return folder


@pytest.mark.parametrize(("task_name", "part"), MODELS)
def test_the_configuration_is_up_to_date(task_name: str, part: str) -> None:
    task = TASKS[task_name]
    text = (committed(task_name, part) / "config.pbtxt").read_text()
    card = load_release(task, released_path(task)).card
    assert text == config_pbtxt(model_contracts(task)[part], card)


@pytest.mark.parametrize(("task_name", "part"), MODELS)
def test_the_card_can_be_read_back(task_name: str, part: str) -> None:
    text = (committed(task_name, part) / "config.pbtxt").read_text()
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    card = ModelCard.from_parameters({k: v.string_value for k, v in config.parameters.items()})
    assert (card.task, card.contract) == (task_name, CONTRACT_VERSION)
    assert card.version != "untrained"
    assert card.constants != FittedConstants(), "the constants were never fitted"


@pytest.mark.parametrize("part", ["enfuse", "denoiser", "calibration_head"])
def test_the_graph_is_up_to_date(exported: Any, part: str) -> None:
    file = committed(exported.task.name, part) / "1" / "model.onnx"
    assert exported.released
    assert file.read_bytes() == exported.files[part], "run 'make export' and commit model_repository/"


@pytest.mark.parametrize("task_name", list(TASKS))
def test_parity_was_reported_for_these_weights(task_name: str) -> None:
    committed(task_name, "enfuse")
    report = json.loads(released_path(TASKS[task_name]).with_suffix(".parity.json").read_text())
    assert report["inputs"] == ("real slices" if task_name == "oncology" else "simulated slices")
    assert len(report["tensors"]) == sum(len(c.outputs) for c in model_contracts(TASKS[task_name]).values())
    assert all(row["max_abs"] < report["tolerance"] <= 1e-4 for row in report["tensors"])


def test_the_repository_stays_small() -> None:
    assert sum(file.stat().st_size for file in REPOSITORY.rglob("*") if file.is_file()) < 40e6
