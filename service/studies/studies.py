"""The studies of an archive: what doors, commands and other rooms may ask of them."""

import asyncio
import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from entrust.contract import get_task
from entrust.errors import ConflictError, InvalidInputError, NotFoundError
from service.archive import Archive
from service.archive.retention import delete_study
from service.delivery import Delivery
from service.dicom_json import Json
from service.ingest import IngestLimits
from service.jobs.job import Priority
from service.observability.logs import describe_exception, get_logger
from service.observability.metrics import Metrics
from service.pipeline import Pipeline
from service.selection import Rules
from service.studies.engine import Engine, EngineSettings, Retries
from service.studies.orders import Orders
from service.studies.record import Sent, StudyRecord, StudyState
from service.studies.records import StudyRecords
from service.studies.steps import FOLDER, Steps, StudyParameters
from service.studies.tables import database_url, open_tables
from service.studies.transitions import Listener, Move, Transition, Transitions
from service.studies.watcher import LOOK_SECONDS, Watcher
from service.studies.workflows import Workflows

log = get_logger(__name__)
DATABASE_FILE = "studies-1.sqlite"
LOCK_FILE = "studies.lock"
LOCK_SECONDS = 30.0
"""How long the gateway before this one may take to end."""
POLL_SECONDS = 0.2
HOUSEKEEPING_SECONDS = 5.0


@dataclass(frozen=True)
class StudiesSettings:
    """How studies are worked on.

    Attributes:
        parameters: What is asked of every study.
        engine: How work is done again.
        concurrency: Studies at a time.
        deliveries: Deliveries to one target at a time.
        delivery_retries: How often the steps of a delivery are tried again; as all others when None.
        max_seconds: Longest duration of one attempt at a step.
        images_seconds: How long images stay after their study has ended; for ever when None.
        results_seconds: How long results and the record stay; for ever when None.
    """

    parameters: StudyParameters = field(default_factory=StudyParameters)
    engine: EngineSettings = field(default_factory=EngineSettings)
    concurrency: int = 1
    deliveries: int = 8
    delivery_retries: Retries | None = None
    max_seconds: float = 1800.0
    images_seconds: float | None = None
    results_seconds: float | None = None


