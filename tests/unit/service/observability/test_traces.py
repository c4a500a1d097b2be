"""Spans: nothing when nobody listens, one trace when somebody does, and never more than may be told."""

import asyncio
import contextlib
import io
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus

import pytest
import structlog

from deploy.traces.receiver import Receiver
from entrust.errors import GeometryConflictError
from service.jobs.job import Failure
from service.observability.logs import configure_logging
from service.observability.otlp import open_tracer
from service.observability.trace_collector import Collector
from service.observability.traces import NO_SPAN, SpanKind, current, span, start_span, use

PATIENT = "DOE^JANE"
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "vendor=1"}
NOT_SAMPLED = {"traceparent": f"00-{TRACE}-{CALLER}-00"}


@contextlib.asynccontextmanager
async def traced(receiver: Receiver, ratio: float = 1.0) -> AsyncIterator[None]:
    collector = Collector(
        receiver.endpoint, service="unit", instance="one", headers={"authorization": "Basic YWI6Yw=="}
    )
    async with open_tracer(collector, version="1.2.3", sampling_ratio=ratio):
        yield


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What is logged, as it would be in a gateway."""
    root, stream = logging.getLogger(), io.StringIO()
    before = (root.handlers[:], root.level)
    configure_logging(level="info", form="json", on_drop=lambda _reason: None, stream=stream)
    yield stream
    structlog.reset_defaults()
    logging.captureWarnings(False)
    logging.getLogger("uvicorn.access").disabled = False
    root.handlers[:], root.level = before


def said(log: io.StringIO, prefix: str) -> list[dict[str, str]]:
    """Return the lines of this test; servers of the session may say something, too."""
    return [line for line in map(json.loads, log.getvalue().splitlines()) if line["event"].startswith(prefix)]


def test_nothing_is_made_when_nobody_listens() -> None:
    assert span("one") is span("two")
    with span("one") as made:
        assert made is start_span("two") is current() is NO_SPAN
        assert not made.headers()
        assert made.trace_id == made.span_id == Failure.of(GeometryConflictError("No.")).trace_id == ""


@pytest.mark.parametrize(("endpoint", "loaded"), [("", False), ("http://127.0.0.1:9", True)])
def test_the_sdk_is_loaded_only_where_something_is_traced(endpoint: str, loaded: bool) -> None:
    program = """
import asyncio, sys
from service.app import open_pipeline
from service.startup import make_metrics
from service.settings import Settings

async def main():
    settings = {"triton": {"url": "127.0.0.1:9"}, "traces": {"endpoint": sys.argv[1]}}
    async with open_pipeline(Settings.model_validate(settings), make_metrics()) as pipeline:
        await pipeline.models()

asyncio.run(main())
names = ("opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.proto")
print(any(name.startswith(names) for name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program, endpoint], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(loaded), done.stderr


async def test_a_span_is_part_of_what_surrounds_it_and_of_the_callers_trace(receiver: Receiver) -> None:
    async with traced(receiver):
        request = start_span("request", kind=SpanKind.SERVER, headers=SAMPLED)
        with use(request):
            job = start_span("job", attributes={"entrust.task": "oncology"})
        request.end()
        with use(job), span("stage"):

            async def work() -> None:
                with span("call", kind=SpanKind.CLIENT) as call:
                    assert call.headers() == {
                        "traceparent": f"00-{TRACE}-{call.span_id}-01", "tracestate": "vendor=1"
                    }  # fmt: skip
                    assert await asyncio.to_thread(lambda: current().span_id) == call.span_id

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(work())
                tasks.create_task(work())
        job.end()
        assert current() is NO_SPAN
    spans = {each.span_id: each for each in receiver.spans(TRACE)}

    def path(span_id: str) -> list[str]:
        return [*path(spans[span_id].parent_id), spans[span_id].name] if span_id in spans else [span_id]

    paths = sorted(path(span_id) for span_id in spans)
    whole = [CALLER, "request", "job", "stage", "call"]
    assert paths == [whole[:2], whole[:3], whole[:4], whole, whole]
    assert spans[job.span_id].end_seconds > spans[request.span_id].end_seconds
    assert {each.kind for each in spans.values()} == {"server", "internal", "client"}
    assert dict(spans[job.span_id].attributes) == {"entrust.task": "oncology"}
    assert dict(spans[job.span_id].resource) == {
        "service.name": "unit", "service.version": "1.2.3", "service.instance.id": "one"
    }  # fmt: skip
    assert receiver.headers["authorization"] == "Basic YWI6Yw=="


async def test_an_error_is_told_by_its_kind_alone(receiver: Receiver) -> None:
    async with traced(receiver):
        with pytest.raises(GeometryConflictError), span("ours"):
            raise GeometryConflictError(PATIENT)
        with pytest.raises(KeyError), span("theirs"):
            raise KeyError(PATIENT)
    ours, theirs = receiver.spans()
    assert (ours.failed, dict(ours.attributes)) == (True, {"error.type": "geometry-conflict"})
    assert (theirs.failed, dict(theirs.attributes)) == (True, {"error.type": "KeyError"})
    assert not any(each.status_message or each.num_events for each in (ours, theirs))


async def test_who_samples_decides_for_what_follows(receiver: Receiver) -> None:
    async with traced(receiver, ratio=0.0):
        with span("of its own") as own, span("within") as within:
            assert own.trace_id == within.trace_id != ""
            assert not within.headers(), "Triton would record it whatever the flag says"
        start_span("of a caller", headers=SAMPLED).end()
    assert [each.name for each in receiver.spans()] == ["of a caller"]
    async with traced(receiver):
        start_span("not wanted", headers=NOT_SAMPLED).end()
        start_span("nonsense", headers={"traceparent": f"00-{PATIENT}-01"}).end()
    assert [each.name for each in receiver.spans()] == ["of a caller", "nonsense"]


async def test_logs_and_failures_name_the_trace(receiver: Receiver, log: io.StringIO) -> None:
    async with traced(receiver):
        with span("work") as work:
            structlog.get_logger().info("said-within")
            assert Failure.of(GeometryConflictError("No.")).trace_id == work.trace_id
        structlog.get_logger().info("said-after")
    within, after = said(log, "said-")
    assert (within["trace_id"], within["span_id"]) == (work.trace_id, work.span_id)
    assert "trace_id" not in after


async def test_a_collector_that_refuses_is_told_of_once(receiver: Receiver, log: io.StringIO) -> None:
    async with traced(receiver):
        receiver.status = HTTPStatus.BAD_REQUEST
        for refused in range(1, 4):
            start_span("lost").end()
            async with asyncio.timeout(60.0):
                while receiver.requests < refused:
                    await asyncio.sleep(0.02)
        receiver.status = HTTPStatus.OK
        start_span("kept").end()
    assert [each.name for each in receiver.spans()] == ["kept"]
    events = [line["event"] for line in said(log, "traces-")]
    assert events == ["traces-not-taken", "traces-taken-again"]


async def test_a_collector_that_hangs_holds_nobody_up(receiver: Receiver, log: io.StringIO) -> None:
    receiver.answering.clear()
    async with traced(receiver):
        for _ in range(20_000):  # more than wait in the queue; would never end if it waited for room
            start_span("lost").end()
    events = [line["event"] for line in said(log, "traces-")]
    assert events[-1] == "traces-lost-at-stop", "it was not waited for"
    assert len(events) <= 2
    assert not receiver.spans()
