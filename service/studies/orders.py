"""Studies that somebody orders, a worklist for instance: who orders has the study to itself until it is released.

An order is a name that the caller chooses, and knows again after a kill: every call may be repeated, and waits for a
database that is away. While an order has a study, the rules begin nothing of it, whatever arrives; runs of one study
that several order come one after the other.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from typing import ParamSpec, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from entrust.errors import NotFoundError
from service.archive import Archive
from service.dicom_json import Json
from service.jobs.job import Priority
from service.observability.logs import describe_exception, get_logger
from service.studies.record import StudyRecord, StudyState
from service.studies.records import StudyRecords

log = get_logger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
HOLD_SECONDS = 0.2
"""Between two looks at a study that somebody else has."""
AWAY_SECONDS = 2.0
"""Between two attempts to reach the database."""
WAITS = "It was ordered, and its images are being fetched."
LEFT = "It was ordered, and the order was taken back before its images were all here."
Begin = Callable[[StudyRecord, Priority, str, Json, str], object]
"""Begins a run: of which study, who goes first, the task, attributes of patient and request, the order."""


class Orders:
    """Takes orders.

    Args:
        archive: Holds the studies.
        records: Say where each study stands, and who has it.
        begin: Begins a run. Blocks.
        cancel: Ends one. Blocks.
    """

    def __init__(
        self, archive: Archive, records: StudyRecords, begin: Begin, cancel: Callable[[StudyRecord], object]
    ) -> None:
        self._archive = archive
        self._records = records
        self._begin = begin
        self._cancel = cancel

    async def hold(self, order: str, study_uid: str) -> bool:
        """Have a study to oneself, whether the archive has something of it yet or not; wait while somebody else has it.

        Args:
            order: The order.
            study_uid: StudyInstanceUID.

        Returns:
            Whether the run that was ordered has been begun already, before a kill for instance.
        """
        while (begun := await _insist(self._hold, order, study_uid)) is None:
            await asyncio.sleep(HOLD_SECONDS)
        return begun

    async def submit(self, order: str, *, task: str = "", priority: Priority, attributes: Json) -> None:
        """Begin the run, once.

        Args:
            order: The order; it has the study.
            task: The task; chosen by the rules when empty.
            priority: Who goes first.
            attributes: Of patient and request, as DICOM JSON, that results take before those of the images.

        Raises:
            NotFoundError: The order has no study, or the archive has nothing of it.
        """
        await _insist(self._submit, order, task, priority, attributes)

    async def get(self, order: str) -> StudyRecord:
        """Return the study of an order.

        Raises:
            NotFoundError: It has none.
        """
        record = await _insist(self._records.ordered, order)
        if record is None:
            raise NotFoundError("The order has no study here any more.", fix="Order it again.")
        return record

    async def cancel(self, order: str) -> None:
        """End the run; one that has ended stays as it is."""
        await _insist(self._end, order)

    async def release(self, order: str) -> None:
        """Let the study go; its run, where it has not ended, is cancelled."""
        await _insist(self._release, order)

    async def retain(self, orders: Collection[str]) -> None:
        """Let the studies of all other orders go: nobody knows of those any more."""
        for order in await _insist(self._records.holders):
            if order not in orders:
                await self.release(order)

    def _hold(self, order: str, study_uid: str) -> bool | None:
        record = self._records.ordered(order)
        if record is None:
            name = self._archive.files.name(study_uid)
            received_seconds = self._archive.index.last_received(study_uid) or time.time()
            record, _ = self._records.see(study_uid, name, received_seconds)
            if not self._records.hold(name, order):
                return None
            self._records.assess(name, StudyState.RECEIVING, WAITS)
            return False
        return record.order_begun

    def _submit(self, order: str, task: str, priority: Priority, attributes: Json) -> None:
        record = self._records.ordered(order)
        if record is not None and record.order_begun:
            return
        self._archive.flush()
        if record is None or self._archive.index.last_received(record.study_uid) is None:
            raise NotFoundError("The archive does not hold the study.", fix="Store its images first.")
        self._begin(record, priority, task, attributes, order)

    def _end(self, order: str) -> None:
        record = self._records.ordered(order)
        if record is not None and record.order_begun and record.state.active:
            self._cancel(record)

    def _release(self, order: str) -> None:
        self._end(order)
        record = self._records.ordered(order)
        if record is None:
            return
        if not record.order_begun:  # what has come of it came for the order alone
            self._archive.flush()
            received_seconds = self._archive.index.last_received(record.study_uid)
            if received_seconds is None and record.run == 0:
                self._records.forget(record.name)
                return
            assessed_seconds = max(received_seconds or 0.0, record.received_seconds)
            self._records.assess(record.name, StudyState.IGNORED, LEFT, assessed_seconds=assessed_seconds)
        self._records.release(order)


async def _insist(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do something in a thread, again and again until the database takes part."""
    while True:
        try:
            return await asyncio.to_thread(work, *args, **kwargs)
        except SQLAlchemyError as error:
            log.warning("study-database-away", **describe_exception(error))
            await asyncio.sleep(AWAY_SECONDS)