class Studies:
    """Works on the studies of one archive; made by :func:`open_studies`.

    Args:
        archive: The archive.
        records: Say where each study stands.
        workflows: Do the work.
        transitions: Hears of every move.

    Attributes:
        orders: Takes orders for studies.
    """

    def __init__(self, archive: Archive, records: StudyRecords, workflows: Workflows, transitions: Transitions) -> None:
        self._archive = archive
        self._records = records
        self._workflows = workflows
        self._transitions = transitions
        self.orders = Orders(archive, records, self.begin, workflows.cancel)

    async def submit(self, study_uid: str, *, task: str | None = None, priority: Priority | None = None) -> str:
        """Begin a study at once, complete or not; where a run of it goes on, that is the answer.

        Args:
            study_uid: StudyInstanceUID of a study in the archive.
            task: The task; chosen by the rules when None.
            priority: Who goes first; routine when None.

        Returns:
            Id of the run, for :meth:`status` and :meth:`await_end`.

        Raises:
            NotFoundError: No such study, or no such task.
        """
        name = task and get_task(task).name
        return await asyncio.to_thread(self._submit, study_uid, name or "", priority or Priority.ROUTINE)

    async def status(self, record_id: str) -> StudyRecord:
        """Return where a run stands, or the run that came after it.

        Raises:
            NotFoundError: There is no such study.
        """
        return await asyncio.to_thread(self._records.get, name=record_id.rpartition("-")[0] or record_id)

    async def await_end(self, record_id: str) -> StudyRecord:
        """Wait until a run has ended.

        Raises:
            NotFoundError: There is no such study.
        """
        while (record := await self.status(record_id)).id == record_id and record.state.active:
            await asyncio.sleep(POLL_SECONDS)
        return record

    async def get(self, study_uid: str) -> StudyRecord:
        """Return the record of a study.

        Raises:
            NotFoundError: There is no such study.
        """
        return await asyncio.to_thread(self._records.get, study_uid=study_uid)

    async def worklist(
        self, states: Sequence[StudyState] = (), *, limit: int = 100, offset: int = 0
    ) -> tuple[list[StudyRecord], int]:
        """Return studies by priority and by how much their results need a person's eyes, and how many there are."""
        return await asyncio.to_thread(self._records.find, states, limit=limit, offset=offset)

    async def restart(self, study_uid: str) -> StudyRecord:
        """Begin a study again that has ended; where only delivery failed, only that is done again.

        Raises:
            NotFoundError: There is no such study, or its images are gone.
            ConflictError: It has not ended, or an order has it.
        """
        return await asyncio.to_thread(self._restart, study_uid)

    async def cancel(self, study_uid: str) -> StudyRecord:
        """End a study that waits or is worked on.

        Raises:
            NotFoundError: There is no such study.
            ConflictError: It has not been begun, or has ended.
        """
        record = await self.get(study_uid)
        if not record.state.active or not await asyncio.to_thread(self._workflows.cancel, record):
            raise ConflictError(f"The study is {record.state}; only one that is queued or running can be cancelled.")
        return await self.get(study_uid)

    def begin(
        self, record: StudyRecord, priority: Priority, task: str = "", attributes: Json | None = None, order: str = ""
    ) -> StudyRecord:
        """Begin a run, unless one goes on or somebody else has the study, and return the record. Blocks."""
        received = self._archive.index.last_received(record.study_uid) or record.received_seconds
        record, begun = self._records.begin(
            record.name, priority=priority, task=task, considered_seconds=received, attributes=attributes, order=order
        )
        return self._accept(record) if begun else record

    def _accept(self, record: StudyRecord) -> StudyRecord:
        self._transitions.tell(Transition(record.id, record.study_uid, Move.ACCEPTED, task=record.task))
        self._workflows.begin(record)
        return record

    def _submit(self, study_uid: str, task: str, priority: Priority) -> str:
        self._archive.flush()
        received = self._archive.index.last_received(study_uid)
        if received is None:
            raise NotFoundError("The archive holds no such study.", fix="Store its images first.")
        record, _ = self._records.see(study_uid, self._archive.files.name(study_uid), received)
        return self.begin(record, priority, task).id

    def _restart(self, study_uid: str) -> StudyRecord:
        record = self._records.get(study_uid=study_uid)
        if not record.state.final:
            raise ConflictError(
                f"The study is {record.state}; only one that has ended can be restarted.", fix="Cancel it first."
            )
        if record.order:
            raise ConflictError("Somebody has ordered the study.", fix="Wait until the order is over.")
        if record.state is StudyState.FAILED and Sent.FAILED in record.targets.values():
            record, begun = self._records.begin_delivery(record.name)
            return self._accept(record) if begun else record
        if record.images_purged:
            raise NotFoundError("The study's images are gone by now.", fix="Send the study again.")
        return self.begin(record, record.priority, record.task, record.attributes)


class Housekeeping:
    """What is done now and then: repairs, numbers, and the removal of what has been kept long enough.

    Args:
        archive: The archive.
        records: Say where each study stands.
        workflows: Repairs what fell between two commits.
        engine: Forgets what is over.
        steps: Have work folders.
        transitions: Hears of what is purged.
        metrics: Hears how many studies there are.
        settings: How long things are kept.
    """

    def __init__(
        self,
        archive: Archive,
        records: StudyRecords,
        workflows: Workflows,
        engine: Engine,
        steps: Steps,
        transitions: Transitions,
        metrics: Metrics,
        settings: StudiesSettings,
    ) -> None:
        self._archive = archive
        self._records = records
        self._workflows = workflows
        self._engine = engine
        self._steps = steps
        self._transitions = transitions
        self._metrics = metrics
        self._settings = settings

    def once(self, now: float | None = None) -> None:
        """Do all of it once."""
        now = time.time() if now is None else now
        self._workflows.repair()
        left = self._steps.folders()  # before the records: a run that begins meanwhile must not lose its folder
        for record_id in set(left) - {record.id for record in self._records.active()}:
            self._steps.clear(record_id)
        self._purge(now)
        oldest = self._records.oldest_queued_seconds()
        counts = {state.value: number for state, number in self._records.counts().items()}
        self._metrics.studies(counts, oldest_queued_seconds=max(now - oldest, 0.0) if oldest else 0.0)

    def _purge(self, now: float) -> None:
        settings = self._settings
        if settings.images_seconds is not None:
            until = now - settings.images_seconds
            for record in self._records.over(until, with_images=True):
                results = {ref.sop_instance_uid for ref in record.results}
                delete_study(self._archive, record.study_uid, but=results, received_until=until)
                self._records.purged(record.name)
                self._transitions.tell(Transition(record.id, record.study_uid, Move.PURGED, task=record.task))
        if settings.results_seconds is not None:
            until = now - settings.results_seconds
            for record in self._records.over(until, with_images=False):
                delete_study(self._archive, record.study_uid, received_until=until)
                self._engine.forget(f"{record.name}-")
                self._records.forget(record.name)


