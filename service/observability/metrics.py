"""Prometheus metrics of the gateway, on a registry of their own.

Names are ``entrust_<noun>_<base unit>[_total]``; every label has a bounded set of values: tasks, models and modality
pairs of the contract, stages, states, route templates, warning codes. No identifier is ever a label.
"""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector

STEP_BUCKETS_SECONDS = (0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.4, 0.6, 1.0, 1.5, 2.5, 4.0, 6.5, 10.0)
CALL_BUCKETS_SECONDS = (0.001, 0.0025, *STEP_BUCKETS_SECONDS)
STAGE_BUCKETS_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0)
SHARE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
MAX_STEP_INDEX = 31
"""Steps after this one share the label ``32+``: a caller's number of steps must not grow the metric."""
MAX_CODES = 128
"""Distinct warning codes that are counted by name; later ones share ``other``."""


class Metrics:
    """Every metric of one gateway.

    Args:
        pairs: Modality pairs of each task, so that conflict series exist from the start.
        states: Job states.
    """

    def __init__(self, *, pairs: Mapping[str, Iterable[tuple[str, str]]], states: Iterable[str]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        r = self.registry
        self._step_seconds = Histogram(
            "entrust_sampling_step_duration_seconds",
            "One step of the diffusion sampler over one chunk of slices: the call to Triton and the update.",
            ("task", "sampler", "precision"), buckets=STEP_BUCKETS_SECONDS, registry=r,
        )  # fmt: skip
        self._steps = Counter(
            "entrust_sampling_steps", "Sampling steps by their index.", ("task", "step_index"), registry=r
        )
        self._steps_seconds = Counter(
            "entrust_sampling_steps_seconds", "Time in sampling steps by their index.", ("task", "step_index"),
            registry=r,
        )  # fmt: skip
        self._stage_seconds = Histogram(
            "entrust_stage_duration_seconds", "One stage of one study: ingest, prepare, inference, trust, encode.",
            ("task", "stage"), buckets=STAGE_BUCKETS_SECONDS, registry=r,
        )  # fmt: skip
        self._call_seconds = Histogram(
            "entrust_triton_call_duration_seconds", "One call to Triton as the gateway sees it.", ("model",),
            buckets=CALL_BUCKETS_SECONDS, registry=r,
        )  # fmt: skip
        self._calls = Counter(
            "entrust_triton_calls", "Calls to Triton by their outcome.", ("model", "outcome"), registry=r
        )
        self._payload = Counter(
            "entrust_triton_payload_bytes", "Tensor bytes, over the wire or through shared memory.",
            ("model", "direction"), registry=r,
        )  # fmt: skip
        self._restarts = Counter(
            "entrust_triton_repairs", "Repairs of the embedded Triton by what was done.", ("action",), registry=r
        )
        self._jobs = Gauge("entrust_jobs", "Jobs that are kept, by state.", ("state",), registry=r)
        self._finished = Counter("entrust_jobs_finished", "Jobs that ended, by how.", ("task", "outcome"), registry=r)
        self._job_seconds = Histogram(
            "entrust_job_duration_seconds", "Time from acceptance to the end of a job.", ("task", "outcome"),
            buckets=STAGE_BUCKETS_SECONDS, registry=r,
        )  # fmt: skip
        self._queue_depth = Gauge("entrust_queue_depth_jobs", "Jobs that wait for their turn.", registry=r)
        self._rejected = Counter("entrust_jobs_rejected", "Requests refused because the queue was full.", registry=r)
        self._retained = Gauge("entrust_results_retained_bytes", "Results held for collection.", registry=r)
        self._uncertain = Histogram(
            "entrust_uncertain_volume_ratio",
            "Uncertain voxels as a share of the voxels in or around the segmented volume, one value per study.",
            ("task",), buckets=SHARE_BUCKETS, registry=r,
        )  # fmt: skip
        self._uncertain_last = Gauge(
            "entrust_uncertain_volume_last_ratio", "The same for the latest study.", ("task",), registry=r
        )
        self._conflict = Histogram(
            "entrust_conflict_volume_ratio", "Share of the body in which two modalities disagree, one value per study.",
            ("task", "pair"), buckets=SHARE_BUCKETS, registry=r,
        )  # fmt: skip
        self._warnings = Counter("entrust_input_warnings", "Tolerances used on input, by code.", ("code",), registry=r)
        self._requests = Counter(
            "entrust_http_requests", "HTTP requests by route template.", ("method", "route", "status"), registry=r
        )
        self._request_seconds = Histogram(
            "entrust_http_request_duration_seconds", "HTTP requests from first byte to last.", ("method", "route"),
            buckets=STAGE_BUCKETS_SECONDS, registry=r,
        )  # fmt: skip
        self._rpcs = Counter("entrust_rpc_requests", "gRPC calls that ended.", ("method", "code"), registry=r)
        self._rpc_seconds = Histogram(
            "entrust_rpc_request_duration_seconds", "gRPC calls from their first message to their status.",
            ("method",), buckets=STAGE_BUCKETS_SECONDS, registry=r,
        )  # fmt: skip
        self._problems = Counter("entrust_problems", "Errors told to callers, by kind.", ("kind",), registry=r)
        self._log_drops = Counter("entrust_log_dropped", "What the log's allowlist left out.", ("reason",), registry=r)
        self._codes: set[str] = set()
        for state in states:
            self._jobs.labels(state)
        for reason in ("key", "value", "event"):
            self._log_drops.labels(reason)
        for task, task_pairs in pairs.items():
            for first, second in task_pairs:
                self._conflict.labels(task, f"{first}-{second}")

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
        self._restarts.labels(action).inc()

    def jobs_by_state(self, counts: Mapping[str, int], *, retained_bytes: int) -> None:
        """Set the number of jobs in each state and the bytes held for collection."""
        for state, count in counts.items():
            self._jobs.labels(state).set(count)
        self._queue_depth.set(counts.get("queued", 0))
        self._retained.set(retained_bytes)

    def job_finished(self, *, task: str, outcome: str, duration_seconds: float) -> None:
        """Record the end of a job; ``outcome`` is ``succeeded``, ``cancelled`` or an error kind."""
        self._finished.labels(task, outcome).inc()
        self._job_seconds.labels(task, outcome).observe(duration_seconds)

    def job_rejected(self) -> None:
        """Record a request that found the queue full."""
        self._rejected.inc()

    def trust(self, *, task: str, uncertain_share: float, conflict_share: Mapping[str, float]) -> None:
        """Record what the trust map of one study says; shares in [0, 1], pairs as ``ct-pet``."""
        self._uncertain.labels(task).observe(uncertain_share)
        self._uncertain_last.labels(task).set(uncertain_share)
        for pair, share in conflict_share.items():
            self._conflict.labels(task, pair).observe(share)

    def input_warning(self, code: str) -> None:
        """Count a tolerance that was used on input."""
        if code not in self._codes:
            if len(self._codes) >= MAX_CODES:
                code = "other"
            self._codes.add(code)
        self._warnings.labels(code).inc()

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

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the exposition and its media type as the scraper's Accept header prefers."""
        encoder, media_type = choose_encoder(accept)
        return encoder(self.registry), media_type
