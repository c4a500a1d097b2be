"""The runner: order, deadlines, cancellation between steps, and nothing left on disk."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from entrust.errors import CancelledError, ConflictError, ErrorKind, GeometryConflictError, OverloadedError
from service.jobs.job import JobState, Priority, Product
from service.jobs.runner import JobRunner, OnProgress, Order, Work
from service.jobs.store import LocalJobStore
from service.observability.metrics import Metrics


@pytest.fixture
async def runner() -> AsyncIterator[JobRunner]:
    metrics = Metrics(pairs={}, states=[s.value for s in JobState])
    store = LocalJobStore(max_queued=2, retention_seconds=60.0, retention_bytes=10_000)
    runner = JobRunner(store, metrics, concurrency=1)
    await runner.start()
    yield runner
    await runner.stop(grace_seconds=0.0)


def order(
    work: Work, folder: Path | None = None, deadline_seconds: float = 30.0, priority: Priority = Priority.ROUTINE
) -> Order:
    return Order(
        task="oncology", parameters={}, work=work, folder=folder, deadline_seconds=deadline_seconds, priority=priority
    )


async def three_steps(*, on_progress: OnProgress, cancelled: asyncio.Event) -> Sequence[Product]:
    for step in range(3):
        on_progress("sampling", step + 1, 3)
    return [Product("summary.json", "application/json", b"{}")]


class Patient:
    """Work that goes on, step by step, until it is cancelled or let go."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.go = asyncio.Event()
        self.steps = 0

    async def __call__(self, *, on_progress: OnProgress, cancelled: asyncio.Event) -> Sequence[Product]:
        self.started.set()
        while not self.go.is_set():
            if cancelled.is_set():
                raise CancelledError("The caller took the request back.")
            self.steps += 1
            on_progress("sampling", self.steps, 10_000)
            await asyncio.sleep(0.005)
        return []


async def test_success_reports_every_step_then_the_results(runner: JobRunner) -> None:
    job = await runner.submit(order(three_steps))
    seen = [value async for value in runner.store.watch(job.id)]
    assert [v.state for v in seen] == [JobState.QUEUED] + 4 * [JobState.RUNNING] + [JobState.SUCCEEDED]
    assert [v.progress.step for v in seen if v.progress] == [1, 2, 3, 3]
    assert seen[-1].products[0].name == "summary.json"


async def test_the_upload_is_gone_whatever_happens(runner: JobRunner, tmp_path: Path) -> None:
    async def fails(*, on_progress: OnProgress, cancelled: asyncio.Event) -> Sequence[Product]:
        raise GeometryConflictError("Two frames of reference.", fix="Register them.")

    async def breaks(*, on_progress: OnProgress, cancelled: asyncio.Event) -> Sequence[Product]:
        raise RuntimeError("DOE^JANE")

    for index, (work, state, kind) in enumerate(
        [
            (three_steps, JobState.SUCCEEDED, None),
            (fails, JobState.FAILED, ErrorKind.GEOMETRY_CONFLICT),
            (breaks, JobState.FAILED, ErrorKind.INTERNAL),
        ]
    ):
        folder = tmp_path / str(index)
        folder.mkdir()
        (folder / "1").write_bytes(b"x")
        job = await runner.finished((await runner.submit(order(work, folder))).id)
        assert job.state is state
        assert (job.failure.kind if job.failure else None) is kind
        assert "DOE" not in str(job)
        assert not folder.exists()


async def test_work_that_breaks_holds_up_nobody(runner: JobRunner) -> None:
    async def defect(*, on_progress: OnProgress, cancelled: asyncio.Event) -> Sequence[Product]:
        raise RuntimeError("a defect")

    async def damaged(*, on_progress: OnProgress, cancelled: asyncio.Event) -> Sequence[Product]:
        raise GeometryConflictError("A slice is missing.")

    ends = [await runner.finished((await runner.submit(order(work))).id) for work in (defect, damaged, three_steps)]
    assert [end.state for end in ends] == [JobState.FAILED, JobState.FAILED, JobState.SUCCEEDED]
    assert [end.failure.kind.value for end in ends[:2] if end.failure] == ["internal", "geometry-conflict"]


