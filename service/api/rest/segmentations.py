"""``POST /v1/segmentations``: take a study, queue its segmentation, and wait for it when asked to."""

import asyncio
import time
from typing import Any

from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from entrust.contract import TASKS
from entrust.errors import EnTrustError, ErrorKind
from service.api.http.body import drain
from service.api.http.negotiation import negotiate
from service.api.rest.gateway import Behind
from service.api.rest.parameters import FIELDS, RestParameters, read_parameters
from service.api.rest.problems import NOT_ACCEPTABLE, documented
from service.api.rest.resources import JobResource, job_resource
from service.api.rest.results import FILE_OF_TYPE, answer_results, not_acceptable
from service.api.rest.upload import receive
from service.intake.gateway import Gateway
from service.intake.orders import make_order, take_back, with_task
from service.intake.upload import STUDY
from service.jobs.job import Job

router = APIRouter(tags=["segmentations"])

_BINARY = {"type": "string", "format": "binary"}
_SCHEMA = RestParameters.model_json_schema(ref_template="#/components/schemas/{model}")
_FORM_SCHEMA = {
    "type": "object",
    "required": ["task"],
    "properties": {
        STUDY: {
            "type": "array",
            "items": _BINARY,
            "description": "DICOM files, or one zip of them. Names of files are ignored.",
        },
        **{slug: {**_BINARY, "description": "NIfTI of this modality."} for t in TASKS.values() for slug in t.slugs},
        **{name: {k: v for k, v in s.items() if k != "$ref"} for name, s in _SCHEMA["properties"].items()},
    },
}
_PARAMETERS = [
    {"name": name, "in": "query", "required": False, "description": schema.get("description", ""),
     "schema": {"type": "boolean" if name == "wait" else "string"}}
    for name, schema in _SCHEMA["properties"].items()
]  # fmt: skip
_DOCUMENTATION: dict[str, Any] = {
    "parameters": _PARAMETERS,
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": _FORM_SCHEMA,
                "examples": {
                    "dicom": {"summary": "A zipped DICOM study", "value": {"study": "study.zip", "task": "oncology"}},
                    "nifti": {
                        "summary": "One NIfTI per modality",
                        "value": {"ct": "ct.nii.gz", "pet": "pet.nii.gz", "task": "oncology", "seed": 7, "wait": True},
                    },
                },
            },
            "multipart/related": {"schema": {**_BINARY, "description": "DICOM instances, as in a DICOMweb store."}},
            "application/zip": {"schema": _BINARY},
            "application/dicom": {"schema": _BINARY},
        },
    },
}


@router.post(
    "/v1/segmentations",
    status_code=202,
    response_model=JobResource,
    openapi_extra=_DOCUMENTATION,
    responses={
        200: {
            "description": "With `wait=true`: the results, as the Accept header prefers.",
            "content": {media_type: {"schema": _BINARY} for media_type in FILE_OF_TYPE},
        },
        202: {"description": "Accepted; `Location` names the job."},
        **NOT_ACCEPTABLE,
        **documented(
            ErrorKind.INVALID_INPUT, ErrorKind.UNSUPPORTED_MEDIA, ErrorKind.MISSING_MODALITY,
            ErrorKind.GEOMETRY_CONFLICT, ErrorKind.NOT_FOUND, ErrorKind.TOO_LARGE, ErrorKind.OVERLOADED,
            ErrorKind.MODEL_UNAVAILABLE, ErrorKind.INFERENCE_FAILED, ErrorKind.DEADLINE_EXCEEDED,
            ErrorKind.CANCELLED, ErrorKind.INTERNAL,
        ),
    },
)  # fmt: skip
async def create_segmentation(request: Request, gateway: Behind) -> Response:
    """Segment a study.

    The study comes as DICOM (field `study`: one zip, or many files), as NIfTI (one field per modality), or as a body
    of its own (`application/zip`, `application/dicom`) with the parameters in the query. Parameters of the form go
    before those of the query.
    """
    accept, request_id = request.headers.get("accept", ""), request.state.request_id
    try:
        await gateway.runner.require_room()
        if "task" in request.query_params:  # refused before the upload where possible
            read_parameters(request.query_params, gateway.parameters)
    except EnTrustError:
        await drain(request)
        raise
    started = time.perf_counter()
    upload = await receive(request, gateway.uploads, text_fields=FIELDS, work_folder=gateway.work_folder)
    try:
        parameters = read_parameters({**request.query_params, **upload.fields}, gateway.parameters)
        if parameters.wait and negotiate(accept, list(FILE_OF_TYPE)) is None:
            await upload.wipe()
            return not_acceptable(request_id, list(FILE_OF_TYPE))
        seconds = time.perf_counter() - started
        settled = await with_task(gateway, parameters, upload)
        order = make_order(gateway, settled, upload, received_seconds=seconds)
    except BaseException:
        await upload.wipe()
        raise
    job = await gateway.runner.submit(order)
    if parameters.wait:
        job = await _wait(request, gateway, job)
        if job.state.final:
            return await answer_results(gateway.runner, gateway.metrics, job, accept, request_id)
    headers = {"Location": f"/v1/jobs/{job.id}", "Retry-After": "2"}
    return JSONResponse(job_resource(job).model_dump(mode="json"), 202, headers)


async def _wait(request: Request, gateway: Gateway, job: Job) -> Job:
    """Wait for the end of a job; a caller who leaves takes the job along."""
    ended = asyncio.create_task(gateway.runner.finished(job.id))
    left = asyncio.create_task(_disconnected(request))
    try:
        done, _ = await asyncio.wait(
            {ended, left}, timeout=gateway.max_wait_seconds, return_when=asyncio.FIRST_COMPLETED
        )
        if ended in done:
            return ended.result()
        if left in done:
            await take_back(gateway, job.id)
            raise ClientDisconnect
        return await gateway.runner.store.get(job.id)
    except asyncio.CancelledError:
        await take_back(gateway, job.id)
        raise
    finally:
        for task in (ended, left):
            task.cancel()
        await asyncio.gather(ended, left, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
