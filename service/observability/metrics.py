"""Prometheus metrics of the gateway, on a registry of their own; :mod:`service.observability.definitions` lists them.

Each gateway process answers for itself alone, and is scraped by itself: sums over processes are Prometheus' work.
Series whose labels are known beforehand exist from the start, at zero: else the first event would be lost to ``rate``.
"""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector

from entrust.drift import (
    AGREEMENT_MEASURE,
    UNCERTAIN_MEASURE,
    CalibrationReference,
    conflict_measure,
    intensity_measure,
)
from service.observability.collectors import (
    RETRIEVED,
    Collectors,
    start_process,
    start_reference,
    start_target,
    start_task,
)

MAX_STEP_INDEX = 31
"""Steps after this one share the label ``32+``: a caller's number of steps must not grow the metric."""
MAX_CODES = 128
"""Distinct warning codes that are counted by name; later ones share ``other``."""

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, which nobody asks for


class Metrics:
    """Every metric of one gateway.

    Args:
        pairs: Modality pairs of each task.
        states: Job states.
        modalities: Modality slugs of each task.
        models: Names of the served models.
        references: What the calibration set looked like, by task.
    """

    def __init__(
        self,
        *,
        pairs: Mapping[str, Iterable[tuple[str, str]]],
        states: Iterable[str],
        modalities: Mapping[str, Iterable[str]] | None = None,
        models: Iterable[str] = (),
        references: Mapping[str, CalibrationReference] | None = None,
    ) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        collectors = Collectors(self.registry)
        self._door_requests = collectors.of("entrust_door_requests_total", Counter)
        self._door_seconds = collectors.of("entrust_door_request_duration_seconds", Histogram)
        self._requests = collectors.of("entrust_http_requests_total", Counter)
        self._request_seconds = collectors.of("entrust_http_request_duration_seconds", Histogram)
        self._rpcs = collectors.of("entrust_rpc_requests_total", Counter)
        self._rpc_seconds = collectors.of("entrust_rpc_request_duration_seconds", Histogram)
        self._problems = collectors.of("entrust_problems_total", Counter)
        self._instances = collectors.of("entrust_archive_instances_total", Counter)
        self._instance_bytes = collectors.of("entrust_archive_received_bytes_total", Counter)
        self._store_seconds = collectors.of("entrust_archive_store_duration_seconds", Histogram)
        self._archive_free = collectors.of("entrust_archive_free_ratio", Gauge)
        self._archive_free.set(1.0)
        self._associations = collectors.of("entrust_associations", Gauge)
        self._associations_ended = collectors.of("entrust_associations_ended_total", Counter)
        self._studies = collectors.of("entrust_studies", Gauge)
        self._oldest_study = collectors.of("entrust_studies_oldest_queued_seconds", Gauge)
        self._studies_finished = collectors.of("entrust_studies_finished_total", Counter)
        self._study_seconds = collectors.of("entrust_study_duration_seconds", Histogram)
        self._study_steps = collectors.of("entrust_study_steps_total", Counter)
        self._study_step_seconds = collectors.of("entrust_study_step_duration_seconds", Histogram)
        self._retrievals = collectors.of("entrust_retrievals_total", Counter)
        self._retrieval_seconds = collectors.of("entrust_retrieval_duration_seconds", Histogram)
        self._retrieved = collectors.of("entrust_retrieval_instances_total", Counter)
        self._workitems = collectors.of("entrust_workitems_total", Counter)
        self._workitem_seconds = collectors.of("entrust_workitem_duration_seconds", Histogram)
        self._passed_over = collectors.of("entrust_workitems_passed_over", Gauge)
        self._workitems_open = collectors.of("entrust_workitems_in_progress", Gauge)
        self._searches = collectors.of("entrust_worklist_searches_total", Counter)
        self._events = collectors.of("entrust_worklist_events_total", Counter)
        self._channel = collectors.of("entrust_worklist_channel_open", Gauge)
        self._jobs = collectors.of("entrust_jobs", Gauge)
        self._accepted = collectors.of("entrust_jobs_accepted_total", Counter)
        self._finished = collectors.of("entrust_jobs_finished_total", Counter)
        self._job_seconds = collectors.of("entrust_job_duration_seconds", Histogram)
        self._wait_seconds = collectors.of("entrust_job_wait_duration_seconds", Histogram)
        self._rejected = collectors.of("entrust_jobs_rejected_total", Counter)
        self._queue_depth = collectors.of("entrust_queue_depth_jobs", Gauge)
        self._queue_capacity = collectors.of("entrust_queue_capacity_jobs", Gauge)
        self._retained = collectors.of("entrust_results_retained_bytes", Gauge)
        self._delivered = collectors.of("entrust_results_delivered_bytes_total", Counter)
        self._attempts = collectors.of("entrust_delivery_attempts_total", Counter)
        self._attempt_seconds = collectors.of("entrust_delivery_attempt_duration_seconds", Histogram)
        self._sent = collectors.of("entrust_delivery_instances_total", Counter)
        self._targets_down = collectors.of("entrust_delivery_targets_down", Gauge)
        self._collectors = collectors
        self._stage_seconds = collectors.of("entrust_stage_duration_seconds", Histogram)
        self._step_seconds = collectors.of("entrust_sampling_step_duration_seconds", Histogram)
        self._steps = collectors.of("entrust_sampling_steps_total", Counter)
        self._steps_seconds = collectors.of("entrust_sampling_steps_seconds_total", Counter)
        self._call_seconds = collectors.of("entrust_triton_call_duration_seconds", Histogram)
        self._calls = collectors.of("entrust_triton_calls_total", Counter)
        self._payload = collectors.of("entrust_triton_payload_bytes_total", Counter)
        self._canaries = collectors.of("entrust_triton_canaries_total", Counter)
        self._canary_seconds = collectors.of("entrust_triton_canary_duration_seconds", Histogram)
        self._stub_deaths = collectors.of("entrust_triton_stub_deaths_total", Counter)
        self._repairs = collectors.of("entrust_triton_repairs_total", Counter)
        self._uncertain = collectors.of("entrust_uncertain_volume_ratio", Histogram)
        self._uncertain_last = collectors.of("entrust_uncertain_volume_last_ratio", Gauge)
        self._agreement = collectors.of("entrust_hypotheses_agreement_ratio", Histogram)
        self._conflict = collectors.of("entrust_conflict_volume_ratio", Histogram)
        self._intensity = collectors.of("entrust_input_intensity_ratio", Histogram)
        self._coverage = collectors.of("entrust_input_coverage_ratio", Histogram)
        self._slice_spacing = collectors.of("entrust_input_slice_spacing_meters", Histogram)
        self._comparisons = collectors.of("entrust_calibration_comparisons_total", Counter)
        self._warnings = collectors.of("entrust_input_warnings_total", Counter)
        self._log_drops = collectors.of("entrust_log_dropped_total", Counter)
        self._audit = collectors.of("entrust_audit_events_total", Counter)
        self._codes: set[str] = set()
        self._references = dict(references or {})
        start_process(collectors, states, models)
        for task, task_pairs in pairs.items():
            start_task(collectors, task, task_pairs, (modalities or {}).get(task, ()))
        for reference in self._references.values():
            start_reference(collectors, reference)

    def sampling_step(self, *, task: str, sampler: str, precision: str, index: int, duration_seconds: float) -> None:
        """Record one sampling step over one chunk of slices; ``index`` counts from 0."""
        label = str(index) if index <= MAX_STEP_INDEX else f"{MAX_STEP_INDEX + 1}+"
        self._step_seconds.labels(task, sampler, precision).observe(duration_seconds)
        self._steps.labels(task, label).inc()
        self._steps_seconds.labels(task, label).inc(duration_seconds)

    def stage(self, *, task: str, stage: str, duration_seconds: float) -> None:
        """Record how long one stage of one study took."""
        self._stage_seconds.labels(task, stage).observe(duration_seconds)

    def triton_call(
        self, *, model: str, outcome: str, duration_seconds: float, sent_bytes: int, received_bytes: int
    ) -> None:
        """Record one call to Triton; ``outcome`` is ``ok`` or an error kind."""
        self._call_seconds.labels(model).observe(duration_seconds)
        self._calls.labels(model, outcome).inc()
        self._payload.labels(model, "sent").inc(sent_bytes)
        self._payload.labels(model, "received").inc(received_bytes)

    def triton_repair(self, *, action: str) -> None:
        """Record a repair of the embedded Triton: ``reload`` of a model or ``restart`` of the server."""
        self._repairs.labels(action).inc()

    def triton_canary(self, *, model: str, outcome: str) -> None:
        """Record a canary's answer: ``ok``, ``wrong`` or ``late``."""
        self._canaries.labels(model, outcome).inc()

    def triton_canary_answer(self, *, model: str, duration_seconds: float) -> None:
        """Record how long a canary took that was answered."""
        self._canary_seconds.labels(model).observe(duration_seconds)

    def triton_stub_death(self, *, model: str) -> None:
        """Record that a process of a model was found dead."""
        self._stub_deaths.labels(model).inc()

    def jobs_by_state(self, counts: Mapping[str, int], *, retained_bytes: int, room: int | None = None) -> None:
        """Set the number of jobs in each state, the bytes held for collection, and how many more jobs may wait."""
        for state, count in counts.items():
            self._jobs.labels(state).set(count)
        queued = counts.get("queued", 0)
        self._queue_depth.set(queued)
        if room is not None:
            self._queue_capacity.set(queued + room)
        self._retained.set(retained_bytes)

    def studies(self, counts: Mapping[str, int], *, oldest_queued_seconds: float) -> None:
        """Set the number of studies in each state, and how long the oldest of the queued has waited."""
        for state, count in counts.items():
            self._studies.labels(state).set(count)
        self._oldest_study.set(oldest_queued_seconds)

    def study_step(self, *, step: str, outcome: str, duration_seconds: float) -> None:
        """Record one attempt at a step of a study: ``done``, ``retried`` or ``failed``."""
        self._study_steps.labels(step, outcome).inc()
        self._study_step_seconds.labels(step).observe(duration_seconds)

    def study_finished(self, *, outcome: str, duration_seconds: float) -> None:
        """Record the end of a study: ``succeeded``, ``failed`` or ``cancelled``."""
        self._studies_finished.labels(outcome).inc()
        self._study_seconds.labels(outcome).observe(duration_seconds)

    def job_accepted(self, *, task: str, priority: str) -> None:
        """Record a job that was taken into the queue."""
        self._accepted.labels(task, priority).inc()

    def job_started(self, *, task: str, wait_seconds: float) -> None:
        """Record how long a job waited until it was started."""
        self._wait_seconds.labels(task).observe(wait_seconds)

    def job_finished(self, *, task: str, outcome: str, duration_seconds: float) -> None:
        """Record the end of a job; ``outcome`` is ``succeeded`` or an error kind."""
        self._finished.labels(task, outcome).inc()
        self._job_seconds.labels(task, outcome).observe(duration_seconds)

    def job_rejected(self) -> None:
        """Record a request that found the queue full."""
        self._rejected.inc()

    def inputs(
        self,
        *,
        task: str,
        intensities: Mapping[str, Mapping[str, float]],
        coverage: Mapping[str, float],
        slice_spacing_mm: Mapping[str, float],
    ) -> None:
        """Record what one study looks like to the networks, by modality; see :mod:`entrust.drift`."""
        for slug, statistics in intensities.items():
            for statistic, value in statistics.items():
                self._intensity.labels(task, slug, statistic).observe(value)
                self._compare(task, intensity_measure(slug, statistic), value)
        for slug, share in coverage.items():
            self._coverage.labels(task, slug).observe(share)
        for slug, spacing_mm in slice_spacing_mm.items():
            self._slice_spacing.labels(task, slug).observe(spacing_mm / 1000.0)

    def trust(
        self,
        *,
        task: str,
        uncertain_share: float,
        conflict_share: Mapping[str, float],
        agreement: float | None = None,
        complete: bool = False,
        digest: str = "",
    ) -> None:
        """Record what the trust map of one study says; shares in [0, 1], pairs as ``ct-pet``.

        Args:
            task: Task name.
            uncertain_share: Uncertain share of the structure and its surroundings.
            conflict_share: Share in conflict by pair.
            agreement: Mean pairwise Dice of the hypotheses.
            complete: Whether no modality was missing: the calibration set's studies are complete.
            digest: Digest of the weights; trust by other weights than the reference's is not compared.
        """
        self._uncertain.labels(task).observe(uncertain_share)
        self._uncertain_last.labels(task).set(uncertain_share)
        measures = {UNCERTAIN_MEASURE: uncertain_share}
        if agreement is not None:
            self._agreement.labels(task).observe(agreement)
            measures[AGREEMENT_MEASURE] = agreement
        for pair, share in conflict_share.items():
            self._conflict.labels(task, pair).observe(share)
            measures[conflict_measure(pair)] = share
        if complete and task in self._references and self._references[task].digest == digest:
            for measure, value in measures.items():
                self._compare(task, measure, value)

    def input_warning(self, code: str) -> None:
        """Count a tolerance that was used on input."""
        if code not in self._codes:
            if len(self._codes) >= MAX_CODES:
                code = "other"
            self._codes.add(code)
        self._warnings.labels(code).inc()

    def door_request(self, *, door: str, outcome: str, duration_seconds: float) -> None:
        """Record one request by its door; :data:`service.observability.collectors.OUTCOMES` are the outcomes."""
        self._door_requests.labels(door, outcome).inc()
        self._door_seconds.labels(door).observe(duration_seconds)

    def instance_received(self, *, door: str, outcome: str, size_bytes: int, duration_seconds: float) -> None:
        """Record one instance on its way into the archive: ``stored``, ``duplicate`` or ``refused``."""
        self._instances.labels(door, outcome).inc()
        self._instance_bytes.labels(door).inc(size_bytes)
        self._store_seconds.labels(door).observe(duration_seconds)

    def archive_space(self, free_ratio: Callable[[], float]) -> None:
        """Ask for the free share of the archive's disk whenever it is scraped."""
        self._archive_free.set_function(free_ratio)

    def association_opened(self) -> None:
        """Record a DICOM association that was accepted."""
        self._associations.inc()

    def association_ended(self, outcome: str, *, was_open: bool) -> None:
        """Record the end of an association; ``was_open`` says whether it had been accepted."""
        self._associations_ended.labels(outcome).inc()
        if was_open:
            self._associations.dec()

    def sources(self, names: Iterable[str]) -> None:
        """Let the series exist of the sources from which studies may be fetched."""
        for name in names:
            self._retrieval_seconds.labels(name)
            for outcome in ("succeeded", "partial", "source-unavailable"):
                self._retrievals.labels(name, outcome)
            for outcome in RETRIEVED:
                self._retrieved.labels(name, outcome)

    def retrieval(
        self, *, source: str, outcome: str, duration_seconds: float, present: int, retrieved: int, failed: int
    ) -> None:
        """Record the end of a retrieval; ``outcome`` is ``succeeded``, ``partial`` or an error kind."""
        self._retrievals.labels(source, outcome).inc()
        self._retrieval_seconds.labels(source).observe(duration_seconds)
        for label, count in zip(RETRIEVED, (present, retrieved, failed), strict=True):
            self._retrieved.labels(source, label).inc(count)

    def workitem(self, outcome: str, *, duration_seconds: float | None = None) -> None:
        """Record what became of a workitem; :data:`service.observability.collectors.WORKITEM_OUTCOMES`."""
        self._workitems.labels(outcome).inc()
        if duration_seconds is not None:
            self._workitem_seconds.observe(duration_seconds)

    def workitems_in_progress(self, count: int) -> None:
        """Set how many workitems are worked on."""
        self._workitems_open.set(count)

    def worklist_searched(self, *, succeeded: bool, passed_over: Mapping[str, int] | None = None) -> None:
        """Record a search of the worklist, and how many it found that may not be claimed, by every possible reason."""
        self._searches.labels("ok" if succeeded else "failed").inc()
        for reason, count in (passed_over or {}).items():
            self._passed_over.labels(reason).set(count)

    def worklist_event(self) -> None:
        """Count an event of the task manager."""
        self._events.inc()

    def worklist_channel(self, *, is_open: bool) -> None:
        """Say whether events can be heard."""
        self._channel.set(is_open)

    def delivered(self, *, door: str, size_bytes: int) -> None:
        """Record results that were handed over."""
        self._delivered.labels(door).inc(size_bytes)

    def delivery_target(self, target: str, down: bool) -> None:
        """Say whether a target answers; its series exist from the first time on."""
        start_target(self._collectors, target)
        self._targets_down.labels(target).set(down)

    def delivery_attempted(self, *, target: str, stage: str, outcome: str, duration_seconds: float) -> None:
        """Record an attempt to ``deliver`` or ``confirm``: ``done``, ``postponed`` or ``refused``."""
        self._attempts.labels(target, stage, outcome).inc()
        self._attempt_seconds.labels(target, stage).observe(duration_seconds)

    def instance_sent(self, *, target: str, outcome: str) -> None:
        """Record what a target said of an instance: ``stored``, ``warned``, ``postponed`` or ``refused``."""
        self._sent.labels(target, outcome).inc()

    def http_request(self, *, method: str, route: str, status: int, duration_seconds: float) -> None:
        """Record one HTTP request by its route template."""
        self._requests.labels(method, route, str(status)).inc()
        self._request_seconds.labels(method, route).observe(duration_seconds)

    def rpc_request(self, *, method: str, code: str, duration_seconds: float) -> None:
        """Record one gRPC call by its method and the name of its status code."""
        self._rpcs.labels(method, code).inc()
        self._rpc_seconds.labels(method).observe(duration_seconds)

    def problem(self, kind: str) -> None:
        """Count an error that a caller was told about."""
        self._problems.labels(kind).inc()

    def log_dropped(self, reason: str) -> None:
        """Count something that the log's allowlist left out."""
        self._log_drops.labels(reason).inc()

    def audit_events(self, outcome: str, count: int) -> None:
        """Count events of the audit trail: ``written``, ``dropped``, ``sent`` or ``lost``."""
        self._audit.labels(outcome).inc(count)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the exposition and its media type as the scraper's Accept header prefers."""
        encoder, media_type = choose_encoder(accept)
        return encoder(self.registry), media_type

    def _compare(self, task: str, measure: str, value: float) -> None:
        """Count where a value lies in the calibration set's range, where there is one."""
        reference = self._references.get(task)
        if reference is not None and measure in reference.bands:
            self._comparisons.labels(task, measure, reference.bands[measure].verdict(value)).inc()
