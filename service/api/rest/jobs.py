"""``/v1/jobs``: progress, events, cancellation and results."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Path, Request
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import JSONResponse, Response

from entrust.errors import ErrorKind
from service.api.rest.gateway import Behind
from service.api.rest.problems import NOT_ACCEPTABLE, documented
from service.api.rest.resources import JobResource, job_resource
from service.api.rest.results import FILE_OF_TYPE, answer_file, answer_results, find_product
from service.intake.gateway import Gateway

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
PING_SECONDS = 15

JobId = Annotated[str, Path(description="Id of the job.", max_length=64)]


@router.get("/{job_id}", response_model=JobResource, responses=documented(ErrorKind.NOT_FOUND))
async def read_job(job_id: JobId, gateway: Behind) -> JobResource:
    """Say where a job stands: its state, stage and step, and how it ended."""
    return job_resource(await gateway.runner.store.get(job_id))


@router.get(
    "/{job_id}/events",
    response_class=EventSourceResponse,
    responses={
        200: {
            "description": "Server-sent events up to the end of the job. `id` is the job's version, `event` is "
            "`progress` or the new state, `data` the job as JSON.",
            "content": {
                "text/event-stream": {
                    "schema": {"type": "string"},
                    "example": 'id: 4\nevent: progress\ndata: {"state": "running", "progress": {"stage": "sampling"}}',
                }
            },
        },
        **documented(ErrorKind.NOT_FOUND),
    },
)
async def follow_job(
    job_id: JobId,
    gateway: Behind,
    last_event_id: Annotated[str, Header(description="Go on after this event.")] = "",
) -> EventSourceResponse:
    """Follow a job: every change from the first, or from `Last-Event-ID` on, each exactly once and in order."""
    await gateway.runner.store.get(job_id)
    after = int(last_event_id) if last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 10 else 0
    return EventSourceResponse(_events(gateway, job_id, after), ping=PING_SECONDS)


async def _events(gateway: Gateway, job_id: str, after: int) -> AsyncIterator[ServerSentEvent]:
    state = None
    async for job in gateway.runner.store.watch(job_id, after_version=after):
        event = "progress" if job.state is state else job.state.value
        state = job.state
        yield ServerSentEvent(job_resource(job).model_dump_json(), event=event, id=str(job.version))


@router.delete(
    "/{job_id}",
    status_code=202,
    response_model=JobResource,
    responses={
        202: {"description": "The job ends now (queued) or after its present step (running)."},
        204: {"description": "The job had ended; it and its results are forgotten."},
        **documented(ErrorKind.NOT_FOUND),
    },
)
async def delete_job(job_id: JobId, gateway: Behind) -> Response:
    """Cancel a job that has not ended; forget one that has, with its results."""
    job = await gateway.runner.store.get(job_id)
    if job.state.final:
        await gateway.runner.store.remove(job_id)
        return Response(status_code=204)
    return JSONResponse(job_resource(await gateway.runner.cancel(job_id)).model_dump(mode="json"), 202)


@router.get(
    "/{job_id}/results",
    response_class=Response,
    responses={
        200: {
            "description": "All files as a zip, or the one that the Accept header asks for: "
            + ", ".join(f"`{t}` → {n or 'all'}" for t, n in FILE_OF_TYPE.items()),
            "content": {t: {"schema": {"type": "string", "format": "binary"}} for t in FILE_OF_TYPE},
        },
        **NOT_ACCEPTABLE,
        **documented(
            ErrorKind.NOT_FOUND, ErrorKind.CONFLICT, ErrorKind.CANCELLED, ErrorKind.INVALID_INPUT,
            ErrorKind.MISSING_MODALITY, ErrorKind.GEOMETRY_CONFLICT, ErrorKind.INFERENCE_FAILED,
            ErrorKind.DEADLINE_EXCEEDED, ErrorKind.INTERNAL,
        ),
    },
)  # fmt: skip
async def read_results(job_id: JobId, request: Request, gateway: Behind) -> Response:
    """Collect the results; a job that failed answers with its problem."""
    job = await gateway.runner.store.get(job_id)
    return await answer_results(
        gateway.runner, gateway.metrics, job, request.headers.get("accept", ""), request.state.request_id
    )


@router.get(
    "/{job_id}/results/{name}",
    response_class=Response,
    responses={
        200: {"description": "The file.", "content": {"application/octet-stream": {}}},
        **documented(ErrorKind.NOT_FOUND, ErrorKind.CONFLICT),
    },
)
async def read_result(
    job_id: JobId,
    name: Annotated[str, Path(description="Name from the job's listing.", max_length=128)],
    gateway: Behind,
) -> Response:
    """Collect one file of the results."""
    job = await gateway.runner.store.get(job_id)
    return answer_file(await find_product(gateway.runner, job, name), job)
