"""Where jobs are kept: the promise, and the store of one process."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from entrust.errors import ConflictError, NotFoundError, OverloadedError
from service.jobs.job import MOVES, Failure, Job, JobState, Product, ProductInfo, Progress
from service.jobs.shelf import MemoryShelf, Shelf
from service.observability.logs import get_logger

log = get_logger(__name__)


@dataclass(frozen=True)
class StoreCounts:
    """What a store holds, and how many more jobs may wait in it."""

    room: int
    by_state: Mapping[JobState, int]
    retained_bytes: int


class JobStore(Protocol):
    """Keeps jobs and results; every implementation passes the same conformance tests."""

    async def add(self, job: Job) -> Job:
        """Accept a new queued job.

        Raises:
            OverloadedError: As many jobs are queued as may be.
        """
        ...

    async def get(self, job_id: str) -> Job:
        """Return the job's present value.

        Raises:
            NotFoundError: No such job, or it has expired.
        """
        ...

    async def progress(self, job_id: str, progress: Progress) -> Job:
        """Record how far a running job is.

        Raises:
            ConflictError: The job is not running.
            NotFoundError: No such job.
        """
        ...

    async def move(
        self, job_id: str, state: JobState, *, failure: Failure | None = None, products: Sequence[Product] = ()
    ) -> Job:
        """Bring the job into another state, with its results or the reason why there are none.

        Raises:
            ConflictError: :data:`MOVES` does not allow it.
            NotFoundError: No such job.
        """
        ...

    async def product(self, job_id: str, name: str) -> Product:
        """Return one file of the results.

        Raises:
            NotFoundError: No such job or file.
        """
        ...

    def watch(self, job_id: str, *, after_version: int = 0) -> AsyncIterator[Job]:
        """Yield every value of the job after ``after_version``, in order, up to its final one.

        Raises:
            NotFoundError: No such job.
        """
        ...

    async def remove(self, job_id: str) -> None:
        """Forget a job in a final state, and its results.

        Raises:
            ConflictError: It is not in a final state.
            NotFoundError: No such job.
        """
        ...

    async def counts(self) -> StoreCounts:
        """Return what is held."""
        ...


class _Record:
    """A job's history, the shelf with its results, and a bell that rings at each change."""

    def __init__(self, job: Job, shelf: Shelf) -> None:
        self.history = [job]
        self.shelf = shelf
        self.changed = asyncio.Event()

    @property
    def job(self) -> Job:
        return self.history[-1]

    @property
    def size_bytes(self) -> int:
        return sum(info.size_bytes for info in self.job.products)

    def after(self, version: int) -> Sequence[Job]:
        """Return the values that came after a version; of a job of an earlier process only the last is known."""
        return self.history[max(0, version - self.history[0].version + 1) :]

    def append(self, job: Job) -> Job:
        self.history.append(replace(job, version=self.job.version + 1))
        self.changed.set()
        self.changed = asyncio.Event()
        return self.job


