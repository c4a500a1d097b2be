"""Results on the wire: all of them in one message, or in pieces."""

from collections.abc import AsyncIterator, Sequence

from entrust.errors import TooLargeError
from service import audit
from service.api.rpc.problems import JobEndedError
from service.api.rpc.resources import info_resource
from service.api.rpc.v1 import segmentation_pb2 as pb
from service.jobs.job import Job
from service.jobs.runner import JobRunner

CHUNK_BYTES = 1024 * 1024
"""Far below what any gRPC client takes by default (4 MiB)."""
ENVELOPE_BYTES = 16 * 1024
"""Room in a message for what is not a file."""


def require_success(job: Job) -> None:
    """Let only a job with results pass.

    Raises:
        JobEndedError: It failed or was cancelled.
    """
    if job.failure is not None:
        raise JobEndedError(job.failure)


async def result_files(runner: JobRunner, job: Job, *, max_bytes: int) -> list[pb.ResultFile]:
    """Return all results of a job that succeeded.

    Raises:
        TooLargeError: They do not fit into one message.
    """
    if sum(product.size_bytes for product in job.products) > max_bytes - ENVELOPE_BYTES:
        raise TooLargeError(
            f"The results do not fit into one message of {max_bytes} bytes.",
            fix="Collect them with WatchJob and include_results, or send the study with SegmentStream.",
            details={"limit_bytes": max_bytes, "job_id": job.id},
        )
    _tell_of_delivery(job)
    return [
        pb.ResultFile(info=info_resource(info), content=(await runner.store.product(job.id, info.name)).content)
        for info in job.products
    ]


async def result_chunks(
    runner: JobRunner, job: Job, *, max_bytes: int, names: Sequence[str] = ()
) -> AsyncIterator[pb.ResultChunk]:
    """Yield the results of a job that succeeded, file by file, in pieces.

    Raises:
        NotFoundError: It has no result of a name that was asked for.
    """
    size = min(CHUNK_BYTES, max_bytes - ENVELOPE_BYTES)
    known = {info.name: info for info in job.products}
    for name in names or known:
        product = await runner.store.product(job.id, name)
        for offset in range(0, max(len(product.content), 1), size):
            yield pb.ResultChunk(
                info=info_resource(known[name]), offset_bytes=offset, data=product.content[offset : offset + size]
            )
    _tell_of_delivery(job)


def _tell_of_delivery(job: Job) -> None:
    audit.record(audit.Event(audit.What.EXPORTED, hop=audit.Hop.DELIVERED, sending=True, job_id=job.id))


def delivered_bytes(message: object) -> int:
    """Return how much of results an answer carries."""
    if isinstance(message, pb.SegmentResponse):
        return sum(len(file.content) for file in message.results)
    if isinstance(message, pb.SegmentStreamResponse | pb.WatchJobResponse):
        return len(message.result.data)
    return 0
