"""``POST /v1/segmentations``: take a study, queue its segmentation, and wait for it when asked to."""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from entrust.contract import get_task
from entrust.errors import ConflictError, EnTrustError, ErrorKind, InvalidInputError
from service.api.rest.gateway import Behind, Gateway
from service.api.rest.negotiation import negotiate
from service.api.rest.parameters import FIELDS, SegmentationParameters, read_parameters
from service.api.rest.problems import NOT_ACCEPTABLE, documented
from service.api.rest.resources import JobResource, job_resource
from service.api.rest.results import FILE_OF_TYPE, answer_results, not_acceptable
from service.api.rest.upload import STUDY, Upload, drain, receive
from service.jobs.job import Job, Product
from service.jobs.runner import OnProgress, Order
from service.pipeline import SegmentationRequest, Source

router = APIRouter(tags=["segmentations"])

_BINARY = {"type": "string", "format": "binary"}
_SCHEMA = SegmentationParameters.model_json_schema(ref_template="#/components/schemas/{model}")
_FORM_SCHEMA = {
    "type": "object",
    "required": ["task"],
    "properties": {
        STUDY: {
            "type": "array",
            "items": _BINARY,
            "description": "DICOM files, or one zip of them. Names of files are ignored.",
        },
        **{slug: {**_BINARY, "description": "NIfTI of this modality."} for slug in get_task("oncology").slugs},
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
    upload = await receive(request, gateway.uploads, text_fields=FIELDS, work_folder=gateway.work_folder)
    try:
        parameters = read_parameters({**request.query_params, **upload.fields}, gateway.parameters)
        if parameters.wait and negotiate(accept, list(FILE_OF_TYPE)) is None:
            await _wipe(upload.folder)
            return not_acceptable(request_id, list(FILE_OF_TYPE))
        order = _order(gateway, parameters, upload)
    except BaseException:
        await _wipe(upload.folder)
        raise
    job = await gateway.runner.submit(order)
    if parameters.wait:
        job = await _wait(request, gateway, job)
        if job.state.final:
            return await answer_results(gateway.runner, gateway.metrics, job, accept, request_id)
    headers = {"Location": f"/v1/jobs/{job.id}", "Retry-After": "2"}
    return JSONResponse(job_resource(job).model_dump(mode="json"), 202, headers)


def _order(gateway: Gateway, parameters: SegmentationParameters, upload: Upload) -> Order:
    task = get_task(parameters.task)
    source = _source(upload, task.slugs)
    request = SegmentationRequest(
        task=task.name,
        num_hypotheses=parameters.num_hypotheses or task.num_hypotheses,
        num_steps=parameters.num_steps or task.num_steps,
        seed=parameters.seed,
        sampler=parameters.sampler,
        assignment=parameters.assignment,
    )

    async def work(*, on_progress: OnProgress, cancelled: asyncio.Event) -> Sequence[Product]:
        files = await gateway.pipeline.segment(request, source, on_progress=on_progress, cancelled=cancelled)
        return [Product(file.name, file.media_type, file.content) for file in files]

    return Order(
        task=task.name,
        parameters={
            "num_hypotheses": request.num_hypotheses,
            "num_steps": request.num_steps,
            "seed": request.seed,
            "sampler": request.sampler,
        },
        work=work,
        folder=upload.folder,
        deadline_seconds=parameters.deadline_seconds or gateway.parameters.max_duration_seconds,
        priority=parameters.priority,
    )


def _source(upload: Upload, slugs: tuple[str, ...]) -> Source:
    """Tell what was sent: a folder of one study, or a NIfTI per modality."""
    by_modality = [name for name in upload.files if name != STUDY]
    unknown = [name for name in by_modality if name not in slugs]
    if unknown:
        raise InvalidInputError(
            "A file came in a field that the task does not know.",
            fix=f"Send the field {STUDY}, or fields named after the task's modalities: {', '.join(slugs)}.",
        )
    if by_modality and STUDY in upload.files:
        raise InvalidInputError(
            f"The field {STUDY} and fields of single modalities came together.", fix="Send one or the other."
        )
    if not by_modality:
        return upload.folder / STUDY
    if any(upload.files[name] > 1 for name in by_modality):
        raise InvalidInputError("A modality came twice.", fix="Send one NIfTI file per modality.")
    return {name: upload.folder / name / "000001" for name in by_modality}


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
            await _cancel(gateway, job.id)
            raise ClientDisconnect
        return await gateway.runner.store.get(job.id)
    except asyncio.CancelledError:
        await _cancel(gateway, job.id)
        raise
    finally:
        for task in (ended, left):
            task.cancel()
        await asyncio.gather(ended, left, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _cancel(gateway: Gateway, job_id: str) -> None:
    try:
        await gateway.runner.cancel(job_id)
    except ConflictError:
        return  # it ended at the same moment


async def _wipe(folder: Path) -> None:
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
