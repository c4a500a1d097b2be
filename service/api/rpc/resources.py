"""Messages of the gRPC face, from values."""

from collections.abc import Mapping

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from service.api.rpc.v1 import segmentation_pb2 as pb
from service.encode import Extra
from service.jobs.job import Failure, Job, JobState, Priority, ProductInfo

STATES: Mapping[JobState, pb.JobState] = {
    JobState.QUEUED: pb.JOB_STATE_QUEUED,
    JobState.RUNNING: pb.JOB_STATE_RUNNING,
    JobState.SUCCEEDED: pb.JOB_STATE_SUCCEEDED,
    JobState.FAILED: pb.JOB_STATE_FAILED,
    JobState.CANCELLED: pb.JOB_STATE_CANCELLED,
}
PRIORITIES: Mapping[Priority, pb.Priority] = {
    Priority.ROUTINE: pb.PRIORITY_ROUTINE,
    Priority.STAT: pb.PRIORITY_STAT,
}
EXTRAS: Mapping[Extra, pb.ExtraResult] = {
    Extra.LABELMAP: pb.EXTRA_RESULT_LABELMAP,
    Extra.ATTRIBUTION: pb.EXTRA_RESULT_ATTRIBUTION,
    Extra.STRUCTURES: pb.EXTRA_RESULT_RTSTRUCT,
    Extra.CAPTURE: pb.EXTRA_RESULT_SECONDARY_CAPTURE,
}


def job_resource(job: Job) -> pb.Job:
    """Return the message of a job."""
    asked = job.parameters
    return pb.Job(
        id=job.id,
        parameters=pb.SegmentationParameters(
            task=job.task,
            num_hypotheses=int(asked["num_hypotheses"]),
            num_steps=int(asked["num_steps"]),
            seed=int(asked["seed"]),
            sampler=str(asked["sampler"]),
            priority=PRIORITIES[job.priority],
            extra_results=[EXTRAS[Extra(name)] for name in str(asked["extra_results"]).split(",") if name],
        ),
        state=STATES[job.state],
        version=job.version,
        created_at=_moment(job.created_at_seconds),
        started_at=_moment(job.started_at_seconds),
        finished_at=_moment(job.finished_at_seconds),
        progress=(
            pb.Progress(stage=job.progress.stage, step=job.progress.step, of=job.progress.of) if job.progress else None
        ),
        problem=_problem(job.failure) if job.failure else None,
        results=[info_resource(product) for product in job.products],
    )


def info_resource(product: ProductInfo) -> pb.ResultInfo:
    """Return the message of what is known of a result."""
    return pb.ResultInfo(name=product.name, media_type=product.media_type, size_bytes=product.size_bytes)


def duration(seconds: float) -> Duration:
    """Return the message of a length of time."""
    message = Duration()
    message.FromNanoseconds(round(seconds * 1e9))
    return message


def _problem(failure: Failure) -> pb.Problem:
    return pb.Problem(
        kind=failure.kind.value,
        detail=failure.message,
        fix=failure.fix,
        details={key: str(value) for key, value in failure.details.items()},
    )


def _moment(seconds: float | None) -> Timestamp | None:
    if seconds is None:
        return None
    message = Timestamp()
    message.FromNanoseconds(round(seconds * 1e9))
    return message
