"""The committed graphs of each released task beside the networks that they stand for, for all contract tests."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from entrust.contract import TASKS, ModelCard, Task
from export.graphs import ServedModel, served_models
from export.weights import load_networks, released_path
from service.startup import REPOSITORY


@dataclass(frozen=True)
class Released:
    """A task's networks, and its files in the model repository."""

    task: Task
    card: ModelCard
    models: Mapping[str, ServedModel]
    files: Mapping[str, bytes]


@pytest.fixture(scope="session", params=TASKS.values(), ids=lambda task: task.name)
def released(request: pytest.FixtureRequest) -> Released:
    task: Task = request.param
    networks = load_networks(task, released_path(task))
    models = served_models(task, networks)
    files = {
        part: (REPOSITORY / model.contract.name / "1" / "model.onnx").read_bytes() for part, model in models.items()
    }
    return Released(task, networks.card, models, files)
