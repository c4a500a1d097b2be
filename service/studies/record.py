"""What is known of a study on its way: plain values, and the steps that it takes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from service.dicom_json import Json
from service.jobs.job import Failure, Priority
from service.summary import Summary


class StudyState(StrEnum):
    """Where a study stands. The five between the first and the last are those of a job."""

    RECEIVING = "receiving"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    IGNORED = "ignored"

    @property
    def active(self) -> bool:
        """Whether there is a workflow that will end it."""
        return self in ACTIVE

    @property
    def final(self) -> bool:
        """Whether nothing comes after it unless somebody asks, or something more arrives."""
        return self not in (*ACTIVE, StudyState.RECEIVING)


ACTIVE = (StudyState.QUEUED, StudyState.RUNNING)


class Step(StrEnum):
    """One step of a study, in their order."""

    RECEIVE = "receive"
    SELECT = "select"
    INFER = "infer"
    ENCODE = "encode"
    KEEP = "keep"
    DELIVER = "deliver"
    CONFIRM = "confirm"


class Sent(StrEnum):
    """Where the results of a study stand with one target."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    FAILED = "failed"


RELIABILITY = ("high", "moderate", "low")
"""From the best to the one that a person must look at first."""


@dataclass(frozen=True)
class Review:
    """How much a result needs a person's eyes.

    Attributes:
        reliability: The worst of its structures.
        uncertain_share: Uncertain share of the structures and their surroundings, in [0, 1].
        reasons: What keeps the reliability from being high, as slugs.
    """

    reliability: str
    uncertain_share: float
    reasons: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """In [0, 1]: by reliability first, then by the uncertain share; 1 is looked at first."""
        return (RELIABILITY.index(self.reliability) + min(self.uncertain_share, 1.0)) / len(RELIABILITY)

    @classmethod
    def of(cls, summary: Summary) -> "Review":
        """Say how much a result needs it."""
        worst = max((found.reliability for found in summary.segments), key=RELIABILITY.index, default=RELIABILITY[0])
        reasons = dict.fromkeys(reason for found in summary.segments for reason in found.reasons)
        return cls(worst, round(summary.uncertain.share, 4), tuple(reasons))


@dataclass(frozen=True)
class ResultRef:
    """A result, by its names.

    Attributes:
        sop_class_uid: SOPClassUID.
        sop_instance_uid: SOPInstanceUID. Never logged.
    """

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True)
class StudyRecord:
    """One study.

    Attributes:
        study_uid: StudyInstanceUID. Never logged.
        name: A keyed hash of it, which may be logged.
        received_seconds: When its last instance came, since 1970.
        state: Where it stands.
        run: How often it has been begun; 0 while it is received.
        considered_seconds: ``received_seconds`` of the run's last instance: what came later may begin another.
        step: The step that is being done, or was when it ended.
        task: Asked for, or chosen by the rules; empty while neither is known.
        priority: Who goes first.
        reason: Why nothing is done, or what is waited for.
        queued_seconds: When the run was accepted, since 1970.
        started_seconds: When it was begun.
        finished_seconds: When it ended.
        failure: Why it failed.
        review: How much the result needs a person's eyes.
        results: The instances that were made, which the archive holds.
        targets: Where they stand with each target.
        images_purged: Whether the images are gone by now.
        order: Who has the study to itself, a workitem for instance; empty where nobody has.
        order_begun: Whether the present run is the one that this order is about.
        attributes: Of patient and request, as DICOM JSON, that results take before those of the images. Never logged.
    """

    study_uid: str
    name: str
    received_seconds: float
    state: StudyState = StudyState.RECEIVING
    run: int = 0
    considered_seconds: float | None = None
    step: str = ""
    task: str = ""
    priority: Priority = Priority.ROUTINE
    reason: str = ""
    queued_seconds: float | None = None
    started_seconds: float | None = None
    finished_seconds: float | None = None
    failure: Failure | None = None
    review: Review | None = None
    results: tuple[ResultRef, ...] = ()
    targets: Mapping[str, Sent] = field(default_factory=dict)
    images_purged: bool = False
    order: str = ""
    order_begun: bool = False
    attributes: Json = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Name of the present run."""
        return f"{self.name}-{self.run}"
