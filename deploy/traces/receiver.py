"""Receive OTLP over HTTP, as a collector does, and keep the spans in memory: for a look, and for the tests."""

import base64
import contextlib
import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Status

PATH = "/v1/traces"
JSON = "application/json"
ID_KEYS = ("traceId", "spanId", "parentSpanId")
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class ReceivedSpan:
    """One span.

    Attributes:
        trace_id: Of the trace it belongs to, in hexadecimal.
        span_id: Its own, in hexadecimal.
        parent_id: Of the span it is part of; empty for a root.
        name: What was done.
        kind: ``internal``, ``server`` or ``client``.
        start_seconds: Unix time.
        end_seconds: Unix time.
        attributes: Its facts.
        resource: Facts about the process that made it.
        failed: Whether its status is an error.
        status_message: Words of that status.
        num_events: Things that happened within it, each with a time; Triton tells its timestamps so.
    """

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    start_seconds: float
    end_seconds: float
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    failed: bool
    status_message: str
    num_events: int

    @property
    def service(self) -> str:
        """Name of the service that made it."""
        return str(self.resource.get("service.name", ""))


@dataclass(eq=False)
class Receiver:
    """What has arrived so far.

    Attributes:
        endpoint: Base URL.
        status: What is answered; anything but 200 is a refusal, and nothing is kept.
        answering: Cleared, exports are left without an answer until it is set.
        headers: Headers of the last export.
        requests: Exports so far, refused ones included.
    """

    endpoint: str
    status: HTTPStatus = HTTPStatus.OK
    answering: threading.Event = field(default_factory=threading.Event)
    headers: Mapping[str, str] = field(default_factory=dict)
    requests: int = 0
    _spans: list[ReceivedSpan] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.answering.set()

    def spans(self, trace_id: str = "") -> list[ReceivedSpan]:
        """Return the spans of one trace, or of all, by their start."""
        with self._lock:
            kept = [span for span in self._spans if trace_id in ("", span.trace_id)]
        return sorted(kept, key=lambda span: span.start_seconds)

    def wait_for(
        self, enough: Callable[[list[ReceivedSpan]], bool], *, trace_id: str = "", timeout_seconds: float = 60.0
    ) -> list[ReceivedSpan]:
        """Wait until the spans of a trace are enough, and return them; exporters send in batches, seconds later.

        Raises:
            TimeoutError: They did not come.
        """
        give_up = time.monotonic() + timeout_seconds
        while True:
            spans = self.spans(trace_id)
            if enough(spans):
                return spans
            if time.monotonic() >= give_up:
                raise TimeoutError(f"Only these spans came: {sorted({span.name for span in spans})}.")
            time.sleep(POLL_SECONDS)

    def take(self, body: bytes, headers: Mapping[str, str]) -> HTTPStatus:
        """Take one export and return what is answered."""
        self.answering.wait()
        with self._lock:
            self.requests += 1
            self.headers = headers
            if self.status is HTTPStatus.OK:
                self._spans += read_spans(parse(body, headers.get("Content-Type", "")))
            return self.status


def parse(body: bytes, media_type: str) -> ExportTraceServiceRequest:
    """Return the message of one export: protobuf, or its JSON, which Triton's exporter speaks."""
    request = ExportTraceServiceRequest()
    if media_type == JSON:
        # OTLP writes ids in hexadecimal, where protobuf's JSON has base64
        json_format.ParseDict(json.loads(body, object_hook=_with_plain_ids), request)
    else:
        request.ParseFromString(body)
    return request


def _with_plain_ids(message: dict[str, Any]) -> dict[str, Any]:
    for key in ID_KEYS:
        if key in message:
            message[key] = base64.b64encode(bytes.fromhex(message[key])).decode()
    return message


def read_spans(request: ExportTraceServiceRequest) -> list[ReceivedSpan]:
    """Return the spans of one export."""
    return [
        _read_span(span, _attributes(group.resource.attributes))
        for group in request.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def _read_span(span: SpanMessage, resource: Mapping[str, Any]) -> ReceivedSpan:
    return ReceivedSpan(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=span.name,
        kind=SpanMessage.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        start_seconds=span.start_time_unix_nano / 1e9,
        end_seconds=span.end_time_unix_nano / 1e9,
        attributes=_attributes(span.attributes),
        resource=resource,
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        status_message=span.status.message,
        num_events=len(span.events),
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    def value(any_value: AnyValue) -> Any:
        which = any_value.WhichOneof("value")
        if which == "array_value":
            return [value(item) for item in any_value.array_value.values]
        return getattr(any_value, which) if which else None

    found: dict[str, Any] = {}
    pair: KeyValue
    for pair in pairs:
        found[pair.key] = value(pair.value)
    return found


@contextlib.contextmanager
def running_receiver() -> Iterator[Receiver]:
    """Listen on a free port of the loopback address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Take an export."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            status = HTTPStatus.NOT_FOUND if self.path != PATH else receiver.take(body, dict(self.headers))
            answer = ExportTraceServiceResponse().SerializeToString()
            with contextlib.suppress(ConnectionError):  # an exporter that did not wait for a slow answer
                self.send_response(status)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": POLL_SECONDS}, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.answering.set()
            server.shutdown()
            thread.join()
