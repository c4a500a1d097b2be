"""The HTTP application: operations, errors, documentation."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from entrust.errors import EnTrustError, ErrorKind, InvalidInputError
from service.api.rest import health, jobs, models, problem_types, retrievals, rules, segmentations, studies
from service.api.rest.access import Guard
from service.api.rest.boundary import Boundary
from service.api.rest.problems import (
    KIND_OF_STATUS,
    MEDIA_TYPE,
    PROBLEMS,
    Problem,
    documented,
    plain_problem,
    problem_of,
    respond,
)
from service.intake.gateway import Gateway
from service.observability.traces import current

DESCRIPTION = """
Multi-modality segmentation that says **where** and **why** it may be wrong. Research use only; not a medical device.

1. `POST /v1/segmentations` with a study: DICOM (zip or files) or one NIfTI per modality.
2. Follow the job: `GET /v1/jobs/{id}` or its server-sent events.
3. `GET /v1/jobs/{id}/results`: masks, calibrated probabilities, error probability, conflict, summary.

Every error is `application/problem+json` (RFC 9457) with a cause, a fix and the id of the request.
"""


def create_application(gateway: Gateway, *, version: str, others: Sequence[APIRouter] = ()) -> FastAPI:
    """Build the HTTP application.

    Args:
        gateway: The service behind it, open for as long as the application runs.
        version: Version of this program.
        others: Operations of other faces that the same server serves, under the same guard, boundary and errors.
    """
    metrics = gateway.metrics
    app = FastAPI(
        title="EnTrust Serve",
        version=version,
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        redoc_url=None,
        # the framework's own spans would hold paths and queries; the boundary makes ours
        telemetry={"tracing": False, "metrics": False, "logs": False},
        responses={**documented(ErrorKind.INTERNAL)},
    )
    app.state.gateway = gateway
    routers = (segmentations, retrievals, jobs, models, rules, studies)
    for router in (module.router for module in routers):
        app.include_router(router, responses=documented(ErrorKind.UNAUTHENTICATED))
    for router in (health.router, problem_types.router, *others):
        app.include_router(router)
    app.add_middleware(Guard, access=gateway.access, metrics=metrics)
    app.add_middleware(Boundary, metrics=metrics)

    def answer(problem: Problem, headers: Any = None) -> Response:
        kind = problem.type.rsplit("/", 1)[-1]
        metrics.problem(kind if problem.type.startswith("/problems/") else f"http-{problem.status}")
        return respond(problem, headers)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _speak_problems(FastAPI.openapi(app))
            if gateway.access.required:
                schemes = app.openapi_schema["components"].setdefault("securitySchemes", {})
                schemes["token"] = {"type": "http", "scheme": "bearer"}
                app.openapi_schema["security"] = [{"token": []}]
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the way that FastAPI documents

    @app.exception_handler(EnTrustError)
    async def on_error(request: Request, error: EnTrustError) -> Response:
        return answer(problem_of(error, request.state.request_id))

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> Response:
        faults = "; ".join(f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors())
        return answer(problem_of(InvalidInputError(f"{faults}."), request.state.request_id))

    @app.exception_handler(HTTPException)
    async def on_refusal(request: Request, error: HTTPException) -> Response:
        request_id = request.state.request_id
        kind = KIND_OF_STATUS.get(error.status_code)
        if kind is None:
            problem = plain_problem(error.status_code, str(error.detail), request_id=request_id)
        else:
            problem = Problem(
                type=f"/problems/{kind}",
                title=PROBLEMS[kind].title,
                status=error.status_code,
                detail="There is nothing at this address." if kind is ErrorKind.NOT_FOUND else str(error.detail),
                fix="GET /openapi.json lists what there is." if kind is ErrorKind.NOT_FOUND else "",
                request_id=request_id,
                trace_id=current().trace_id,
            )
        return answer(problem, error.headers)

    return app


def _speak_problems(document: dict[str, Any]) -> dict[str, Any]:
    """Replace the framework's own description of a refused parameter by ours."""
    (own,) = documented(ErrorKind.INVALID_INPUT).items()
    for item in document["paths"].values():
        for operation in item.values():
            responses = operation["responses"]
            if MEDIA_TYPE not in responses.get("422", {}).get("content", {MEDIA_TYPE: {}}):
                del responses["422"]
                responses.setdefault(str(own[0]), own[1])
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    return document
