"""What the audit trail hears of a study; the pipeline tells by itself what was selected, inferred and encoded."""

import time
from functools import partial

from service import audit
from service.audit import Event, Hop, What
from service.studies.record import Step
from service.studies.steps import DOOR
from service.studies.transitions import Move, Transition

_ENDS = (Move.SUCCEEDED, Move.FAILED, Move.CANCELLED)
"""Of a study."""
_ENDED = (Move.DONE, Move.FAILED)
"""Of a step."""


def tell_trail(t: Transition) -> None:
    """Tell the audit trail of a move, where it is one that matters there; a listener of :func:`open_studies`.

    An attempt that is made again is none: the trail has when it began to send, and how that ended.
    """
    event = _event(t)
    if event is not None:
        audit.record(event)


def _event(t: Transition) -> Event | None:
    """Return the event of a move; None where there is none."""
    kind = t.failure.kind.value if t.failure is not None else ""
    told = partial(
        Event, door=DOOR, study_uid=t.study_uid, job_id=t.id, reason=kind,
        outcome=audit.outcome_of(kind) if kind else audit.Outcome.SUCCESS,
    )  # fmt: skip
    if not t.step:
        return told(What.ACCESSED) if t.move in _ENDS else None
    if t.step == Step.RECEIVE and t.move is Move.STARTED and t.attempt == 1:
        waited_seconds = None if t.queued_seconds is None else max(time.time() - t.queued_seconds, 0.0)
        return told(hop=Hop.QUEUED, duration_seconds=waited_seconds)
    sent = partial(told, peer=t.target, sending=True, sop_classes=t.sop_classes)
    if t.step == Step.DELIVER and t.move is Move.STARTED and t.attempt == 1:
        return sent(What.BEGIN_TRANSFERRING)
    if t.step == Step.DELIVER and t.move in _ENDED:
        return sent(What.TRANSFERRED, hop=None if kind else Hop.DELIVERED, duration_seconds=t.duration_seconds)
    if t.step == Step.CONFIRM and t.move in _ENDED:
        return sent(hop=None if kind else Hop.CONFIRMED, duration_seconds=t.duration_seconds)
    return None