class LocalJobStore:
    """A store for one process. What waits or runs ends with it; finished jobs live as long as the shelf.

    Args:
        max_queued: Jobs that may wait.
        retention_seconds: How long a finished job is kept.
        retention_bytes: Results kept in all; the oldest go first, the newest always stays.
        shelf: Where results lie; in memory when not given.
        found: Finished jobs whose results lie there already.
        clock: Unix time in seconds.
    """

    def __init__(
        self,
        *,
        max_queued: int,
        retention_seconds: float,
        retention_bytes: int,
        shelf: Shelf | None = None,
        found: Iterable[Job] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._max_queued = max_queued
        self._retention_seconds = retention_seconds
        self._retention_bytes = retention_bytes
        self._clock = clock
        self._shelf = shelf or MemoryShelf()
        self._records = {job.id: _Record(job, self._shelf) for job in found}

    async def add(self, job: Job) -> Job:
        """See :class:`JobStore`."""
        await self._expire()
        if self._count(JobState.QUEUED) >= self._max_queued:
            raise OverloadedError(f"{self._max_queued} jobs are waiting already.", retry_after_seconds=10.0)
        self._records[job.id] = _Record(job, self._shelf)
        return job

    async def get(self, job_id: str) -> Job:
        """See :class:`JobStore`."""
        return (await self._record(job_id)).job

    async def progress(self, job_id: str, progress: Progress) -> Job:
        """See :class:`JobStore`."""
        record = await self._record(job_id)
        if record.job.state is not JobState.RUNNING:
            raise ConflictError(f"A job that is {record.job.state} makes no progress.")
        if record.job.progress == progress:
            return record.job
        return record.append(replace(record.job, progress=progress))

    async def move(
        self, job_id: str, state: JobState, *, failure: Failure | None = None, products: Sequence[Product] = ()
    ) -> Job:
        """See :class:`JobStore`."""
        record = await self._record(job_id)
        job, now = record.job, self._clock()
        if state not in MOVES[job.state]:
            raise ConflictError(f"A job that is {job.state} cannot become {state}.")
        moved = replace(
            job,
            state=state,
            failure=failure,
            started_at_seconds=now if state is JobState.RUNNING else job.started_at_seconds,
            finished_at_seconds=now if state.final else None,
            products=tuple(ProductInfo(p.name, p.media_type, len(p.content)) for p in products),
        )
        if products:
            await self._shelve(record, moved, products)
        moved = record.append(moved)
        await self._expire()
        return moved

    async def product(self, job_id: str, name: str) -> Product:
        """See :class:`JobStore`."""
        record = await self._record(job_id)
        try:
            return await asyncio.to_thread(record.shelf.take, record.job, name)
        except (KeyError, FileNotFoundError):
            raise NotFoundError(
                "The job has no result of that name.", fix="Read the job: it lists its results."
            ) from None

    async def watch(self, job_id: str, *, after_version: int = 0) -> AsyncIterator[Job]:
        """See :class:`JobStore`."""
        record = await self._record(job_id)
        # The record is held here: a watcher sees the end even when the job is forgotten meanwhile.
        seen = after_version
        while True:
            changed = record.changed
            for job in record.after(seen):
                seen = job.version
                yield job
            if record.job.state.final and seen >= record.job.version:
                return
            if seen >= record.job.version:
                await changed.wait()

    async def remove(self, job_id: str) -> None:
        """See :class:`JobStore`."""
        if not (await self._record(job_id)).job.state.final:
            raise ConflictError("The job has not ended yet.", fix="Cancel it first.")
        await self._forget([job_id])

    async def counts(self) -> StoreCounts:
        """See :class:`JobStore`."""
        await self._expire()
        return StoreCounts(
            self._max_queued - self._count(JobState.QUEUED),
            {state: self._count(state) for state in JobState},
            sum(r.size_bytes for r in self._records.values()),
        )

    async def _shelve(self, record: _Record, job: Job, products: Sequence[Product]) -> None:
        """Keep results before anybody hears that they are there; in memory where the shelf has no room for them."""
        try:
            await asyncio.to_thread(record.shelf.put, replace(job, version=job.version + 1), products)
        except OSError as error:
            log.error("results-not-written", job_id=job.id, reason=os.strerror(error.errno or 0))
            record.shelf = MemoryShelf()
            record.shelf.put(job, products)

    async def _forget(self, job_ids: Sequence[str]) -> None:
        """Forget jobs at once, then their results, which may take a disk its time."""
        shelves = [(self._records.pop(job_id).shelf, job_id) for job_id in job_ids]

        def drop() -> None:
            for shelf, job_id in shelves:
                shelf.drop(job_id)

        await asyncio.to_thread(drop)

    def _count(self, state: JobState) -> int:
        return sum(r.job.state is state for r in self._records.values())

    async def _record(self, job_id: str) -> _Record:
        await self._expire()
        try:
            return self._records[job_id]
        except KeyError:
            raise NotFoundError(
                "There is no job of that id.",
                fix=f"Finished jobs are kept for {self._retention_seconds:.0f} seconds.",
            ) from None

    async def _expire(self) -> None:
        """Forget finished jobs that are too old, then the oldest while results take too much room."""
        now = self._clock()
        finished = sorted(
            ((r.job.finished_at_seconds, job_id) for job_id, r in self._records.items() if r.job.finished_at_seconds),
        )
        sizes = {job_id: self._records[job_id].size_bytes for _, job_id in finished}
        total, expired = sum(sizes.values()), []
        for index, (finished_at, job_id) in enumerate(finished):
            too_old = now - finished_at > self._retention_seconds
            too_much = total > self._retention_bytes and index + 1 < len(finished)
            if too_old or too_much:
                expired.append(job_id)
                total -= sizes[job_id]
        if expired:
            await self._forget(expired)
