"""``GetJob``, ``WatchJob`` and ``CancelJob``: progress, results and cancellation."""

from collections.abc import AsyncIterator

from service.api.rpc.resources import job_resource
from service.api.rpc.results import require_success, result_chunks
from service.api.rpc.v1 import segmentation_pb2 as pb
from service.intake.gateway import Gateway


async def get_job(gateway: Gateway, request: pb.GetJobRequest) -> pb.GetJobResponse:
    """Say where a job stands."""
    return pb.GetJobResponse(job=job_resource(await gateway.runner.store.get(request.job_id)))


async def watch_job(
    gateway: Gateway, max_bytes: int, request: pb.WatchJobRequest
) -> AsyncIterator[pb.WatchJobResponse]:
    """Tell every change of a job up to its end; then, if wanted, send its results."""
    job = await gateway.runner.store.get(request.job_id)
    async for job in gateway.runner.store.watch(request.job_id, after_version=request.after_version):
        yield pb.WatchJobResponse(job=job_resource(job))
    if request.include_results:
        require_success(job)
        async for chunk in result_chunks(gateway.runner, job, max_bytes=max_bytes, names=request.names):
            yield pb.WatchJobResponse(result=chunk)


async def cancel_job(gateway: Gateway, request: pb.CancelJobRequest) -> pb.CancelJobResponse:
    """Take a job back."""
    return pb.CancelJobResponse(job=job_resource(await gateway.runner.cancel(request.job_id)))
