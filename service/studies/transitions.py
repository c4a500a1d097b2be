"""The one place through which a study's moves are told: to the log, the metrics, and whoever else listens."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from service.jobs.job import Failure
from service.observability.logs import get_logger
from service.observability.metrics import Metrics

log = get_logger(__name__)


class Move(StrEnum):
    """What happened to a step, or to the whole study."""

    ACCEPTED = "accepted"
    STARTED = "started"
    DONE = "done"
    RETRIED = "retried"
    FAILED = "failed"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    PURGED = "purged"


@dataclass(frozen=True)
class Transition:
    """One move of one study.

    Attributes:
        id: Of the run; may be logged.
        study_uid: StudyInstanceUID. Never logged.
        move: What happened.
        step: To which step; empty where it happened to the study.
        task: The task; empty while it is not known.
        target: Where results go; empty where the step is not about that.
        attempt: From 1.
        duration_seconds: Of the step, or from acceptance to the end.
        failure: Why.
        queued_seconds: When the run was accepted, since 1970; None where it was not.
        sop_classes: Number of the study's results by SOP Class UID.
    """

    id: str
    study_uid: str
    move: Move
    step: str = ""
    task: str = ""
    target: str = ""
    attempt: int = 1
    duration_seconds: float = 0.0
    failure: Failure | None = None
    queued_seconds: float | None = None
    sop_classes: Mapping[str, int] = field(default_factory=dict)


Listener = Callable[[Transition], None]
"""Told of every move, on any thread; must not raise, and returns at once."""


class Transitions:
    """Tells of moves.

    Args:
        metrics: Counts them.
        listeners: Hear of them besides, an audit trail for instance.
    """

    def __init__(self, metrics: Metrics, *listeners: Listener) -> None:
        self._metrics = metrics
        self._listeners = listeners

    def tell(self, transition: Transition) -> None:
        """Tell of one."""
        t = transition
        outcome = t.failure.kind.value if t.failure is not None else t.move.value
        if t.step:
            if t.move in (Move.DONE, Move.RETRIED, Move.FAILED):
                self._metrics.study_step(step=t.step, outcome=t.move.value, duration_seconds=t.duration_seconds)
        elif t.move in (Move.SUCCEEDED, Move.FAILED, Move.CANCELLED):
            self._metrics.study_finished(outcome=t.move.value, duration_seconds=t.duration_seconds)
        log.info(
            f"study-step-{t.move}" if t.step else f"study-{t.move}",
            job_id=t.id, stage=t.step, task=t.task, attempt=t.attempt, outcome=outcome,
            duration_seconds=round(t.duration_seconds, 3), cause=t.failure.message if t.failure is not None else "",
        )  # fmt: skip
        for listener in self._listeners:
            listener(t)
