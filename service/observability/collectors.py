"""Build the collectors of the definitions, and let the series exist whose labels are known beforehand.

A series that appears with its first event has lost that event for ``rate``; one that starts at zero has not.
"""

from collections.abc import Iterable
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from entrust.drift import STATISTICS, VERDICTS, CalibrationReference
from entrust.errors import ErrorKind
from service.observability.definitions import DEFINITIONS, Definition

DOORS = ("rest", "grpc", "dicomweb", "dimse")
STORE_DOORS = ("dicomweb", "dimse", "pull", "gateway")
"""Ways into the archive; by `pull` comes what was fetched, by `gateway` results of this gateway's own."""
STORE_OUTCOMES = ("stored", "duplicate", "refused")
RETRIEVED = ("present", "retrieved", "failed")
"""What became of an instance that was wanted from a source."""
WORKITEM_OUTCOMES = ("claimed", "lost", "completed", "canceled", "abandoned")
ASSOCIATION_OUTCOMES = ("released", "aborted", "rejected", "no-space")
STUDY_STATES = ("receiving", "queued", "running", "succeeded", "failed", "cancelled", "ignored")
STUDY_STEPS = ("receive", "select", "infer", "encode", "keep", "deliver", "confirm")
STUDY_OUTCOMES = ("succeeded", "failed", "cancelled")
STEP_OUTCOMES = ("done", "retried", "failed")
OUTCOMES = ("ok", "refused", "overloaded", "failed", "left")
CANARY_OUTCOMES = ("ok", "wrong", "late")
REPAIRS = ("reload", "restart")
DELIVERY_STAGES, DELIVERY_OUTCOMES = ("deliver", "confirm"), ("done", "postponed", "refused")
SENT_OUTCOMES = ("stored", "warned", "postponed", "refused")
AUDIT_OUTCOMES = ("written", "dropped", "sent", "lost")

Collector = Counter | Gauge | Histogram
C = TypeVar("C", Counter, Gauge, Histogram)


class Collectors:
    """One collector for each definition.

    Args:
        registry: Where they are exposed.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._by_name = {definition.name: _collector(definition, registry) for definition in DEFINITIONS}

    def of(self, name: str, kind: type[C]) -> C:
        """Return a collector by its definition's name.

        Raises:
            TypeError: It is of another kind.
        """
        collector = self._by_name[name]
        if not isinstance(collector, kind):
            raise TypeError(f"{name} is no {kind.__name__}")
        return collector

    def start(self, name: str, *labels: str) -> None:
        """Let a series exist, at zero."""
        self._by_name[name].labels(*labels)


def start_process(collectors: Collectors, states: Iterable[str], models: Iterable[str]) -> None:
    """Let the series exist that belong to no task."""
    for state in states:
        collectors.start("entrust_jobs", state)
    for reason in ("key", "value", "event"):
        collectors.start("entrust_log_dropped_total", reason)
    for outcome in AUDIT_OUTCOMES:
        collectors.start("entrust_audit_events_total", outcome)
    for door in DOORS:
        collectors.start("entrust_door_request_duration_seconds", door)
        collectors.start("entrust_results_delivered_bytes_total", door)
        for outcome in OUTCOMES:
            collectors.start("entrust_door_requests_total", door, outcome)
    for door in STORE_DOORS:
        collectors.start("entrust_archive_received_bytes_total", door)
        collectors.start("entrust_archive_store_duration_seconds", door)
        for outcome in STORE_OUTCOMES:
            collectors.start("entrust_archive_instances_total", door, outcome)
    for state in STUDY_STATES:
        collectors.start("entrust_studies", state)
    for outcome in STUDY_OUTCOMES:
        collectors.start("entrust_studies_finished_total", outcome)
        collectors.start("entrust_study_duration_seconds", outcome)
    for step in STUDY_STEPS:
        collectors.start("entrust_study_step_duration_seconds", step)
        for outcome in STEP_OUTCOMES:
            collectors.start("entrust_study_steps_total", step, outcome)
    for outcome in WORKITEM_OUTCOMES:
        collectors.start("entrust_workitems_total", outcome)
    for outcome in ("ok", "failed"):
        collectors.start("entrust_worklist_searches_total", outcome)
    for outcome in ASSOCIATION_OUTCOMES:
        collectors.start("entrust_associations_ended_total", outcome)
    for kind in ErrorKind:
        collectors.start("entrust_problems_total", kind.value)
    for action in REPAIRS:
        collectors.start("entrust_triton_repairs_total", action)
    for model in models:
        collectors.start("entrust_triton_stub_deaths_total", model)
        collectors.start("entrust_triton_canary_duration_seconds", model)
        collectors.start("entrust_triton_calls_total", model, "ok")
        for outcome in CANARY_OUTCOMES:
            collectors.start("entrust_triton_canaries_total", model, outcome)


def start_task(collectors: Collectors, task: str, pairs: Iterable[tuple[str, str]], modalities: Iterable[str]) -> None:
    """Let the series of a task exist."""
    for first, second in pairs:
        collectors.start("entrust_conflict_volume_ratio", task, f"{first}-{second}")
    collectors.start("entrust_job_wait_duration_seconds", task)
    collectors.start("entrust_uncertain_volume_ratio", task)
    collectors.start("entrust_hypotheses_agreement_ratio", task)
    collectors.start("entrust_job_duration_seconds", task, "succeeded")
    for priority in ("stat", "routine"):
        collectors.start("entrust_jobs_accepted_total", task, priority)
    for outcome in ("succeeded", *(kind.value for kind in ErrorKind)):
        collectors.start("entrust_jobs_finished_total", task, outcome)
    for slug in modalities:
        collectors.start("entrust_input_coverage_ratio", task, slug)
        for statistic in STATISTICS:
            collectors.start("entrust_input_intensity_ratio", task, slug, statistic)


def start_target(collectors: Collectors, target: str) -> None:
    """Let the series of a receiver of results exist."""
    for stage in DELIVERY_STAGES:
        collectors.start("entrust_delivery_attempt_duration_seconds", target, stage)
        for outcome in DELIVERY_OUTCOMES:
            collectors.start("entrust_delivery_attempts_total", target, stage, outcome)
    for outcome in SENT_OUTCOMES:
        collectors.start("entrust_delivery_instances_total", target, outcome)


def start_reference(collectors: Collectors, reference: CalibrationReference) -> None:
    """Expose the calibration set's ranges."""
    collectors.of("entrust_calibration_reference_studies", Gauge).labels(reference.task).set(reference.studies)
    points = collectors.of("entrust_calibration_reference_ratio", Gauge)
    for measure, band in reference.bands.items():
        for point, value in (("low", band.low), ("median", band.median), ("high", band.high)):
            points.labels(reference.task, measure, point).set(value)
        for verdict in VERDICTS:
            collectors.start("entrust_calibration_comparisons_total", reference.task, measure, verdict)


def _collector(definition: Definition, registry: CollectorRegistry) -> Collector:
    """Build the collector of a definition."""
    name = definition.name.removesuffix("_total")
    if definition.kind == "counter":
        return Counter(name, definition.help, definition.labels, unit=definition.unit, registry=registry)
    if definition.kind == "gauge":
        return Gauge(name, definition.help, definition.labels, unit=definition.unit, registry=registry)
    return Histogram(
        name, definition.help, definition.labels, unit=definition.unit, buckets=definition.buckets, registry=registry
    )
