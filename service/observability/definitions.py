"""What the gateway measures: one table from which the collectors and ``docs/metrics.md`` are made.

Names are ``entrust_<noun>_<base unit>[_total]`` in Prometheus' base units. Every label has a bounded set of values:
tasks, models, modalities and modality pairs of the contract, stages, states, route templates, kinds of error, warning
codes. No identifier is ever a label.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

STEP_BUCKETS_SECONDS = (0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.4, 0.6, 1.0, 1.5, 2.5, 4.0, 6.5, 10.0)
CALL_BUCKETS_SECONDS = (0.001, 0.0025, *STEP_BUCKETS_SECONDS)
STAGE_BUCKETS_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0)
SHARE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
INTENSITY_BUCKETS = (0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 1.5)
SPACING_BUCKETS_METERS = (0.0005, 0.001, 0.0015, 0.002, 0.0025, 0.003, 0.004, 0.005, 0.006, 0.008, 0.01, 0.02)


@dataclass(frozen=True)
class Definition:
    """One metric.

    Attributes:
        name: As it is exposed; counters end in ``_total``.
        kind: Its type.
        group: Heading under which the reference lists it.
        help: What it measures, in one or two sentences.
        labels: Label names; each has a bounded set of values.
        unit: Base unit, as the name says it; empty for a number of things.
        buckets: Upper bounds of a histogram, in the unit.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    group: str
    help: str
    labels: tuple[str, ...] = ()
    unit: Literal["", "seconds", "bytes", "ratio", "meters"] = ""
    buckets: tuple[float, ...] = ()


DOORS, ARCHIVE, STUDIES, PULL, WORKLIST, JOBS, DELIVERY, SAMPLING, TRITON = (
    "Doors",
    "The archive, and DICOM associations",
    "Studies of the archive",
    "Studies that are fetched",
    "The worklist of a task manager",
    "Jobs and delivery",
    "Delivery to targets",
    "Stages and sampling steps",
    "Triton as the gateway sees it",
)
TRUST, DRIFT, GATEWAY = "Trust", "Inputs, and drift against the calibration set", "The gateway itself"

