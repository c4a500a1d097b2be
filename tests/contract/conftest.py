"""One export of each released task for all contract tests; where nothing is released, of untrained oncology."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from entrust.contract import ONCOLOGY, TASKS, ModelCard, Task
from export.graphs import ServedModel, served_models, to_onnx
from export.weights import load_networks, released_path


@dataclass(frozen=True)
class Exported:
    """What the exporter makes of the weights."""

    task: Task
    card: ModelCard
    released: bool
    models: Mapping[str, ServedModel]
    files: Mapping[str, bytes]


RELEASED = [task for task in TASKS.values() if released_path(task).is_file()]


@pytest.fixture(scope="session", params=RELEASED or [ONCOLOGY], ids=lambda task: task.name)
def exported(request: pytest.FixtureRequest) -> Exported:
    task: Task = request.param
    networks = load_networks(task, released_path(task) if task in RELEASED else None)
    models = served_models(task, networks)
    files = {part: to_onnx(model) for part, model in models.items()}
    return Exported(task, networks.card, task in RELEASED, models, files)
