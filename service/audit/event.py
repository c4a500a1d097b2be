"""What may be told to the audit trail, as values: none of them has room for a patient.

A study is named by its StudyInstanceUID, a caller by its title, its address or a digest of its token, a failure by its
kind. Whatever else a caller sends stays out, because no field takes it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum, StrEnum

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")
_MAX_CHARACTERS = 200


class What(StrEnum):
    """Kinds of events; all but ``hop`` have a message of their own in PS3.15 A.5.3."""

    STARTED = "application-started"
    STOPPED = "application-stopped"
    BEGIN_TRANSFERRING = "begin-transferring"
    TRANSFERRED = "instances-transferred"
    ACCESSED = "instances-accessed"
    DELETED = "study-deleted"
    IMPORTED = "imported"
    EXPORTED = "exported"
    QUERIED = "queried"
    ALERT = "security-alert"
    HOP = "hop"


class Hop(StrEnum):
    """Stations of a study, in the order in which it passes them."""

    RECEIVED = "received"
    QUEUED = "queued"
    SELECTED = "selected"
    INFERRED = "inferred"
    ENCODED = "encoded"
    DELIVERED = "delivered"
    CONFIRMED = "confirmed"


class Outcome(IntEnum):
    """How an event ended (EventOutcomeIndicator, PS3.15 A.5.1)."""

    SUCCESS = 0
    MINOR_FAILURE = 4
    SERIOUS_FAILURE = 8
    MAJOR_FAILURE = 12


class Action(StrEnum):
    """What was done to the objects (EventActionCode, PS3.15 A.5.1)."""

    CREATE = "C"
    READ = "R"
    UPDATE = "U"
    DELETE = "D"
    EXECUTE = "E"


ACTIONS: Mapping[What, Action] = {
    What.STARTED: Action.EXECUTE,
    What.STOPPED: Action.EXECUTE,
    What.BEGIN_TRANSFERRING: Action.EXECUTE,
    What.TRANSFERRED: Action.READ,
    What.ACCESSED: Action.EXECUTE,
    What.DELETED: Action.DELETE,
    What.IMPORTED: Action.CREATE,
    What.EXPORTED: Action.READ,
    What.QUERIED: Action.EXECUTE,
    What.ALERT: Action.EXECUTE,
    What.HOP: Action.EXECUTE,
}
"""The action where an event does not say another."""


@dataclass(frozen=True)
class Event:
    """One event.

    Attributes:
        what: Its kind.
        hop: Station that a study has passed with it.
        outcome: How it ended.
        action: What was done; that of :data:`ACTIONS` when absent.
        door: Where: ``rest``, ``grpc``, ``dicomweb``, ``dimse``, ``gateway``.
        peer: The other side by its name: an AE title, or what stands for a token.
        address: The other side's network address.
        sending: Whether this gateway is the source of what was transferred.
        study_uid: StudyInstanceUID; what is no UID is left out.
        job_id: The job.
        sop_classes: Number of instances by SOP Class UID.
        query: What was searched for: names of attributes without their values.
        reason: Kind of the failure, or what an alert is about: a slug.
        duration_seconds: How long the hop took.
        at: When it ended; now when absent.
        quiet_seconds: Equal events of the same caller about the same study within this time after one that is written
            are left out: a viewer that asks for a thousand frames, or a stranger who knocks a thousand times.
    """

    what: What = What.HOP
    hop: Hop | None = None
    outcome: Outcome = Outcome.SUCCESS
    action: Action | None = None
    door: str = ""
    peer: str = ""
    address: str = ""
    sending: bool = False
    study_uid: str = ""
    job_id: str = ""
    sop_classes: Mapping[str, int] = field(default_factory=dict)
    query: str = ""
    reason: str = ""
    duration_seconds: float | None = None
    at: datetime | None = None
    quiet_seconds: float = 0.0

    def __post_init__(self) -> None:
        """Let in what fits its field, and put the time on it."""
        put = object.__setattr__
        for name in ("door", "peer", "address", "job_id", "query", "reason"):
            put(self, name, _UNPRINTABLE.sub("?", getattr(self, name).strip())[:_MAX_CHARACTERS])
        put(self, "study_uid", uid(self.study_uid))
        put(self, "sop_classes", {uid(name): n for name, n in self.sop_classes.items() if uid(name)})
        put(self, "action", self.action or ACTIONS[self.what])
        put(self, "at", self.at or datetime.now(UTC))


def refused_caller(reason: str) -> Event:
    """Return the alert that somebody was not let in.

    Args:
        reason: Why: a slug.
    """
    return Event(What.ALERT, outcome=Outcome.SERIOUS_FAILURE, reason=reason, quiet_seconds=1.0)


def uid(text: str) -> str:
    """Return a UID as it is, and nothing in place of what is none (PS3.5 9.1)."""
    return text if len(text) <= 64 and _UID.fullmatch(text) else ""


def outcome_of(kind: str) -> Outcome:
    """Return how grave a failure is by its kind: whether the caller or the gateway has to do something about it."""
    if kind in {"internal", "inference-failed", "delivery-failed"}:
        return Outcome.SERIOUS_FAILURE
    return Outcome.MAJOR_FAILURE if kind == "model-unavailable" else Outcome.MINOR_FAILURE
