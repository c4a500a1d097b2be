"""Spans: what was done, when, and as a part of what, under one trace id from a caller's request to Triton's own work.

Ambient, as logs are: a room opens a span and need not know whether anybody listens. Nobody does until
:func:`install` names a tracer, and until then a span is one shared object that does nothing, and OpenTelemetry's SDK
is not loaded. :mod:`service.observability.otlp` is the tracer that sends.

Spans hold no patient data: names and attributes are of our own making and of few values, and an error is told by its
kind alone. A job's id is left out, too: whoever knows it may collect results. Logs name both, the job and its trace.
"""

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import Protocol

from entrust.errors import EnTrustError

Attributes = Mapping[str, str | int | float | bool]
NO_HEADERS: Mapping[str, str] = {}
ERROR_TYPE = "error.type"
PROPAGATED = ("traceparent", "tracestate")
"""Headers, or gRPC metadata, of W3C Trace Context."""


class SpanKind(StrEnum):
    """Which side of a call a span is; ``internal`` where there is no call."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"


class Span:
    """Something that is being done; this one is for when nobody listens.

    Attributes:
        trace_id: 32 hexadecimal digits; empty when nobody listens.
        span_id: 16 hexadecimal digits; empty when nobody listens.
    """

    trace_id = ""
    span_id = ""

    def rename(self, name: str) -> None:
        """Change the name, for one that is only known later."""

    def set(self, attributes: Attributes) -> None:
        """Add facts."""

    def fail(self, kind: str) -> None:
        """Note that it did not succeed, by the kind of error."""

    def end(self) -> None:
        """Note that it is over."""

    def headers(self) -> Mapping[str, str]:
        """Return the headers by which another process goes on with the trace; none where it is not recorded."""
        return NO_HEADERS


class Tracer(Protocol):
    """Makes spans that somebody will see."""

    def start(
        self, name: str, kind: SpanKind, attributes: Attributes | None, parent: Span, headers: Mapping[str, str]
    ) -> Span:
        """Start a span under ``parent``, or under the span of another process that ``headers`` name."""
        ...


NO_SPAN = Span()
_OFF: AbstractContextManager[Span] = contextlib.nullcontext(NO_SPAN)
_current: ContextVar[Span] = ContextVar("entrust_span", default=NO_SPAN)
_tracer: Tracer | None = None


@contextmanager
def install(tracer: Tracer) -> Iterator[None]:
    """Listen to every span of this process; the composition root's to call, once."""
    global _tracer  # one for the process, as the configuration of the logs
    before, _tracer = _tracer, tracer
    try:
        yield
    finally:
        _tracer = before


def current() -> Span:
    """Return the span that is being worked on here."""
    return _current.get()


def start_span(
    name: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Attributes | None = None,
    parent: Span | None = None,
    headers: Mapping[str, str] = NO_HEADERS,
) -> Span:
    """Start a span that ends when :meth:`Span.end` is called, perhaps long after what it is a part of.

    Args:
        name: What is done; one of few words.
        kind: Which side of a call it is.
        attributes: Facts, free of patient data.
        parent: What it is a part of; the current span when not given.
        headers: A caller's headers, whose trace is gone on with.
    """
    if _tracer is None:
        return NO_SPAN
    return _tracer.start(name, kind, attributes, _current.get() if parent is None else parent, headers)


@contextmanager
def use(span: Span) -> Iterator[None]:
    """Make a span the current one, for this block and the tasks and threads it starts."""
    token = _current.set(span)
    try:
        yield
    finally:
        _current.reset(token)


def span(
    name: str, *, kind: SpanKind = SpanKind.INTERNAL, attributes: Attributes | None = None
) -> AbstractContextManager[Span]:
    """Start a span that is the current one for a block, and ends with it; an error that leaves the block is told."""
    return _OFF if _tracer is None else _for_block(name, kind, attributes)


@contextmanager
def _for_block(name: str, kind: SpanKind, attributes: Attributes | None) -> Iterator[Span]:
    made = start_span(name, kind=kind, attributes=attributes)
    try:
        with use(made):
            yield made
    except BaseException as error:
        made.fail(kind_of(error))
        raise
    finally:
        made.end()


def kind_of(error: BaseException) -> str:
    """Return what may be told of an error: its kind, or the name of a class that is not ours; never its words."""
    return error.kind.value if isinstance(error, EnTrustError) else type(error).__name__
