"""``POST /v1/rules:test``: say what selection rules make of a study, and why, without segmenting it."""

import asyncio
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request

from entrust.contract import TASKS, get_task
from entrust.errors import ErrorKind, InvalidInputError, OverloadedError
from service.api.http.body import drain
from service.api.rest.gateway import Behind
from service.api.rest.problems import documented
from service.api.rest.upload import receive
from service.intake.gateway import Gateway
from service.intake.upload import STUDY, Upload
from service.selection import Explanation, Rules, parse_rules
from service.selection.yaml_lines import MAX_BYTES

router = APIRouter(tags=["rules"])

RULES, TASK = "rules", "task"
_BINARY = {"type": "string", "format": "binary"}
_TASK = {"type": "string", "description": "Judge the study for this task; the first that fits when absent."}
_DOCUMENTATION: dict[str, Any] = {
    "parameters": [{"name": TASK, "in": "query", "required": False, "schema": {"type": "string"}}],
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [STUDY],
                    "properties": {
                        RULES: {**_BINARY, "description": "A rules file in YAML; the gateway's own when absent."},
                        STUDY: {"type": "array", "items": _BINARY, "description": "DICOM files, or one zip of them."},
                        TASK: _TASK,
                    },
                },
            },
            "application/zip": {"schema": {**_BINARY, "description": "A study, judged by the gateway's own rules."}},
        },
    },
}


@router.post(
    "/v1/rules:test",
    response_model=Explanation,
    openapi_extra=_DOCUMENTATION,
    responses=documented(
        ErrorKind.INVALID_INPUT, ErrorKind.UNSUPPORTED_MEDIA, ErrorKind.NOT_FOUND, ErrorKind.TOO_LARGE,
        ErrorKind.OVERLOADED, ErrorKind.DEADLINE_EXCEEDED,
    ),
)  # fmt: skip
async def check_rules(request: Request, gateway: Behind) -> Explanation:
    """Try selection rules on a study.

    Answers which task would be chosen, which series would play which role, and for every series what each rule saw,
    tag by tag. Nothing is segmented and nothing is kept. Values that may be about the patient are never shown.
    """
    if gateway.dry_runs.locked():
        await drain(request)
        raise OverloadedError("Other rules are being tried at the moment.")
    upload = await receive(request, gateway.uploads, text_fields=frozenset({TASK}), work_folder=gateway.work_folder)
    try:
        _check_fields(upload)
        task = upload.fields.get(TASK) or request.query_params.get(TASK, "")
        if task:
            get_task(task)
        async with gateway.dry_runs:  # reading a study takes a processor: one at a time beside the jobs
            rules = await _rules(upload, gateway)
            selection = await gateway.pipeline.explain_selection(upload.folder / STUDY, rules, task=task)
    finally:
        await upload.wipe()
    return selection.explanation


def _check_fields(upload: Upload) -> None:
    if set(upload.files) - {RULES, STUDY} or STUDY not in upload.files or upload.files.get(RULES, 1) > 1:
        raise InvalidInputError(
            "The form holds no study, several rules files, or a field that is not known here.",
            fix=f"Send the field {STUDY}, one zip or several files, and at most one file as the field {RULES}.",
        )


async def _rules(upload: Upload, gateway: Gateway) -> Rules:
    if RULES not in upload.files:
        return gateway.pipeline.rules
    content = await asyncio.to_thread(_head, upload.folder / RULES / "000001")
    return await asyncio.to_thread(parse_rules, content, TASKS)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)
