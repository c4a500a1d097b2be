"""What does the work of a workitem, as the worklist sees it: studies that are ordered."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from entrust.errors import ErrorKind
from service.archive import Archive
from service.dicom_json import Json
from service.jobs.job import JobState, Priority
from service.studies import StudyState
from service.studies.orders import Orders

POLL_SECONDS = 0.2
OnStep = Callable[[str], Awaitable[None]]
"""Told of each step that begins (:class:`service.studies.record.Step`)."""


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
    """Segments studies by order. An order is a name that outlives a kill, and every call may be repeated."""

    async def hold(self, order: str, study_uid: str) -> bool:
        """Have a study to oneself; wait while somebody else has it.

        Args:
            order: The order.
            study_uid: StudyInstanceUID; the archive need not have anything of it yet.

        Returns:
            Whether its work was begun before.
        """
        ...

    async def submit(self, order: str, *, task: str, priority: str, attributes: Json) -> None:
        """Begin the work; the same study and attributes again give the same results.

        Args:
            order: The order; it has a study.
            task: Task name; the selection rules choose when empty.
            priority: ``stat`` or ``routine``.
            attributes: Attributes of patient and request, as DICOM JSON, that results take before those of the images;
                an empty one is taken, too.

        Raises:
            EnTrustError: It cannot be begun.
        """
        ...

    async def await_end(self, order: str, on_step: OnStep) -> StudyEnd:
        """Wait for the end: results are made, and have been handed over to everybody who is to have them.

        Raises:
            NotFoundError: Nobody knows of the order any more.
        """
        ...

    async def cancel(self, order: str) -> None:
        """Take the work back, where it has not ended."""
        ...

    async def release(self, order: str) -> None:
        """Let the study go; work that has not ended is taken back."""
        ...

    async def retain(self, orders: Collection[str]) -> None:
        """Let the studies of all other orders go."""
        ...


class OrderedStudies:
    """The studies of this gateway's archive.

    Args:
        orders: Takes orders.
        archive: Holds what is made.
    """

    def __init__(self, orders: Orders, archive: Archive) -> None:
        self._orders = orders
        self._archive = archive
        self.hold, self.cancel, self.release, self.retain = orders.hold, orders.cancel, orders.release, orders.retain

    async def submit(self, order: str, *, task: str, priority: str, attributes: Json) -> None:
        """Begin the work.

        Raises:
            NotFoundError: The archive has nothing of the study.
        """
        await self._orders.submit(order, task=task, priority=Priority(priority), attributes=attributes)

    async def await_end(self, order: str, on_step: OnStep) -> StudyEnd:
        """Wait for the end.

        Raises:
            NotFoundError: Nobody knows of the order any more.
        """
        step = ""
        while (record := await self._orders.get(order)).state.active:
            if record.step != step:
                step = record.step
                await on_step(step)
            await asyncio.sleep(POLL_SECONDS)
        if record.state is not StudyState.SUCCEEDED:
            failure = record.failure
            state = JobState.CANCELLED if record.state is StudyState.CANCELLED else JobState.FAILED
            return StudyEnd(state, failure.message if failure else "", failure.kind if failure else ErrorKind.INTERNAL)
        located = await asyncio.to_thread(self._archive.locate, record.study_uid)
        series = {one.sop_uid: one.series_uid for one in located}
        made = [(ref.sop_class_uid, ref.sop_instance_uid) for ref in record.results]
        results = tuple(ResultInstance(record.study_uid, series[uid], kind, uid) for kind, uid in made)
        return StudyEnd(JobState.SUCCEEDED, results=results)