async def test_a_running_job_is_cancelled_between_steps(runner: JobRunner) -> None:
    work = Patient()
    job = await runner.submit(order(work))
    await work.started.wait()
    await runner.cancel(job.id)
    ended = await runner.finished(job.id)
    assert ended.state is JobState.CANCELLED
    with pytest.raises(ConflictError):
        await runner.cancel(job.id)


async def test_a_queued_job_is_cancelled_at_once_and_never_starts(runner: JobRunner, tmp_path: Path) -> None:
    first, second = Patient(), Patient()
    await runner.submit(order(first))
    await first.started.wait()
    folder = tmp_path / "upload"
    folder.mkdir()
    waiting = await runner.submit(order(second, folder))
    assert (await runner.cancel(waiting.id)).state is JobState.CANCELLED
    assert not folder.exists()
    first.go.set()
    last = await runner.finished((await runner.submit(order(three_steps))).id)
    assert last.state is JobState.SUCCEEDED
    assert not second.started.is_set()


async def test_a_full_queue_refuses_and_wipes(runner: JobRunner, tmp_path: Path) -> None:
    first = Patient()
    await runner.submit(order(first))
    await first.started.wait()
    for _ in range(2):
        await runner.submit(order(three_steps))
    folder = tmp_path / "upload"
    folder.mkdir()
    with pytest.raises(OverloadedError):
        await runner.submit(order(three_steps, folder))
    assert not folder.exists()
    first.go.set()


async def test_urgent_work_overtakes(runner: JobRunner) -> None:
    first = Patient()
    await runner.submit(order(first))
    await first.started.wait()
    routine = await runner.submit(order(three_steps))
    urgent = await runner.submit(order(three_steps, priority=Priority.STAT))
    first.go.set()
    a, b = await runner.finished(routine.id), await runner.finished(urgent.id)
    assert b.started_at_seconds is not None
    assert a.started_at_seconds is not None
    assert b.started_at_seconds < a.started_at_seconds


async def test_the_deadline_includes_waiting_and_ends_the_work(runner: JobRunner) -> None:
    work = Patient()
    ended = await runner.finished((await runner.submit(order(work, deadline_seconds=0.1))).id)
    assert ended.state is JobState.FAILED
    assert ended.failure is not None
    assert ended.failure.kind is ErrorKind.DEADLINE_EXCEEDED


async def test_stopping_cancels_what_runs() -> None:
    metrics = Metrics(pairs={}, states=[s.value for s in JobState])
    runner = JobRunner(LocalJobStore(max_queued=2, retention_seconds=60.0, retention_bytes=1), metrics, concurrency=1)
    await runner.start()
    work = Patient()
    running = await runner.submit(order(work))
    await work.started.wait()
    waiting = await runner.submit(order(Patient()))
    await runner.stop(grace_seconds=0.05)
    for job in (running, waiting):
        assert (await runner.store.get(job.id)).state is JobState.CANCELLED


async def test_a_deadline_that_passes_in_the_queue_ends_the_job_there(runner: JobRunner, tmp_path: Path) -> None:
    first, second = Patient(), Patient()
    running = await runner.submit(order(first))
    await first.started.wait()
    folder = tmp_path / "upload"
    folder.mkdir()
    waiting = await runner.submit(order(second, folder, deadline_seconds=0.05))
    ended = await runner.finished(waiting.id)  # while the first goes on: its turn never comes
    assert (await runner.store.get(running.id)).state is JobState.RUNNING
    assert ended.state is JobState.FAILED
    assert ended.failure is not None
    assert ended.failure.kind is ErrorKind.DEADLINE_EXCEEDED
    assert not folder.exists()
    first.go.set()
    last = await runner.finished((await runner.submit(order(three_steps))).id)
    assert last.state is JobState.SUCCEEDED
    assert not second.started.is_set()
