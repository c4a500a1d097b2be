"""Durations of one run, read from the gateway's own metrics."""

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

STAGE_SECONDS = "entrust_stage_duration_seconds_sum"
STEPS = "entrust_sampling_steps_total"
STEPS_SECONDS = "entrust_sampling_steps_seconds_total"


@dataclass(frozen=True)
class Timings:
    """Where the time went.

    Attributes:
        stages_seconds: Time by stage.
        steps: (index, calls, seconds in all) of each sampling step; a call covers one chunk of slices.
    """

    stages_seconds: Mapping[str, float]
    steps: tuple[tuple[str, int, float], ...]


def read_timings(before: str, after: str) -> Timings:
    """Return what was added between two expositions of the metrics."""
    stages = _increase(before, after, STAGE_SECONDS, "stage")
    calls, seconds = (
        _increase(before, after, STEPS, "step_index"),
        _increase(before, after, STEPS_SECONDS, "step_index"),
    )
    order = sorted(calls, key=lambda index: int(index.rstrip("+")))
    return Timings(stages, tuple((index, round(calls[index]), seconds.get(index, 0.0)) for index in order))


def _increase(before: str, after: str, name: str, label: str) -> dict[str, float]:
    old, new = _samples(before, name, label), _samples(after, name, label)
    return {key: value - old.get(key, 0.0) for key, value in new.items() if value > old.get(key, 0.0)}


def _samples(exposition: str, name: str, label: str) -> dict[str, float]:
    values: dict[str, float] = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            if sample.name == name:
                values[sample.labels[label]] = values.get(sample.labels[label], 0.0) + sample.value
    return values
