"""One export for all contract tests: the released weights where there are any, else untrained ones."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from entrust.contract import ONCOLOGY, ModelCard, Task
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


@pytest.fixture(scope="session")
def exported() -> Exported:
    path = released_path(ONCOLOGY)
    networks = load_networks(ONCOLOGY, path if path.is_file() else None)
    models = served_models(ONCOLOGY, networks)
    files = {part: to_onnx(model) for part, model in models.items()}
    return Exported(ONCOLOGY, networks.card, path.is_file(), models, files)
