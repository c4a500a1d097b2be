"""The tracer that sends spans to a collector, by OpenTelemetry's SDK and OTLP over HTTP; no other module loads it.

A collector that is away, slow or refusing must not be felt: spans wait in a queue that drops its oldest, a thread of
its own sends them, one warning is logged until the collector is back, and the end of the process waits
:data:`CLOSE_SECONDS` at most.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Mapping, Sequence

import requests
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service.observability.logs import get_logger
from service.observability.trace_collector import Collector
from service.observability.traces import ERROR_TYPE, NO_HEADERS, Attributes, Span, SpanKind, install

log = get_logger(__name__)

QUEUE_SPANS = 4096
BATCH_SPANS = 512
SEND_EVERY_SECONDS = 2.0
EXPORT_SECONDS = 5.0
"""How long one export may take, repetitions included."""
CLOSE_SECONDS = 3.0

_KINDS: Mapping[SpanKind, trace.SpanKind] = {
    SpanKind.INTERNAL: trace.SpanKind.INTERNAL,
    SpanKind.SERVER: trace.SpanKind.SERVER,
    SpanKind.CLIENT: trace.SpanKind.CLIENT,
}
_PROPAGATOR = TraceContextTextMapPropagator()


class OtlpSpan(Span):
    """A span of the SDK.

    Args:
        span: The SDK's.
    """

    def __init__(self, span: trace.Span) -> None:
        context = span.get_span_context()
        self.trace_id = trace.format_trace_id(context.trace_id)
        self.span_id = trace.format_span_id(context.span_id)
        self.context = trace.set_span_in_context(span)
        self._span = span

    def rename(self, name: str) -> None:
        """Change the name."""
        self._span.update_name(name)

    def set(self, attributes: Attributes) -> None:
        """Add facts."""
        self._span.set_attributes(attributes)

    def fail(self, kind: str) -> None:
        """Note that it did not succeed; the status has no words, because words may quote what was read."""
        self._span.set_attribute(ERROR_TYPE, kind)
        self._span.set_status(trace.StatusCode.ERROR)

    def end(self) -> None:
        """Note that it is over."""
        self._span.end()

    def headers(self) -> Mapping[str, str]:
        """Return the headers of W3C Trace Context.

        There are none where the trace is not sampled: Triton records whatever comes with a ``traceparent``, and does
        not look at its flag.
        """
        if not self._span.get_span_context().trace_flags.sampled:
            return NO_HEADERS
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, self.context)
        return carrier


class OtlpTracer:
    """Makes spans and sends them.

    Args:
        collector: Where to, and as whom.
        version: Version of this program.
        sampling_ratio: Share of the traces that begin here which are recorded; a caller's traces are recorded as the
            caller says.
    """

    def __init__(self, collector: Collector, *, version: str, sampling_ratio: float) -> None:
        # The SDK's own words quote addresses and reasons, and are many when a collector is away.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)
        session = requests.Session()
        session.trust_env = False  # straight to the collector: no proxy of the environment, no .netrc
        self._exporter = OTLPSpanExporter(
            endpoint=collector.url,
            certificate_file=str(collector.ca_file) if collector.ca_file else None,
            headers=dict(collector.headers),
            timeout=EXPORT_SECONDS,
            compression=Compression.Gzip,
            session=session,
        )
        provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(sampling_ratio)),
            resource=Resource(
                {
                    "service.name": collector.service,
                    "service.version": version,
                    "service.instance.id": collector.instance,
                }
            ),
            shutdown_on_exit=False,
        )
        self._processor = BatchSpanProcessor(
            _Watched(self._exporter),
            max_queue_size=QUEUE_SPANS,
            max_export_batch_size=BATCH_SPANS,
            schedule_delay_millis=SEND_EVERY_SECONDS * 1000.0,
        )
        provider.add_span_processor(self._processor)
        self._tracer = provider.get_tracer("entrust")

    def start(
        self, name: str, kind: SpanKind, attributes: Attributes | None, parent: Span, headers: Mapping[str, str]
    ) -> Span:
        """Start a span; see :class:`service.observability.traces.Tracer`."""
        if isinstance(parent, OtlpSpan):
            context = parent.context
        else:
            context = _PROPAGATOR.extract(headers, trace.set_span_in_context(trace.INVALID_SPAN))
        return OtlpSpan(self._tracer.start_span(name, context, _KINDS[kind], attributes))

    async def close(self) -> None:
        """Send what is left, if the collector takes it in :data:`CLOSE_SECONDS`."""
        # Not a thread of the event loop's pool: the loop would wait for it, however long a collector hangs.
        ending = threading.Thread(target=self._processor.shutdown, name="traces-end", daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, CLOSE_SECONDS)
        if ending.is_alive():
            self._exporter.shutdown()
            log.warning("traces-lost-at-stop")


class _Watched(SpanExporter):
    """An exporter that says once that it fails, and once that it works again.

    Args:
        exporter: The exporter.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans."""
        result = self._exporter.export(spans)
        failing = result is not SpanExportResult.SUCCESS
        if failing and not self._failing:
            log.warning("traces-not-taken", count=len(spans))
        elif self._failing and not failing:
            log.info("traces-taken-again")
        self._failing = failing
        return result

    def shutdown(self) -> None:
        """End."""
        self._exporter.shutdown()


@contextlib.asynccontextmanager
async def open_tracer(collector: Collector, *, version: str, sampling_ratio: float) -> AsyncIterator[None]:
    """Send the spans of this process to a collector while the block runs, and what is left of them at its end."""
    tracer = OtlpTracer(collector, version=version, sampling_ratio=sampling_ratio)
    try:
        with install(tracer):
            yield
    finally:
        await tracer.close()
