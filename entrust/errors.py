"""The one error tree. An exception knows its kind, its cause and its fix; each wire face owns the table kind → status.

    EnTrustError
    ├── InvalidInputError          invalid-input        the request or a file in it cannot mean what was asked
    ├── UnsupportedMediaError      unsupported-media    a format, transfer syntax or object that is not decoded here
    ├── MissingModalityError       missing-modality     no series can play a role that the task cannot do without
    ├── GeometryConflictError      geometry-conflict    slices or series that do not form one consistent space
    ├── NotFoundError              not-found            no such task, job or result
    ├── ConflictError              conflict             the resource's state forbids what was asked
    ├── TooLargeError              too-large            a stated limit was passed
    ├── OverloadedError            overloaded           no capacity now; try again later
    ├── UnauthenticatedError       unauthenticated      no or wrong credentials
    ├── ForbiddenError             forbidden            credentials that do not allow this
    ├── ModelUnavailableError      model-unavailable    Triton or a model in it is not there or not as promised
    ├── InferenceFailedError       inference-failed     Triton answered with a failure
    ├── DeadlineExceededError      deadline-exceeded    the caller's time ran out
    ├── CancelledError             cancelled            the caller took the request back
    ├── DeliveryFailedError        delivery-failed      the result exists but could not be handed over
    │   └── DeliveryRefusedError   delivery-failed      … and sending it again would change nothing
    ├── SourceUnavailableError     source-unavailable   a PACS that was to be asked is away, or answers wrongly
    └── InternalError              internal             a defect of this program

Messages, fixes and details never hold patient data: no names, identifiers, dates, UIDs or file names of the caller.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar


class ErrorKind(StrEnum):
    """What went wrong, in words that every protocol can translate."""

    INVALID_INPUT = "invalid-input"
    UNSUPPORTED_MEDIA = "unsupported-media"
    MISSING_MODALITY = "missing-modality"
    GEOMETRY_CONFLICT = "geometry-conflict"
    NOT_FOUND = "not-found"
    CONFLICT = "conflict"
    TOO_LARGE = "too-large"
    OVERLOADED = "overloaded"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    MODEL_UNAVAILABLE = "model-unavailable"
    INFERENCE_FAILED = "inference-failed"
    DEADLINE_EXCEEDED = "deadline-exceeded"
    CANCELLED = "cancelled"
    DELIVERY_FAILED = "delivery-failed"
    SOURCE_UNAVAILABLE = "source-unavailable"
    INTERNAL = "internal"


class EnTrustError(Exception):
    """Any failure that a caller may be told about.

    Args:
        message: The cause in one sentence, free of patient data.
        fix: What the caller can do about it, in one sentence; empty when nothing can be done.
        details: Machine-readable facts (counts, limits, tag names), free of patient data.
    """

    kind: ClassVar[ErrorKind]

    def __init__(self, message: str, *, fix: str = "", details: Mapping[str, str | int | float] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.details: dict[str, str | int | float] = dict(details or {})

    def __str__(self) -> str:
        return f"{self.message} {self.fix}".strip()


class InvalidInputError(EnTrustError):
    """The request, or a file in it, cannot mean what was asked."""

    kind = ErrorKind.INVALID_INPUT


class UnsupportedMediaError(EnTrustError):
    """A format, transfer syntax or object that is not decoded here."""

    kind = ErrorKind.UNSUPPORTED_MEDIA


class MissingModalityError(EnTrustError):
    """No series can play a role that the task cannot do without."""

    kind = ErrorKind.MISSING_MODALITY


class GeometryConflictError(EnTrustError):
    """Slices or series that do not form one consistent space."""

    kind = ErrorKind.GEOMETRY_CONFLICT


class NotFoundError(EnTrustError):
    """No such task, job or result."""

    kind = ErrorKind.NOT_FOUND


class ConflictError(EnTrustError):
    """The resource's state forbids what was asked."""

    kind = ErrorKind.CONFLICT


class TooLargeError(EnTrustError):
    """A stated limit was passed."""

    kind = ErrorKind.TOO_LARGE


class OverloadedError(EnTrustError):
    """No capacity now; try again after ``retry_after_seconds``."""

    kind = ErrorKind.OVERLOADED

    def __init__(self, message: str, *, retry_after_seconds: float = 5.0, fix: str = "Try again later.") -> None:
        super().__init__(message, fix=fix, details={"retry_after_seconds": retry_after_seconds})
        self.retry_after_seconds = retry_after_seconds


class UnauthenticatedError(EnTrustError):
    """No or wrong credentials."""

    kind = ErrorKind.UNAUTHENTICATED


class ForbiddenError(EnTrustError):
    """Credentials that do not allow this."""

    kind = ErrorKind.FORBIDDEN


class ModelUnavailableError(EnTrustError):
    """Triton, or a model in it, is not there or not as the contract promises."""

    kind = ErrorKind.MODEL_UNAVAILABLE


class InferenceFailedError(EnTrustError):
    """Triton answered with a failure."""

    kind = ErrorKind.INFERENCE_FAILED


class DeadlineExceededError(EnTrustError):
    """The caller's time ran out."""

    kind = ErrorKind.DEADLINE_EXCEEDED


class CancelledError(EnTrustError):
    """The caller took the request back."""

    kind = ErrorKind.CANCELLED


class DeliveryFailedError(EnTrustError):
    """The result exists but could not be handed over."""

    kind = ErrorKind.DELIVERY_FAILED


class DeliveryRefusedError(DeliveryFailedError):
    """The receiver does not want it, and sending it again would change nothing."""


class SourceUnavailableError(EnTrustError):
    """A PACS that was to be asked is away, refuses us, or does not answer as its protocol says."""

    kind = ErrorKind.SOURCE_UNAVAILABLE


class InternalError(EnTrustError):
    """A defect of this program."""

    kind = ErrorKind.INTERNAL
