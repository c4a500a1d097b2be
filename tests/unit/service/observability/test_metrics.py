"""Metrics: scrapes parse, names carry units, labels stay bounded, and each is documented."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from entrust.drift import Band, CalibrationReference
from entrust.errors import ErrorKind
from service.observability import reference
from service.observability.definitions import DEFINITIONS
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


def test_the_document_is_what_the_definitions_say() -> None:
    document = (Path(__file__).resolve().parents[4] / "docs" / "metrics.md").read_text()
    assert document == reference.render(), "python -m service.observability.reference > docs/metrics.md"


def test_the_document_names_each_metric_with_its_labels_type_and_unit(metrics: Metrics) -> None:
    rows = {
        m[1].removesuffix("_total"): (m[2], m[3], m[4].strip())
        for m in re.finditer(
            r"^\| `(entrust_\w+)` \| (\w+) \| (\w*) \| ([a-z_, ]*)\|", reference.render(), re.MULTILINE
        )
    }
    collectors = {c for c in metrics.registry._collector_to_names if hasattr(c, "_labelnames")}
    assert rows == {
        c._name: (c._type, c._unit, ", ".join(c._labelnames))  # type: ignore[attr-defined]
        for c in collectors
    }


def test_a_unit_stands_at_the_end_of_the_name() -> None:
    for definition in DEFINITIONS:
        name = definition.name.removesuffix("_total")
        assert name.endswith(f"_{definition.unit}") if definition.unit else definition.kind != "histogram", name
        assert definition.name.endswith("_total") == (definition.kind == "counter")


REFERENCE = CalibrationReference(
    "oncology", "d1", 6, {"ct-intensity-mean": Band(0.4, 0.5, 0.6), "uncertain-volume": Band(0.1, 0.2, 0.3)}
)


@pytest.fixture
def referenced() -> Metrics:
    return Metrics(
        pairs={"oncology": [("ct", "pet")]},
        states=["queued"],
        modalities={"oncology": ["ct", "pet"]},
        models=["m"],
        references={"oncology": REFERENCE},
    )


def verdicts(metrics: Metrics, measure: str) -> dict[str, float]:
    found = samples(metrics, "entrust_calibration_comparisons_total")
    return {labels["verdict"]: value for labels, value in found if labels["measure"] == measure}


def test_studies_are_compared_with_the_calibration_set(referenced: Metrics) -> None:
    assert verdicts(referenced, "ct-intensity-mean") == {"below": 0, "within": 0, "above": 0}
    for mean in (0.39, 0.4, 0.6, 0.61, 0.7):
        referenced.inputs(
            task="oncology", intensities={"ct": {"mean": mean}}, coverage={"ct": 1.0}, slice_spacing_mm={"ct": 3.0}
        )
    assert verdicts(referenced, "ct-intensity-mean") == {"below": 1, "within": 2, "above": 2}
    found = {labels["point"]: v for labels, v in samples(referenced, "entrust_calibration_reference_ratio")
                 if labels["measure"] == "ct-intensity-mean"}  # fmt: skip
    assert found == {"low": 0.4, "median": 0.5, "high": 0.6}
    (spacing,) = (v for _, v in samples(referenced, "entrust_input_slice_spacing_meters_sum"))
    assert spacing == pytest.approx(0.015)


@pytest.mark.parametrize(("complete", "digest", "counted"), [(True, "d1", 1), (False, "d1", 0), (True, "d2", 0)])
def test_trust_is_compared_for_complete_studies_by_the_same_weights(
    referenced: Metrics, complete: bool, digest: str, counted: int
) -> None:
    referenced.trust(
        task="oncology", uncertain_share=0.9, conflict_share={}, agreement=0.5, complete=complete, digest=digest
    )
    assert verdicts(referenced, "uncertain-volume")["above"] == counted


def test_series_that_are_known_beforehand_start_at_zero(referenced: Metrics) -> None:
    finished = {labels["outcome"]: v for labels, v in samples(referenced, "entrust_jobs_finished_total")}
    assert finished == dict.fromkeys(["succeeded", *ErrorKind], 0.0)
    canaries = [(labels["outcome"], v) for labels, v in samples(referenced, "entrust_triton_canaries_total")]
    assert sorted(canaries) == [("late", 0.0), ("ok", 0.0), ("wrong", 0.0)]


def test_queue_capacity_is_what_waits_and_what_may_still_come(metrics: Metrics) -> None:
    metrics.jobs_by_state({"queued": 3}, retained_bytes=0, room=13)
    assert list(samples(metrics, "entrust_queue_capacity_jobs")) == [({}, 16.0)]


def test_a_promlint_of_the_exposition_finds_nothing(referenced: Metrics) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool (Debian's prometheus) is not installed")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=referenced.render()[0], capture_output=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