DEFINITIONS: tuple[Definition, ...] = (
    Definition(
        "entrust_door_requests_total", "counter", DOORS,
        "Requests by the door they came through (`rest`, `grpc`, `dicomweb`, `dimse`) and how they ended: `ok`, "
        "`refused` (the caller's fault), `overloaded`, `failed` (ours), `left` (the caller went). Health checks and "
        "scrapes are left out.",
        ("door", "outcome"),
    ),
    Definition(
        "entrust_door_request_duration_seconds", "histogram", DOORS,
        "The same requests from first byte to last; a request that waits for its job takes as long as the job.",
        ("door",), "seconds", STAGE_BUCKETS_SECONDS,
    ),
    Definition(
        "entrust_http_requests_total", "counter", DOORS,
        "HTTP requests by route template; `unmatched` for addresses that lead nowhere.", ("method", "route", "status"),
    ),
    Definition(
        "entrust_http_request_duration_seconds", "histogram", DOORS, "HTTP requests from first byte to last.",
        ("method", "route"), "seconds", STAGE_BUCKETS_SECONDS,
    ),
    Definition(
        "entrust_rpc_requests_total", "counter", DOORS,
        "gRPC calls that ended, by the name of their status (`OK`, `RESOURCE_EXHAUSTED`, …).", ("method", "code"),
    ),
    Definition(
        "entrust_rpc_request_duration_seconds", "histogram", DOORS,
        "gRPC calls from the first message to the status; of a stream, as long as it was followed.", ("method",),
        "seconds", STAGE_BUCKETS_SECONDS,
    ),
    Definition("entrust_problems_total", "counter", DOORS, "Errors told to callers, by kind.", ("kind",)),
    Definition(
        "entrust_archive_instances_total", "counter", ARCHIVE,
        "Instances by the way they came (`dicomweb`, `dimse`, `pull`, or `gateway` for results) and what became of "
        "them: `stored`, `duplicate` (the same bytes were there), `refused`.", ("door", "outcome"),
    ),
    Definition(
        "entrust_archive_received_bytes_total", "counter", ARCHIVE, "Size of the same instances.", ("door",), "bytes"
    ),
    Definition(
        "entrust_archive_store_duration_seconds", "histogram", ARCHIVE,
        "From an instance's first byte in the archive's folder until the disk holds it.", ("door",), "seconds",
        CALL_BUCKETS_SECONDS,
    ),
    Definition(
        "entrust_archive_free_ratio", "gauge", ARCHIVE, "Free share of the archive's disk; 1 without an archive.",
        (), "ratio",
    ),
    Definition("entrust_associations", "gauge", ARCHIVE, "DICOM associations that are open."),
    Definition(
        "entrust_associations_ended_total", "counter", ARCHIVE,
        "DICOM associations by how they ended: `released`, `aborted`, `rejected` (AE titles, too many), `no-space`.",
        ("outcome",),
    ),
    Definition(
        "entrust_studies", "gauge", STUDIES,
        "Studies by state; those that are `failed` are dead letters: they wait for a person.", ("state",),
    ),
    Definition(
        "entrust_studies_oldest_queued_seconds", "gauge", STUDIES,
        "How long the study has waited that has waited longest; 0 where none waits.", (), "seconds",
    ),
    Definition(
        "entrust_studies_finished_total", "counter", STUDIES,
        "Studies that ended, by how: `succeeded`, `failed`, `cancelled`.", ("outcome",),
    ),
    Definition(
        "entrust_study_duration_seconds", "histogram", STUDIES,
        "From acceptance to the end of a study, waiting and delivery included.", ("outcome",), "seconds",
        STAGE_BUCKETS_SECONDS,
    ),
    Definition(
        "entrust_study_steps_total", "counter", STUDIES,
        "Steps by how an attempt ended: `done`, `retried` (another attempt follows), `failed`.", ("step", "outcome"),
    ),
    Definition(
        "entrust_study_step_duration_seconds", "histogram", STUDIES, "Attempts at a step.", ("step",), "seconds",
        STAGE_BUCKETS_SECONDS,
    ),
    Definition(
        "entrust_retrievals_total", "counter", PULL,
        "Retrievals from a source, by how they ended: `succeeded`, `partial` (instances failed), or a kind of error.",
        ("source", "outcome"),
    ),
    Definition(
        "entrust_retrieval_duration_seconds", "histogram", PULL, "Retrievals, waiting included.", ("source",),
        "seconds", STAGE_BUCKETS_SECONDS,
    ),
    Definition(
        "entrust_retrieval_instances_total", "counter", PULL,
        "Instances that were wanted from a source: `present` (the archive held them), `retrieved`, `failed`. Those of "
        "retrievals that ended with an error are not counted.", ("source", "outcome"),
    ),
    Definition(
        "entrust_workitems_total", "counter", WORKLIST,
        "Workitems by what became of them here: `claimed`, `lost` (another performer was quicker), `completed`, "
        "`canceled`, `abandoned` (claimed, and then not ours any more).", ("outcome",),
    ),
    Definition(
        "entrust_workitem_duration_seconds", "histogram", WORKLIST, "From the claim of a workitem to its final state.",
        (), "seconds", STAGE_BUCKETS_SECONDS,
    ),
    Definition(
        "entrust_workitems_passed_over", "gauge", WORKLIST,
        "Scheduled workitems of the latest search that may not be claimed here, by reason.", ("reason",),
    ),
    Definition("entrust_workitems_in_progress", "gauge", WORKLIST, "Workitems that are claimed and worked on."),
    Definition(
        "entrust_worklist_searches_total", "counter", WORKLIST, "Searches of the worklist: `ok` or `failed`.",
        ("outcome",),
    ),
    Definition("entrust_worklist_events_total", "counter", WORKLIST, "Events that the task manager told of."),
    Definition("entrust_worklist_channel_open", "gauge", WORKLIST, "1 while events can be heard, else 0."),
    Definition("entrust_jobs", "gauge", JOBS, "Jobs that are kept, by state.", ("state",)),
    Definition("entrust_jobs_accepted_total", "counter", JOBS, "Jobs taken into the queue.", ("task", "priority")),
    Definition(
        "entrust_jobs_finished_total", "counter", JOBS,
        "Jobs that ended, by how: `succeeded`, or the kind of error they ended with.", ("task", "outcome"),
    ),
    Definition(
        "entrust_job_duration_seconds", "histogram", JOBS, "From acceptance to the end of a job, waiting included.",
        ("task", "outcome"), "seconds", STAGE_BUCKETS_SECONDS,
    ),
    Definition(
        "entrust_job_wait_duration_seconds", "histogram", JOBS, "From acceptance to the start of a job.", ("task",),
        "seconds", STAGE_BUCKETS_SECONDS,
    ),
    Definition("entrust_jobs_rejected_total", "counter", JOBS, "Requests refused because the queue was full."),
    Definition("entrust_queue_depth_jobs", "gauge", JOBS, "Jobs that wait for their turn."),
    Definition("entrust_queue_capacity_jobs", "gauge", JOBS, "Jobs that may wait; one more is refused."),
    Definition("entrust_results_retained_bytes", "gauge", JOBS, "Results held for collection.", (), "bytes"),
    Definition(
        "entrust_results_delivered_bytes_total", "counter", JOBS, "Results handed over, by door.", ("door",), "bytes"
    ),
    Definition(
        "entrust_delivery_attempts_total", "counter", DELIVERY,
        "Attempts to `deliver` a set of results to a target or to `confirm` it, by how they ended: `done`, `postponed` "
        "(tried again), `refused` (never again: a dead letter).", ("target", "stage", "outcome"),
    ),
    Definition(
        "entrust_delivery_attempt_duration_seconds", "histogram", DELIVERY,
        "The same attempts, waiting for a turn and the check before it included.", ("target", "stage"), "seconds",
        STAGE_BUCKETS_SECONDS,
    ),
    Definition(
        "entrust_delivery_instances_total", "counter", DELIVERY,
        "Instances by what a target said of them: `stored`, `warned` (stored with a warning), `postponed`, `refused`.",
        ("target", "outcome"),
    ),
    Definition(
        "entrust_delivery_targets_down", "gauge", DELIVERY,
        "1 where a target does not answer and is left alone for now, else 0.", ("target",),
    ),
    Definition(
        "entrust_stage_duration_seconds", "histogram", SAMPLING,
        "One stage of one study: ingest, prepare, inference, trust, encode.", ("task", "stage"), "seconds",
        STAGE_BUCKETS_SECONDS,
    ),
    Definition(
        "entrust_sampling_step_duration_seconds", "histogram", SAMPLING,
        "One step of the diffusion sampler over one chunk of slices: the call to Triton and the update.",
        ("task", "sampler", "precision"), "seconds", STEP_BUCKETS_SECONDS,
    ),
    Definition(
        "entrust_sampling_steps_total", "counter", SAMPLING, "Sampling steps by their index (0…31, then `32+`).",
        ("task", "step_index"),
    ),
    Definition(
        "entrust_sampling_steps_seconds_total", "counter", SAMPLING,
        "Time in sampling steps by their index; divided by their number, the mean by index.", ("task", "step_index"),
        "seconds",
    ),
    Definition(
        "entrust_triton_call_duration_seconds", "histogram", TRITON, "One call to Triton as the gateway sees it.",
        ("model",), "seconds", CALL_BUCKETS_SECONDS,
    ),
    Definition(
        "entrust_triton_calls_total", "counter", TRITON, "Calls to Triton by their outcome: `ok` or a kind of error.",
        ("model", "outcome"),
    ),
    Definition(
        "entrust_triton_payload_bytes_total", "counter", TRITON,
        "Tensor bytes `sent` and `received`, over the wire or through shared memory.", ("model", "direction"), "bytes",
    ),
    Definition(
        "entrust_triton_canaries_total", "counter", TRITON,
        "Canary inferences of the embedded Triton: `ok`, `wrong` (an error or another answer than the known one), "
        "`late` (no answer in time; a busy server is late now and then).", ("model", "outcome"),
    ),
    Definition(
        "entrust_triton_canary_duration_seconds", "histogram", TRITON,
        "Canary inferences that were answered, those at the start of a server or model included: what of Triton's own "
        "counters is not the studies'.", ("model",), "seconds", CALL_BUCKETS_SECONDS,
    ),
    Definition(
        "entrust_triton_stub_deaths_total", "counter", TRITON,
        "Processes of a model in the embedded Triton that were found dead.", ("model",),
    ),
    Definition(
        "entrust_triton_repairs_total", "counter", TRITON,
        "Repairs of the embedded Triton: `reload` of a model, `restart` of the server.", ("action",),
    ),
    Definition(
        "entrust_uncertain_volume_ratio", "histogram", TRUST,
        "Uncertain voxels as a share of the voxels in or around the segmented volume, one value per study.",
        ("task",), "ratio", SHARE_BUCKETS,
    ),
    Definition(
        "entrust_uncertain_volume_last_ratio", "gauge", TRUST, "The same of the latest study.", ("task",), "ratio"
    ),
    Definition(
        "entrust_hypotheses_agreement_ratio", "histogram", TRUST,
        "Mean pairwise Dice of the hypotheses, one value per study.", ("task",), "ratio", SHARE_BUCKETS,
    ),
    Definition(
        "entrust_conflict_volume_ratio", "histogram", TRUST,
        "Share of the segmented volume and its surroundings in which two modalities disagree, one value per study.",
        ("task", "pair"), "ratio", SHARE_BUCKETS,
    ),
    Definition(
        "entrust_input_intensity_ratio", "histogram", DRIFT,
        "What the networks see of a modality, above its darkest value, over the tissue of one study: `mean`, `spread` "
        "(standard deviation) and `sharpness` (mean step between neighbours in the slice).",
        ("task", "modality", "statistic"), "ratio", INTENSITY_BUCKETS,
    ),
    Definition(
        "entrust_input_coverage_ratio", "histogram", DRIFT,
        "Share of the examined volume that a modality covers, one value per study.", ("task", "modality"), "ratio",
        SHARE_BUCKETS,
    ),
    Definition(
        "entrust_input_slice_spacing_meters", "histogram", DRIFT,
        "Distance between slices of a series as it was sent.", ("task", "modality"), "meters", SPACING_BUCKETS_METERS,
    ),
    Definition(
        "entrust_calibration_comparisons_total", "counter", DRIFT,
        "Studies by where a measure of theirs lies in the calibration set's range: `below`, `within` or `above`. "
        "Measures of trust are compared for complete studies alone.", ("task", "measure", "verdict"),
    ),
    Definition(
        "entrust_calibration_reference_ratio", "gauge", DRIFT,
        "A measure over the calibration set: `low` (smallest), `median`, `high` (largest).",
        ("task", "measure", "point"), "ratio",
    ),
    Definition(
        "entrust_calibration_reference_studies", "gauge", DRIFT, "Studies in the calibration set.", ("task",)
    ),
    Definition("entrust_input_warnings_total", "counter", DRIFT, "Tolerances used on input, by code.", ("code",)),
    Definition(
        "entrust_audit_events_total", "counter", GATEWAY,
        "Events of the audit trail: `written`, `dropped` (they came faster than the disk takes them, or the process "
        "ended while the disk took none), `sent` to the syslog receiver; `lost` counts files that went before "
        "they were sent.",
        ("outcome",),
    ),
    Definition(
        "entrust_log_dropped_total", "counter", GATEWAY,
        "Keys, values and events that the log's allowlist left out.", ("reason",),
    ),
)  # fmt: skip

BY_NAME: Mapping[str, Definition] = {definition.name: definition for definition in DEFINITIONS}
