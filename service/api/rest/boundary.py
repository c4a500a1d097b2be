"""The outermost layer: gives each request its id, measures it, and lets no exception out unanswered."""

import secrets
import time
from http import HTTPStatus

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from entrust.errors import InternalError
from service import audit
from service.api.http.doors import door_of
from service.api.rest.problems import problem_of, respond
from service.intake.access import caller_name
from service.observability.logs import describe_exception, get_logger
from service.observability.metrics import Metrics
from service.observability.traces import NO_SPAN, PROPAGATED, Span, SpanKind, current, start_span, use

log = get_logger(__name__)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
QUIET_ROUTES = frozenset({"/metrics", "/health/live", "/health/ready"})
"""Polled every few seconds; logged only when they fail, and not traced."""
RESULT_ROUTES = frozenset({"/v1/segmentations", "/v1/jobs/{job_id}/results", "/v1/jobs/{job_id}/results/{name}"})
"""Where an answer of 200 is made of results."""
UNMATCHED = "unmatched"


class Boundary:
    """ASGI middleware.

    Args:
        app: What it wraps.
        metrics: Told of each request.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        status = size_bytes = 0
        started = time.perf_counter()

        async def mark(message: Message) -> None:
            nonlocal status, size_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
                headers.setdefault("Cache-Control", "no-store")
            size_bytes += len(message.get("body", b""))
            await send(message)

        span = NO_SPAN
        if scope["path"] not in QUIET_ROUTES:
            span = start_span(_method(scope), kind=SpanKind.SERVER, headers=_trace_headers(scope))
        with structlog.contextvars.bound_contextvars(request_id=request_id), use(span), audit.about(_caller(scope)):
            try:
                await self._app(scope, receive, mark)
            except ClientDisconnect:
                log.info("client-left")
            except Exception as error:  # the boundary of the HTTP face
                log.error("request-broke", **describe_exception(error))
                if status == 0:
                    answer = InternalError("The gateway failed in a way it should not.", fix="Report the request id.")
                    self._metrics.problem(answer.kind)
                    await respond(problem_of(answer, request_id))(scope, receive, mark)
            finally:
                self._record(scope, status, time.perf_counter() - started, size_bytes)
                span.end()

    def _record(self, scope: Scope, status: int, seconds: float, size_bytes: int) -> None:
        route = getattr(scope.get("route"), "path", UNMATCHED)
        method = _method(scope)
        self._metrics.http_request(method=method, route=route, status=status, duration_seconds=seconds)
        if route not in QUIET_ROUTES:
            self._metrics.door_request(door=door_of(route), outcome=outcome_of(status), duration_seconds=seconds)
        if route in RESULT_ROUTES and status == HTTPStatus.OK:
            self._metrics.delivered(door=door_of(route), size_bytes=size_bytes)
        if route not in QUIET_ROUTES or status >= 400:
            log.info("request", method=method, route=route, status=status, duration_seconds=round(seconds, 4))
        _describe(current(), method, route, status, scope.get("scheme", "http"))


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in METHODS else "other"


def _caller(scope: Scope) -> audit.About:
    """Return who asks, as far as the audit trail is concerned."""
    authorization = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
    address = (scope.get("client") or ("",))[0]
    return audit.About(door_of(scope["path"]), caller_name(authorization), address)


def _trace_headers(scope: Scope) -> dict[str, str]:
    """Return the caller's trace context."""
    named = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
    return {name: value for name, value in named if name in PROPAGATED}


def _describe(span: Span, method: str, route: str, status: int, scheme: str) -> None:
    """Say of a span what OpenTelemetry's conventions ask for, without the path: nobody knows what callers put there."""
    span.rename(f"{method} {route}")
    span.set({"http.request.method": "_OTHER" if method == "other" else method, "url.scheme": scheme})
    if route != UNMATCHED:
        span.set({"http.route": route})
    if status:
        span.set({"http.response.status_code": status})
    if status == 0 or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        span.fail(str(status) if status else "cancelled")


def outcome_of(status: int) -> str:
    """Return how a request ended: by whose fault, or whether the caller left before there was an answer."""
    if status == 0:
        return "left"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "overloaded"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "failed"
    return "refused" if status >= HTTPStatus.BAD_REQUEST else "ok"
