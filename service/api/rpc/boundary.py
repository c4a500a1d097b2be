"""The outermost layer: gives each call its id, asks for its token, measures it, lets no exception out unanswered."""

import asyncio
import contextlib
import inspect
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote

import grpc
import structlog

from entrust.errors import EnTrustError, InternalError, UnauthenticatedError
from service import audit
from service.api.rpc.deadlines import out_of_time
from service.api.rpc.problems import CODES, STATUS_KEY, JobEndedError, status_of
from service.api.rpc.results import delivered_bytes
from service.intake.access import Access, caller_name
from service.jobs.job import Failure
from service.observability.logs import describe_exception, get_logger
from service.observability.metrics import Metrics
from service.observability.traces import NO_SPAN, PROPAGATED, Span, SpanKind, start_span, use

log = get_logger(__name__)
HEALTH = "/grpc.health.v1.Health/"
"""Open to anybody, as over HTTP, and polled: logged only when it fails."""
REFLECTION = "/grpc.reflection."
REQUEST_ID_KEY = "x-request-id"
DOOR = "grpc"
FAILED = frozenset(
    {
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.UNKNOWN,
    }
)
"""Codes by which a call failed through no fault of its caller, as the 5xx of HTTP."""


class Boundary(grpc.aio.ServerInterceptor):
    """Wraps every method that is served.

    Args:
        metrics: Told of each call.
        access: Knows who may ask.
    """

    def __init__(self, metrics: Metrics, access: Access) -> None:
        self._metrics = metrics
        self._access = access

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        """Return the wrapped method, or nothing where there is none: the library answers UNIMPLEMENTED."""
        handler, route = await continuation(handler_call_details), str(handler_call_details.method)
        if handler is None:
            self._record("unmatched", grpc.StatusCode.UNIMPLEMENTED, 0.0)
            return None
        kind = ("stream" if handler.request_streaming else "unary") + (
            "_stream" if handler.response_streaming else "_unary"
        )
        make = getattr(grpc, f"{kind}_rpc_method_handler")
        return make(
            self._wrap(getattr(handler, kind), route), handler.request_deserializer, handler.response_serializer
        )

    def _wrap(self, behaviour: Callable[..., Any], route: str) -> Callable[..., Any]:
        async def answer(request: Any, context: Any) -> Any:
            async with self._around(route, context):
                response = await behaviour(request, context)
                self._deliver(response)
                return response

        async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
            async with self._around(route, context):
                async for message in behaviour(request, context):
                    self._deliver(message)
                    yield message

        return stream if inspect.isasyncgenfunction(behaviour) else answer

    @contextlib.asynccontextmanager
    async def _around(self, route: str, context: Any) -> AsyncIterator[None]:
        request_id, started, code = secrets.token_hex(8), time.perf_counter(), grpc.StatusCode.OK
        context.set_trailing_metadata(((REQUEST_ID_KEY, request_id),))
        failure: Failure | None = None
        metadata = dict(context.invocation_metadata() or ())
        span = _start_span(route, metadata)
        caller = audit.About(DOOR, caller_name(metadata.get("authorization")), _address(context))
        with structlog.contextvars.bound_contextvars(request_id=request_id), use(span), audit.about(caller):
            try:
                if not route.startswith(HEALTH):
                    self._access.check(metadata.get("authorization"))
                yield
            except EnTrustError as error:
                failure = Failure.of(error)
                if isinstance(error, UnauthenticatedError):
                    audit.record(audit.refused_caller(error.kind))
            except JobEndedError as error:
                failure = error.failure
            except (asyncio.CancelledError, GeneratorExit):  # the caller left, or its deadline passed
                code = grpc.StatusCode.DEADLINE_EXCEEDED if out_of_time(context) else grpc.StatusCode.CANCELLED
                raise
            except grpc.aio.AbortError:  # by a standard service
                code = _code(context)
                raise
            except Exception as error:  # the boundary of the gRPC face
                code = grpc.StatusCode.INTERNAL
                log.error("request-broke", **describe_exception(error))
                failure = Failure.of(
                    InternalError("The gateway failed in a way it should not.", fix="Report the request id.")
                )
            finally:
                code = CODES[failure.kind] if failure else code
                self._record(route, code, time.perf_counter() - started)
                _end_span(span, code)
            if failure is not None:
                self._metrics.problem(failure.kind)
                status = status_of(failure, request_id)
                trailers = ((REQUEST_ID_KEY, request_id), (STATUS_KEY, status.SerializeToString()))
                await context.abort(CODES[failure.kind], failure.message, trailers)

    def _deliver(self, message: Any) -> None:
        """Count the results in an answer."""
        if size_bytes := delivered_bytes(message):
            self._metrics.delivered(door=DOOR, size_bytes=size_bytes)

    def _record(self, route: str, code: grpc.StatusCode, seconds: float) -> None:
        self._metrics.rpc_request(method=route.removeprefix("/"), code=code.name, duration_seconds=seconds)
        if not route.startswith((HEALTH, REFLECTION)):
            self._metrics.door_request(door=DOOR, outcome=outcome_of(code), duration_seconds=seconds)
        if not route.startswith(HEALTH) or code is not grpc.StatusCode.OK:
            log.info("request", method="gRPC", route=route, status=code.name, duration_seconds=round(seconds, 4))


def outcome_of(code: grpc.StatusCode) -> str:
    """Return how a call ended: by whose fault, or whether the caller left before there was an answer."""
    if code is grpc.StatusCode.OK:
        return "ok"
    if code is grpc.StatusCode.CANCELLED:
        return "left"
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return "overloaded"
    return "failed" if code in FAILED else "refused"


def _start_span(route: str, metadata: Mapping[str, Any]) -> Span:
    """Go on with the caller's trace, named as OpenTelemetry's conventions ask; health is polled, and not traced."""
    if route.startswith((HEALTH, REFLECTION)):
        return NO_SPAN
    method = route.removeprefix("/")
    attributes = {"rpc.system.name": "grpc", "rpc.method": method}
    headers = {name: str(metadata[name]) for name in PROPAGATED if name in metadata}
    return start_span(method, kind=SpanKind.SERVER, attributes=attributes, headers=headers)


def _end_span(span: Span, code: grpc.StatusCode) -> None:
    span.set({"rpc.response.status_code": code.name})
    if code in FAILED or code is grpc.StatusCode.CANCELLED:
        span.fail(code.name)
    span.end()


def _address(context: Any) -> str:
    """Return the caller's network address: gRPC says ``ipv4:192.0.2.1:5000`` or ``ipv6:%5B2001:db8::1%5D:5000``."""
    kind, _, rest = unquote(str(context.peer())).partition(":")
    return rest.rpartition(":")[0].strip("[]") if kind in {"ipv4", "ipv6"} else ""


def _code(context: Any) -> grpc.StatusCode:
    code = context.code()
    if isinstance(code, grpc.StatusCode):
        return code
    return next((each for each in grpc.StatusCode if each.value[0] == code), grpc.StatusCode.UNKNOWN)
