"""Errors on the wire: one total table from kind to HTTP, and the RFC 9457 body.

Every answer that is not a success is ``application/problem+json`` with ``type`` ``/problems/<kind>``; plain HTTP
refusals (405, 406) that mean no more than their status carry ``about:blank``, as the RFC asks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from entrust.errors import EnTrustError, ErrorKind, OverloadedError
from service.jobs.job import Failure
from service.observability.traces import current

MEDIA_TYPE = "application/problem+json"
SCHEMA = {"$ref": "#/components/schemas/Problem"}
NOT_ACCEPTABLE: dict[int | str, dict[str, Any]] = {
    406: {
        "description": "Nothing that the Accept header allows can be given.",
        "content": {MEDIA_TYPE: {"schema": SCHEMA}},
    }
}
"""OpenAPI response of an operation that negotiates."""


@dataclass(frozen=True)
class ProblemType:
    """What a kind of error is over HTTP."""

    status: HTTPStatus
    title: str


PROBLEMS: Mapping[ErrorKind, ProblemType] = {
    ErrorKind.INVALID_INPUT: ProblemType(HTTPStatus.BAD_REQUEST, "The request cannot mean what was asked"),
    ErrorKind.UNSUPPORTED_MEDIA: ProblemType(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "This format is not read here"),
    ErrorKind.MISSING_MODALITY: ProblemType(HTTPStatus.UNPROCESSABLE_ENTITY, "No series can play a needed role"),
    ErrorKind.GEOMETRY_CONFLICT: ProblemType(
        HTTPStatus.UNPROCESSABLE_ENTITY, "The images do not form one consistent space"
    ),
    ErrorKind.NOT_FOUND: ProblemType(HTTPStatus.NOT_FOUND, "There is no such thing here"),
    ErrorKind.CONFLICT: ProblemType(HTTPStatus.CONFLICT, "The present state forbids this"),
    ErrorKind.TOO_LARGE: ProblemType(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "A limit was passed"),
    ErrorKind.OVERLOADED: ProblemType(HTTPStatus.TOO_MANY_REQUESTS, "No capacity at present"),
    ErrorKind.UNAUTHENTICATED: ProblemType(HTTPStatus.UNAUTHORIZED, "Credentials are needed"),
    ErrorKind.FORBIDDEN: ProblemType(HTTPStatus.FORBIDDEN, "These credentials do not allow this"),
    ErrorKind.MODEL_UNAVAILABLE: ProblemType(HTTPStatus.SERVICE_UNAVAILABLE, "The model is not available"),
    ErrorKind.INFERENCE_FAILED: ProblemType(HTTPStatus.BAD_GATEWAY, "The model server failed"),
    ErrorKind.DEADLINE_EXCEEDED: ProblemType(HTTPStatus.GATEWAY_TIMEOUT, "The time allowed has run out"),
    ErrorKind.CANCELLED: ProblemType(HTTPStatus.GONE, "The request was taken back"),
    ErrorKind.DELIVERY_FAILED: ProblemType(HTTPStatus.BAD_GATEWAY, "The result could not be handed over"),
    ErrorKind.SOURCE_UNAVAILABLE: ProblemType(HTTPStatus.BAD_GATEWAY, "The source of the images cannot be used"),
    ErrorKind.INTERNAL: ProblemType(HTTPStatus.INTERNAL_SERVER_ERROR, "The gateway failed"),
}

KIND_OF_STATUS: Mapping[int, ErrorKind] = {
    404: ErrorKind.NOT_FOUND,
    413: ErrorKind.TOO_LARGE,
    415: ErrorKind.UNSUPPORTED_MEDIA,
    422: ErrorKind.INVALID_INPUT,
}
"""Kinds of the refusals that the web framework makes by itself; all others are ``about:blank``."""


class Problem(BaseModel):
    """RFC 9457 problem details, with what can be done about it."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(description="URI of the kind of problem; `about:blank` when the status says it all.")
    title: str = Field(description="The kind of problem in words.")
    status: int = Field(description="HTTP status.")
    detail: str = Field(description="The cause, free of patient data.")
    fix: str = Field(default="", description="What the caller can do about it.")
    details: dict[str, str | int | float] = Field(
        default_factory=dict, description="Facts for machines: counts, limits, names of tags."
    )
    request_id: str = Field(default="", description="Names this request in the logs.")
    trace_id: str = Field(
        default="", description="Names the trace in which it went wrong; empty where nothing is traced."
    )


def problem_of(error: EnTrustError | Failure, request_id: str = "") -> Problem:
    """Return the problem that says what an error says."""
    known = PROBLEMS[error.kind]
    return Problem(
        type=f"/problems/{error.kind}",
        title=known.title,
        status=known.status,
        detail=error.message,
        fix=error.fix,
        details=dict(error.details),
        request_id=request_id,
        trace_id=error.trace_id if isinstance(error, Failure) else current().trace_id,
    )


def plain_problem(status: int, detail: str, *, fix: str = "", request_id: str = "") -> Problem:
    """Return a problem that means no more than its HTTP status."""
    return Problem(
        type="about:blank",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        fix=fix,
        request_id=request_id,
        trace_id=current().trace_id,
    )


def respond(problem: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return the response of a problem."""
    all_headers = {"Cache-Control": "no-store", **(headers or {})}
    retry_after = problem.details.get("retry_after_seconds")
    if isinstance(retry_after, (int, float)):
        all_headers["Retry-After"] = str(max(1, round(retry_after)))
    return JSONResponse(problem.model_dump(), problem.status, all_headers, media_type=MEDIA_TYPE)


def documented(*kinds: ErrorKind) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of an operation that may fail in these ways, each with an example."""
    found: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        known = PROBLEMS[kind]
        entry = found.setdefault(
            int(known.status),
            {"description": known.title, "content": {MEDIA_TYPE: {"schema": SCHEMA, "examples": {}}}},
        )
        entry["content"][MEDIA_TYPE]["examples"][kind.value] = {"value": example(kind).model_dump()}
    return found


def example(kind: ErrorKind) -> Problem:
    """Return what a problem of this kind may look like."""
    known = PROBLEMS[kind]
    return Problem(
        type=f"/problems/{kind}",
        title=known.title,
        status=known.status,
        detail=f"{known.title}.",
        fix="What to do about it.",
        details={"retry_after_seconds": 10.0} if kind is OverloadedError.kind else {},
        request_id="9f86d081884c7d65",
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
    )