@contextlib.asynccontextmanager
async def open_studies(
    archive: Archive,
    pipeline: Pipeline,
    rules: Rules,
    limits: IngestLimits,
    metrics: Metrics,
    delivery: Delivery,
    settings: StudiesSettings,
    *,
    url: str = "",
    listeners: Sequence[Listener] = (),
) -> AsyncIterator[Studies]:
    """Work on the studies of an archive until the end of the block; what is under way then goes on the next time.

    Args:
        archive: The archive.
        pipeline: The one way to infer.
        rules: When a study is complete, and for what.
        limits: Bounds on what is read.
        metrics: Hears of everything.
        delivery: Hands results over.
        settings: How studies are worked on.
        url: The database; a file in the archive's folder when empty.
        listeners: Hear of every move.

    Raises:
        InvalidInputError: The database cannot be used, or another gateway works on this archive's studies.
    """
    folder = archive.files.folder
    where = database_url(url or f"sqlite:///{folder / DATABASE_FILE}")
    transitions = Transitions(metrics, *listeners)
    async with _sole(folder / LOCK_FILE):
        owner = f"entrust-{archive.files.name('')[:16]}"
        records = StudyRecords(await asyncio.to_thread(open_tables, where, owner))
        steps = Steps(archive, pipeline, rules, limits, settings.parameters, metrics)
        engine = Engine(where, owner, settings.engine)
        workflows = Workflows(
            engine, records, steps, delivery, transitions,
            max_seconds=settings.max_seconds, delivery_retries=settings.delivery_retries,
        )  # fmt: skip
        studies = Studies(archive, records, workflows, transitions)
        looks = folder / f"{FOLDER}-looks"
        watcher = Watcher(archive, records, rules, limits, looks, studies.begin)
        housekeeping = Housekeeping(archive, records, workflows, engine, steps, transitions, metrics, settings)
        shutil.rmtree(looks, ignore_errors=True)
        await workflows.start(concurrency=settings.concurrency, deliveries=settings.deliveries)
        stop = asyncio.Event()
        background = [
            asyncio.create_task(repeat(watcher.look, LOOK_SECONDS, stop), name="studies-watcher"),
            asyncio.create_task(repeat(housekeeping.once, HOUSEKEEPING_SECONDS, stop), name="studies-housekeeping"),
        ]
        try:
            yield studies
        finally:
            stop.set()
            await asyncio.gather(*background)
            await asyncio.to_thread(engine.stop)


async def repeat(work: Callable[[], None], seconds: float, stop: asyncio.Event) -> None:
    """Do some work in a thread, now and again, until told to stop; what is being done then is done to its end."""
    while not stop.is_set():
        try:
            await asyncio.to_thread(work)
        except Exception as error:  # the boundary of background work: the next time may do better
            log.error("study-background-broke", **describe_exception(error))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)


@contextlib.asynccontextmanager
async def _sole(path: Path) -> AsyncIterator[None]:
    """Hold the lock of those who work on an archive's studies: there is one at a time.

    Raises:
        InvalidInputError: Another one does.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        give_up_at = time.monotonic() + LOCK_SECONDS
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if time.monotonic() >= give_up_at:
                raise InvalidInputError(
                    "Another gateway works on the studies of this archive.",
                    fix="Stop it, or set ENTRUST_STUDIES__ENABLED=false for this one.",
                )
            await asyncio.sleep(POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)
