"""Errors on the wire: one total table from kind to gRPC code, and google.rpc.Status with standard details.

The four kinds of input that can never succeed share ``INVALID_ARGUMENT``; what tells them apart is the kind in
``ErrorInfo``, as Google's AIP-193 asks: codes are for retry policies, reasons for programs.
"""

from collections.abc import Mapping

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details
from google.rpc.status_pb2 import Status

from entrust.errors import ErrorKind
from service.jobs.job import Failure

CODES: Mapping[ErrorKind, grpc.StatusCode] = {
    ErrorKind.INVALID_INPUT: grpc.StatusCode.INVALID_ARGUMENT,
    ErrorKind.UNSUPPORTED_MEDIA: grpc.StatusCode.INVALID_ARGUMENT,
    ErrorKind.MISSING_MODALITY: grpc.StatusCode.INVALID_ARGUMENT,
    ErrorKind.GEOMETRY_CONFLICT: grpc.StatusCode.INVALID_ARGUMENT,
    ErrorKind.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    ErrorKind.CONFLICT: grpc.StatusCode.FAILED_PRECONDITION,
    ErrorKind.TOO_LARGE: grpc.StatusCode.OUT_OF_RANGE,
    ErrorKind.OVERLOADED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    ErrorKind.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    ErrorKind.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    ErrorKind.MODEL_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    ErrorKind.INFERENCE_FAILED: grpc.StatusCode.ABORTED,
    ErrorKind.DEADLINE_EXCEEDED: grpc.StatusCode.DEADLINE_EXCEEDED,
    ErrorKind.CANCELLED: grpc.StatusCode.CANCELLED,
    ErrorKind.DELIVERY_FAILED: grpc.StatusCode.UNAVAILABLE,
    ErrorKind.SOURCE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    ErrorKind.INTERNAL: grpc.StatusCode.INTERNAL,
}
DOMAIN = "entrust"
STATUS_KEY = "grpc-status-details-bin"
"""Trailer in which every gRPC library looks for a google.rpc.Status."""


class JobEndedError(Exception):
    """A job ended without results; what the caller is told is its failure.

    Args:
        failure: Why.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def status_of(failure: Failure, request_id: str = "") -> Status:
    """Return the status that says what an error says.

    Its details are ErrorInfo, LocalizedMessage, Help where something can be done, RetryInfo where trying again later
    makes sense, and RequestInfo.
    """
    facts = {key: f"{value:g}" if isinstance(value, float) else str(value) for key, value in failure.details.items()}
    if failure.trace_id:
        facts["trace_id"] = failure.trace_id
    told: list[Message] = [
        details.ErrorInfo(reason=failure.kind.name, domain=DOMAIN, metadata={**facts, "kind": failure.kind.value}),
        details.LocalizedMessage(locale="en", message=f"{failure.message} {failure.fix}".strip()),
    ]
    if failure.fix:
        told.append(details.Help(links=[details.Help.Link(description=failure.fix, url=f"/problems/{failure.kind}")]))
    retry_after = failure.details.get("retry_after_seconds")
    if isinstance(retry_after, int | float):
        delay = Duration()
        delay.FromNanoseconds(round(retry_after * 1e9))
        told.append(details.RetryInfo(retry_delay=delay))
    if request_id:
        told.append(details.RequestInfo(request_id=request_id))
    return Status(code=CODES[failure.kind].value[0], message=failure.message, details=[_pack(each) for each in told])


def _pack(message: Message) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed
