"""The queue's worker: takes jobs in turn, runs them with a deadline, and writes down how they end."""

import asyncio
import itertools
import secrets
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from entrust.errors import (
    CancelledError,
    ConflictError,
    DeadlineExceededError,
    EnTrustError,
    InternalError,
    OverloadedError,
)
from service import audit
from service.allocator import return_freed_memory
from service.jobs.job import Failure, Job, JobState, Priority, Product, Progress
from service.jobs.store import JobStore, StoreCounts
from service.observability.logs import describe_exception, get_logger
from service.observability.metrics import Metrics
from service.observability.traces import NO_SPAN, Span, start_span, use

log = get_logger(__name__)

TRACED_PARAMETERS = frozenset({"num_hypotheses", "num_steps", "sampler"})
OnProgress = Callable[[str, int, int], None]
"""Told of a stage, the steps of it that are finished, and their number."""


class Work(Protocol):
    """What a job does; raises :class:`EnTrustError` when it cannot."""

    async def __call__(self, *, on_progress: OnProgress, cancelled: asyncio.Event) -> Sequence[Product]:
        """Do it, looking at ``cancelled`` between steps."""
        ...


@dataclass(frozen=True)
class Order:
    """A job to be done.

    Attributes:
        task: Task name.
        parameters: What was asked, for the listing.
        work: What to do.
        folder: Private folder of the upload; deleted when the job ends.
        deadline_seconds: Time from acceptance to the end, waiting included.
        priority: Who goes first.
        received_seconds: How long it took to come in, where that is known.
    """

    task: str
    parameters: Mapping[str, str | int | float]
    work: Work
    folder: Path | None
    deadline_seconds: float
    priority: Priority = Priority.ROUTINE
    received_seconds: float | None = None


@dataclass(eq=False)
class _Ticket:
    """A job that has not ended; its span is part of the request's trace, and outlives the request."""

    job: Job
    order: Order
    cancelled: asyncio.Event
    expires_at: float
    span: Span
    about: audit.About
    queued: Span = NO_SPAN
    expiry: asyncio.Task[None] | None = None
    """Ends the job at its deadline while it waits; whoever takes the job out of the queue cancels this first."""

    def leave_queue(self) -> None:
        """Note that the deadline is somebody else's care from now on."""
        if self.expiry is not None:
            self.expiry.cancel()


class JobRunner:
    """Runs jobs, ``concurrency`` at a time.

    Args:
        store: Where jobs are kept.
        metrics: Told of states and ends.
        concurrency: Jobs that run at a time.
    """

    def __init__(self, store: JobStore, metrics: Metrics, *, concurrency: int) -> None:
        self.store = store
        self._metrics = metrics
        self._concurrency = concurrency
        self._queue: asyncio.PriorityQueue[tuple[int, int, str]] = asyncio.PriorityQueue()
        self._turn = itertools.count()
        self._tickets: dict[str, _Ticket] = {}
        self._workers: list[asyncio.Task[None]] = []
        self.stopping = False

    async def start(self) -> None:
        """Start the workers."""
        self._workers = [asyncio.create_task(self._serve(), name=f"jobs-{i}") for i in range(self._concurrency)]

    async def stop(self, grace_seconds: float) -> None:
        """Take nothing new, cancel what waits, let running jobs end within ``grace_seconds``, cancel what is left."""
        self.stopping = True
        for ticket in list(self._tickets.values()):
            if (await self.store.get(ticket.job.id)).state is JobState.QUEUED:
                await self.cancel(ticket.job.id)
        deadline = time.monotonic() + grace_seconds
        while self._tickets and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        for ticket in self._tickets.values():
            ticket.cancelled.set()
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    async def submit(self, order: Order) -> Job:
        """Accept a job; its folder is the runner's from now on, also when it is refused.

        Raises:
            OverloadedError: The queue is full.
        """
        job = Job(
            id=secrets.token_hex(16),
            task=order.task,
            parameters=order.parameters,
            priority=order.priority,
            created_at_seconds=time.time(),
        )
        try:
            await self.store.add(job)
        except EnTrustError:
            self._metrics.job_rejected()
            await _wipe(order.folder)
            raise
        expires_at = time.monotonic() + order.deadline_seconds
        known = replace(audit.current(), job_id=job.id)
        ticket = _Ticket(job, order, asyncio.Event(), expires_at, _start_span(order), known)
        ticket.queued = start_span("queued", parent=ticket.span)
        self._tickets[job.id] = ticket
        ticket.expiry = asyncio.create_task(self._expire(ticket), name="job-deadline")
        self._queue.put_nowait((order.priority.rank, next(self._turn), job.id))
        self._metrics.job_accepted(task=order.task, priority=order.priority.value)
        audit.record(audit.Event(hop=audit.Hop.RECEIVED, job_id=job.id, duration_seconds=order.received_seconds))
        await self._count()
        return job

    async def cancel(self, job_id: str) -> Job:
        """Take a job back: a queued one ends at once, a running one after its present step.

        Raises:
            NotFoundError: No such job.
            ConflictError: It has ended already.
        """
        job = await self.store.get(job_id)
        if job.state.final:
            raise ConflictError(f"The job has {job.state} already.")
        ticket = self._tickets.get(job_id)
        if ticket is not None:
            ticket.cancelled.set()
            ticket.leave_queue()
        if job.state is JobState.QUEUED:
            with use(ticket.span if ticket else NO_SPAN):
                return await self._end(job_id, JobState.CANCELLED, failure=Failure.of(_taken_back()))
        return await self.store.get(job_id)

    async def finished(self, job_id: str) -> Job:
        """Wait for the job's end and return its final value."""
        job = await self.store.get(job_id)
        async for value in self.store.watch(job_id, after_version=job.version):
            job = value
        return job

    async def counts(self) -> StoreCounts:
        """Return what the store holds, and tell the metrics."""
        return await self._count()

    async def require_room(self) -> None:
        """Refuse early, before an upload is taken.

        Raises:
            OverloadedError: The queue is full.
        """
        if self.stopping:
            raise OverloadedError("The gateway is stopping.", fix="Ask another instance, or try again.")
        if (await self._count()).room < 1:
            self._metrics.job_rejected()
            raise OverloadedError("The queue is full.", retry_after_seconds=10.0)

    async def _serve(self) -> None:
        while True:
            _, _, job_id = await self._queue.get()
            ticket = self._tickets.get(job_id)
            if ticket is not None:  # else it ended while it waited: taken back, or too late
                ticket.leave_queue()
                ticket.queued.end()
                with use(ticket.span), audit.about(ticket.about):
                    await self._run(ticket)
                await asyncio.to_thread(return_freed_memory)  # a study's arrays are large, and gone by now

    async def _expire(self, ticket: _Ticket) -> None:
        """End a job whose deadline passes while it waits; nobody should learn of that only when its turn comes."""
        await asyncio.sleep(ticket.expires_at - time.monotonic())
        with use(ticket.span):
            await self._end(ticket.job.id, JobState.FAILED, failure=Failure.of(_out_of_time(ticket.order)))

    async def _run(self, ticket: _Ticket) -> None:
        job_id, order = ticket.job.id, ticket.order
        state = JobState.FAILED
        failure: Failure | None = Failure.of(_taken_back())
        products: tuple[Product, ...] = ()
        started = await self.store.move(job_id, JobState.RUNNING)
        wait_seconds = (started.started_at_seconds or 0.0) - started.created_at_seconds
        self._metrics.job_started(task=order.task, wait_seconds=max(wait_seconds, 0.0))
        audit.record(audit.Event(hop=audit.Hop.QUEUED, duration_seconds=max(wait_seconds, 0.0)))
        await self._count()
        pump = _ProgressPump(self.store, job_id)
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + ticket.expires_at - time.monotonic()):
                products = tuple(await order.work(on_progress=pump.put, cancelled=ticket.cancelled))
            state, failure = JobState.SUCCEEDED, None
        except CancelledError as error:
            state, failure = JobState.CANCELLED, Failure.of(error)
        except EnTrustError as error:
            failure = Failure.of(error)
        except TimeoutError:
            ticket.cancelled.set()
            failure = Failure.of(_out_of_time(order))
        except asyncio.CancelledError:  # the process stops
            state = JobState.CANCELLED
            raise
        except Exception as error:  # the boundary of background work
            log.error("job-broke", job_id=job_id, task=order.task, **describe_exception(error))
            failure = Failure.of(InternalError("The gateway failed in a way it should not.", fix="Report the job id."))
        finally:
            await pump.flush()
            await asyncio.shield(self._end(job_id, state, failure=failure, products=products))

    async def _end(
        self, job_id: str, state: JobState, *, failure: Failure | None = None, products: Sequence[Product] = ()
    ) -> Job:
        ticket = self._tickets.pop(job_id, None)
        if ticket is not None:
            await _wipe(ticket.order.folder)
        job = await self.store.move(job_id, state, failure=failure, products=products)
        outcome = failure.kind.value if failure is not None else state.value
        seconds = (job.finished_at_seconds or job.created_at_seconds) - job.created_at_seconds
        self._metrics.job_finished(task=job.task, outcome=outcome, duration_seconds=max(seconds, 0.0))
        log.info(
            "job-finished", job_id=job_id, task=job.task, state=state.value, outcome=outcome,
            cause=failure.message if failure else "", duration_seconds=round(seconds, 3),
        )  # fmt: skip
        with audit.about(ticket.about if ticket else audit.current()):
            audit.record(_ended(job_id, failure))
        if ticket is not None:
            _end_span(ticket, outcome)
        await self._count()
        return job

    async def _count(self) -> StoreCounts:
        counts = await self.store.counts()
        self._metrics.jobs_by_state(
            {state.value: n for state, n in counts.by_state.items()},
            retained_bytes=counts.retained_bytes,
            room=counts.room,
        )
        return counts


class _ProgressPump:
    """Carries progress from synchronous callbacks to the asynchronous store, in order.

    Args:
        store: Where the job is kept.
        job_id: The job.
    """

    def __init__(self, store: JobStore, job_id: str) -> None:
        self._store = store
        self._job_id = job_id
        self._queue: asyncio.Queue[Progress | None] = asyncio.Queue()
        self._task: Awaitable[None] = asyncio.create_task(self._carry())

    def put(self, stage: str, step: int, of: int) -> None:
        """Take a report; call it on the event loop's thread."""
        self._queue.put_nowait(Progress(stage, step, of))

    async def flush(self) -> None:
        """Write what was taken and end."""
        self._queue.put_nowait(None)
        await self._task

    async def _carry(self) -> None:
        while (progress := await self._queue.get()) is not None:
            await self._store.progress(self._job_id, progress)


def _start_span(order: Order) -> Span:
    asked = {f"entrust.{name}": value for name, value in order.parameters.items() if name in TRACED_PARAMETERS}
    attributes = {"entrust.task": order.task, "entrust.priority": order.priority.value, **asked}
    return start_span("job", attributes=attributes)


def _end_span(ticket: _Ticket, outcome: str) -> None:
    ticket.queued.end()
    ticket.span.set({"entrust.outcome": outcome})
    if outcome != JobState.SUCCEEDED:
        ticket.span.fail(outcome)
    ticket.span.end()


def _ended(job_id: str, failure: Failure | None) -> audit.Event:
    """Return the event of a job's end: its study was read, and results were made of it or not."""
    if failure is None:
        return audit.Event(audit.What.ACCESSED, job_id=job_id)
    kind = failure.kind.value
    return audit.Event(audit.What.ACCESSED, job_id=job_id, outcome=audit.outcome_of(kind), reason=kind)


def _taken_back() -> CancelledError:
    return CancelledError("The job was cancelled before it ended.")


def _out_of_time(order: Order) -> DeadlineExceededError:
    return DeadlineExceededError(
        f"The job did not end within {order.deadline_seconds:g} seconds.",
        fix="Allow more time, or ask for fewer hypotheses or steps.",
    )


async def _wipe(folder: Path | None) -> None:
    """Delete an upload; nothing of it may stay behind."""
    if folder is not None:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
