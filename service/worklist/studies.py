"""What does the work of a workitem, as the worklist sees it."""

from dataclasses import dataclass
from typing import Protocol

from entrust.errors import ErrorKind
from service.dicom_json import Json
from service.jobs.job import JobState


@dataclass(frozen=True)
class ResultInstance:
    """An instance that was made, and that the archive holds. Never logged.

    Attributes:
        study_uid: StudyInstanceUID.
        series_uid: SeriesInstanceUID.
        sop_class_uid: SOPClassUID.
        sop_uid: SOPInstanceUID.
    """

    study_uid: str
    series_uid: str
    sop_class_uid: str
    sop_uid: str


@dataclass(frozen=True)
class StudyEnd:
    """How the work ended.

    Attributes:
        state: A final state.
        reason: Why there are no results, free of patient data; empty where there are some.
        kind: Kind of the error; ``None`` where there are results.
        results: What was made.
    """

    state: JobState
    reason: str = ""
    kind: ErrorKind | None = None
    results: tuple[ResultInstance, ...] = ()


class Studies(Protocol):
    """Segments studies that the archive holds."""

    async def submit(
        self,
        study_uid: str,
        *,
        task: str | None = None,
        priority: str | None = None,
        attributes: Json | None = None,
    ) -> str:
        """Begin with a study; the same study and attributes again give the same results.

        Args:
            study_uid: StudyInstanceUID.
            task: Task name; the selection rules choose when not given.
            priority: ``stat`` or ``routine``; the rules decide when not given.
            attributes: Attributes of patient and request, as DICOM JSON, that results take before those of the images;
                an empty one is taken, too.

        Returns:
            What to wait for.

        Raises:
            EnTrustError: It cannot be begun.
        """
        ...

    async def await_end(self, work_id: str) -> StudyEnd:
        """Wait for the end."""
        ...

    async def cancel(self, work_id: str) -> None:
        """Take it back, where it has not ended."""
        ...
