"""``Segment`` and ``SegmentStream``: take a study, queue its segmentation, tell how it goes, hand over the results."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from entrust.errors import DeadlineExceededError, EnTrustError, InvalidInputError, TooLargeError
from service.api.rpc.deadlines import out_of_time
from service.api.rpc.parameters import read_parameters
from service.api.rpc.resources import job_resource
from service.api.rpc.results import require_success, result_chunks, result_files
from service.api.rpc.upload import drain, next_message, receive_files, receive_stream
from service.api.rpc.v1 import segmentation_pb2 as pb
from service.intake.gateway import Gateway
from service.intake.orders import make_order, take_back, with_task
from service.intake.parameters import SegmentationParameters
from service.intake.upload import Upload
from service.jobs.job import Job


async def segment(gateway: Gateway, max_bytes: int, request: pb.SegmentRequest, context: Any) -> pb.SegmentResponse:
    """Segment a study that came in one message."""
    if (size := request.ByteSize()) > max_bytes:
        raise TooLargeError(
            f"The message has {size} bytes, and may have {max_bytes}.",
            fix="Send the study in pieces with SegmentStream.",
            details={"limit_bytes": max_bytes},
        )
    started = time.perf_counter()
    await gateway.runner.require_room()
    parameters = read_parameters(request.parameters, gateway.parameters)
    upload = await receive_files(request.files, gateway.uploads, work_folder=gateway.work_folder)
    seconds = time.perf_counter() - started
    job = await _submit(gateway, parameters, upload, context, detached=request.detached, received_seconds=seconds)
    if request.detached:
        return pb.SegmentResponse(job=job_resource(job))
    try:
        job = await gateway.runner.finished(job.id)
    except asyncio.CancelledError:
        await _left(gateway, job, context)
        raise
    require_success(job)
    return pb.SegmentResponse(
        job=job_resource(job), results=await result_files(gateway.runner, job, max_bytes=max_bytes)
    )


async def segment_stream(
    gateway: Gateway, max_bytes: int, requests: AsyncIterator[pb.SegmentStreamRequest], context: Any
) -> AsyncIterator[pb.SegmentStreamResponse]:
    """Segment a study that comes in pieces."""
    pieces, started = aiter(requests), time.perf_counter()
    try:
        await gateway.runner.require_room()
        first = await next_message(pieces, gateway.uploads)
        if first is None or first.WhichOneof("content") != "start":
            raise InvalidInputError("The stream does not begin with its start.", fix="Send SegmentStreamStart first.")
        parameters = read_parameters(first.start.parameters, gateway.parameters)
        upload = await receive_stream(pieces, gateway.uploads, work_folder=gateway.work_folder)
    except DeadlineExceededError:  # the sender fell silent
        raise
    except EnTrustError:
        await drain(pieces)
        raise
    seconds = time.perf_counter() - started
    job = await _submit(gateway, parameters, upload, context, detached=first.start.detached, received_seconds=seconds)
    if first.start.detached:
        yield pb.SegmentStreamResponse(job=job_resource(job))
        return
    try:
        async for news in gateway.runner.store.watch(job.id):
            job = news
            yield pb.SegmentStreamResponse(job=job_resource(job))
    except (asyncio.CancelledError, GeneratorExit):
        await _left(gateway, job, context)
        raise
    require_success(job)
    async for chunk in result_chunks(gateway.runner, job, max_bytes=max_bytes):
        yield pb.SegmentStreamResponse(result=chunk)


async def _submit(
    gateway: Gateway,
    parameters: SegmentationParameters,
    upload: Upload,
    context: Any,
    *,
    detached: bool,
    received_seconds: float,
) -> Job:
    """Queue the segmentation; the call's deadline is the job's unless the job is to outlive the call."""
    try:
        within = None if detached else context.time_remaining()
        settled = await with_task(gateway, parameters, upload)
        order = make_order(gateway, settled, upload, within_seconds=within, received_seconds=received_seconds)
    except BaseException:
        await upload.wipe()
        raise
    return await gateway.runner.submit(order)


async def _left(gateway: Gateway, job: Job, context: Any) -> None:
    """Take the job of a caller who left back; where the time is up, the job's own deadline ends it and says so."""
    if not out_of_time(context):
        await take_back(gateway, job.id)
