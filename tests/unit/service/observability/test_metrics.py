"""Metrics: scrapes parse, names carry units, labels stay bounded, and each is documented."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.observability.metrics import MAX_CODES, MAX_STEP_INDEX, Metrics


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(pairs={"oncology": [("ct", "pet")]}, states=["queued", "running"])


def samples(metrics: Metrics, name: str) -> Iterator[tuple[dict[str, str], float]]:
    text = metrics.render()[0].decode()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name:
                yield sample.labels, sample.value


def test_names_are_ours_with_units(metrics: Metrics) -> None:
    names = {f.name for f in text_string_to_metric_families(metrics.render()[0].decode())}
    assert all(n.startswith(("entrust_", "process_")) for n in names)
    assert not any(n.endswith(("_ms", "_milliseconds", "_kb", "_mb")) for n in names)


def test_step_durations_fall_into_the_histogram(metrics: Metrics) -> None:
    metrics.sampling_step(task="oncology", sampler="ddim", precision="fp32", index=2, duration_seconds=0.3)
    labels = {"task": "oncology", "sampler": "ddim", "precision": "fp32"}
    buckets = {
        float(found["le"]): value
        for found, value in samples(metrics, "entrust_sampling_step_duration_seconds_bucket")
        if labels.items() <= found.items()
    }
    assert buckets[0.25] == 0
    assert buckets[0.4] == 1
    assert ({"task": "oncology", "step_index": "2"}, 0.3) in list(
        samples(metrics, "entrust_sampling_steps_seconds_total")
    )


def test_step_indices_are_bounded(metrics: Metrics) -> None:
    for index in range(500):
        metrics.sampling_step(task="oncology", sampler="ddim", precision="fp32", index=index, duration_seconds=0.01)
    counted = list(samples(metrics, "entrust_sampling_steps_total"))
    assert len(counted) == MAX_STEP_INDEX + 2
    assert sum(value for _, value in counted) == 500


def test_warning_codes_are_bounded(metrics: Metrics) -> None:
    for index in range(10 * MAX_CODES):
        metrics.input_warning(f"code-{index}")
    counted = list(samples(metrics, "entrust_input_warnings_total"))
    assert len(counted) == MAX_CODES + 1
    assert sum(value for _, value in counted) == 10 * MAX_CODES


def test_jobs_and_queue(metrics: Metrics) -> None:
    metrics.jobs_by_state({"queued": 3, "running": 1}, retained_bytes=10)
    assert list(samples(metrics, "entrust_queue_depth_jobs")) == [({}, 3.0)]
    assert ({"state": "running"}, 1.0) in list(samples(metrics, "entrust_jobs"))


def test_trust_summary(metrics: Metrics) -> None:
    metrics.trust(task="oncology", uncertain_share=0.2, conflict_share={"ct-pet": 0.03})
    assert list(samples(metrics, "entrust_uncertain_volume_last_ratio")) == [({"task": "oncology"}, 0.2)]
    assert ({"task": "oncology", "pair": "ct-pet"}, 1.0) in list(
        samples(metrics, "entrust_conflict_volume_ratio_count")
    )


def test_openmetrics_is_offered(metrics: Metrics) -> None:
    body, media_type = metrics.render("application/openmetrics-text; version=1.0.0")
    assert media_type.startswith("application/openmetrics-text")
    assert body.rstrip().endswith(b"# EOF")


def test_the_document_names_each_metric_with_its_labels_and_type(metrics: Metrics) -> None:
    document = (Path(__file__).resolve().parents[4] / "docs" / "metrics.md").read_text()
    rows = {
        m[1].removesuffix("_total"): (m[2], m[3].strip())
        for m in re.finditer(r"^\| `(entrust_\w+)` \| (\w+) \| ([a-z_, ]*)\|", document, re.MULTILINE)
    }
    collectors = {c for c in metrics.registry._collector_to_names if hasattr(c, "_labelnames")}
    assert rows == {c._name: (c._type, ", ".join(c._labelnames)) for c in collectors}  # type: ignore[attr-defined]
