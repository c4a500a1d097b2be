"""The calibration references belong to the released weights, and name what the gateway measures."""

import hashlib
import json
from pathlib import Path

import pytest

from entrust.contract import TASKS, Task
from entrust.drift import AGREEMENT_MEASURE, STATISTICS, UNCERTAIN_MEASURE, conflict_measure, intensity_measure
from entrust.errors import InvalidInputError
from service.observability.references import load_references

WEIGHTS = Path(__file__).resolve().parents[2] / "weights"
RELEASED = [task for task in TASKS.values() if (WEIGHTS / f"{task.name}.safetensors").is_file()]


@pytest.mark.parametrize("task", RELEASED, ids=lambda task: task.name)
def test_a_reference_was_measured_with_the_released_weights(task: Task) -> None:
    reference = load_references([task.name])[task.name]
    digest = hashlib.sha256((WEIGHTS / f"{task.name}.safetensors").read_bytes()).hexdigest()
    assert reference.digest == digest, "new weights: make reference"
    splits = json.loads((WEIGHTS / f"{task.name}.json").read_text())["splits"]
    assert reference.studies == len(splits["calibration"])


@pytest.mark.parametrize("task", RELEASED, ids=lambda task: task.name)
def test_a_reference_names_every_measure(task: Task) -> None:
    measures = {UNCERTAIN_MEASURE, AGREEMENT_MEASURE}
    measures |= {intensity_measure(slug, statistic) for slug in task.slugs for statistic in STATISTICS}
    measures |= {conflict_measure("-".join(pair)) for pair in task.pairs}
    bands = load_references([task.name])[task.name].bands
    assert set(bands) == measures
    # two modalities that hardly ever conflict have a median of nothing
    assert all(0.0 <= band.low <= band.median <= band.high for band in bands.values())
    assert all(band.low < band.high for band in bands.values())


def test_a_task_without_a_reference_has_none_and_a_broken_one_is_an_error(tmp_path: Path) -> None:
    assert load_references(["oncology"], tmp_path) == {}
    (tmp_path / "oncology.json").write_text("{}")
    with pytest.raises(InvalidInputError, match="oncology"):
        load_references(["oncology"], tmp_path)
