"""What a job is: plain values, and the table of the moves it may make."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from entrust.errors import EnTrustError, ErrorKind
from service.observability.traces import current


class JobState(StrEnum):
    """Where a job stands (UPS: SCHEDULED, IN PROGRESS, COMPLETED, CANCELED)."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing comes after it."""
        return not MOVES[self]


MOVES: Mapping[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.FAILED, JobState.CANCELLED}),
    JobState.RUNNING: frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}


class Priority(StrEnum):
    """Who goes first among the queued."""

    STAT = "stat"
    ROUTINE = "routine"

    @property
    def rank(self) -> int:
        """Smaller goes first."""
        return list(Priority).index(self)


@dataclass(frozen=True)
class Progress:
    """How far a running job is.

    Attributes:
        stage: ``ingest``, ``prepare``, ``sampling`` …
        step: Steps of the stage that are finished.
        of: Steps of the stage in all.
    """

    stage: str
    step: int
    of: int


@dataclass(frozen=True)
class Failure:
    """Why a job ended without results: an :class:`EnTrustError` as a value that can be stored.

    Attributes:
        kind: Kind of the error.
        message: Its cause, free of patient data.
        fix: What the caller can do about it.
        details: Facts for machines.
        trace_id: The trace in which it happened; empty when nothing is traced.
    """

    kind: ErrorKind
    message: str
    fix: str = ""
    details: Mapping[str, str | int | float] = field(default_factory=dict)
    trace_id: str = ""

    @classmethod
    def of(cls, error: EnTrustError) -> "Failure":
        """Return the value of an error that happens now, in the present trace."""
        return cls(error.kind, error.message, error.fix, error.details, current().trace_id)


@dataclass(frozen=True)
class Product:
    """One file of the results.

    Attributes:
        name: File name, of our own making.
        media_type: IANA media type.
        content: The bytes.
    """

    name: str
    media_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class ProductInfo:
    """What a job's listing says of one file."""

    name: str
    media_type: str
    size_bytes: int


@dataclass(frozen=True)
class Job:
    """One state of one job; every change makes a new value with the next version.

    Attributes:
        id: Random, unguessable, meaningless.
        task: Task name.
        parameters: What was asked, without anything of the patient.
        priority: Who goes first.
        state: Where it stands.
        version: Number of the change that made this value, from 1.
        created_at_seconds: Unix time of acceptance.
        started_at_seconds: Unix time of the start.
        finished_at_seconds: Unix time of the end.
        progress: How far it is; ``None`` before the start.
        failure: Why it failed or was cancelled.
        products: Listing of the results.
    """

    id: str
    task: str
    parameters: Mapping[str, str | int | float]
    created_at_seconds: float
    priority: Priority = Priority.ROUTINE
    state: JobState = JobState.QUEUED
    version: int = 1
    started_at_seconds: float | None = None
    finished_at_seconds: float | None = None
    progress: Progress | None = None
    failure: Failure | None = None
    products: tuple[ProductInfo, ...] = ()
