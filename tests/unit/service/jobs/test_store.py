"""Conformance tests of job stores: every implementation passes them."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from entrust.errors import ConflictError, ErrorKind, NotFoundError, OverloadedError
from service.jobs.job import MOVES, Failure, Job, JobState, Product, Progress
from service.jobs.shelf import open_folder
from service.jobs.store import JobStore, LocalJobStore


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


MakeStore = Callable[..., JobStore]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "folder"])
def make_store(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> Iterator[MakeStore]:
    with open_folder(tmp_path) if request.param == "folder" else contextlib.nullcontext() as shelf:

        def make(max_queued: int = 10, retention_seconds: float = 60.0, retention_bytes: int = 1000) -> JobStore:
            return LocalJobStore(
                max_queued=max_queued, retention_seconds=retention_seconds, retention_bytes=retention_bytes,
                shelf=shelf, clock=clock,
            )  # fmt: skip

        yield make


def job(job_id: str = "a") -> Job:
    return Job(id=job_id, task="oncology", parameters={"seed": 0}, created_at_seconds=1000.0)


async def bring(store: JobStore, job_id: str, state: JobState, **kwargs: object) -> None:
    """Add a job and bring it to a state."""
    await store.add(job(job_id))
    if state in (JobState.RUNNING, JobState.SUCCEEDED):
        await store.move(job_id, JobState.RUNNING)
    if state not in (JobState.QUEUED, JobState.RUNNING):
        await store.move(job_id, state, **kwargs)  # type: ignore[arg-type]


def files(size_bytes: int) -> list[Product]:
    return [Product("mask.nii.gz", "application/gzip", bytes(size_bytes))]


async def test_a_job_is_found_again(make_store: MakeStore) -> None:
    store = make_store()
    await store.add(job())
    assert await store.get("a") == job()


async def test_an_unknown_job_is_not_found(make_store: MakeStore) -> None:
    store = make_store()
    for call in (store.get("x"), store.remove("x"), store.product("x", "y"), store.move("x", JobState.RUNNING)):
        with pytest.raises(NotFoundError):
            await call
    with pytest.raises(NotFoundError):
        await anext(store.watch("x"))


async def test_the_queue_is_bounded_and_opens_again(make_store: MakeStore) -> None:
    store = make_store(max_queued=2)
    await store.add(job("a"))
    await store.add(job("b"))
    with pytest.raises(OverloadedError) as caught:
        await store.add(job("c"))
    assert caught.value.retry_after_seconds > 0
    await store.move("a", JobState.RUNNING)
    await store.add(job("c"))


@pytest.mark.parametrize("start", list(JobState))
@pytest.mark.parametrize("end", list(JobState))
async def test_only_listed_moves_are_made(make_store: MakeStore, start: JobState, end: JobState) -> None:
    store = make_store()
    await bring(store, "a", start)
    if end in MOVES[start]:
        assert (await store.move("a", end)).state is end
    else:
        with pytest.raises(ConflictError):
            await store.move("a", end)
        assert (await store.get("a")).state is start


async def test_every_watcher_sees_every_change_in_order(make_store: MakeStore) -> None:
    store = make_store()
    await store.add(job())

    async def collect(after: int) -> list[Job]:
        return [value async for value in store.watch("a", after_version=after)]

    early = asyncio.create_task(collect(0))
    await asyncio.sleep(0)
    await store.move("a", JobState.RUNNING)
    for step in range(3):
        await store.progress("a", Progress("sampling", step, 3))
    await store.move("a", JobState.SUCCEEDED, products=files(1))
    seen = await early
    assert [value.version for value in seen] == [1, 2, 3, 4, 5, 6]
    assert [value.progress.step for value in seen if value.progress and value.state is JobState.RUNNING] == [0, 1, 2]
    assert seen[-1].state is JobState.SUCCEEDED
    assert await collect(0) == seen
    assert await collect(4) == seen[4:]
    assert await collect(6) == []


async def test_progress_needs_a_running_job(make_store: MakeStore) -> None:
    store = make_store()
    await store.add(job())
    with pytest.raises(ConflictError):
        await store.progress("a", Progress("ingest", 0, 1))


async def test_results_are_kept_and_listed(make_store: MakeStore) -> None:
    store = make_store()
    await bring(store, "a", JobState.SUCCEEDED, products=files(7))
    (info,) = (await store.get("a")).products
    assert (info.name, info.size_bytes) == ("mask.nii.gz", 7)
    assert (await store.product("a", "mask.nii.gz")).content == bytes(7)
    assert (await store.counts()).retained_bytes == 7
    with pytest.raises(NotFoundError):
        await store.product("a", "other")


async def test_a_failure_is_kept(make_store: MakeStore) -> None:
    store = make_store()
    failure = Failure(ErrorKind.GEOMETRY_CONFLICT, "Two frames of reference.", "Register them.", {"frames": 2})
    await bring(store, "a", JobState.FAILED, failure=failure)
    assert (await store.get("a")).failure == failure


async def test_finished_jobs_expire_and_others_do_not(make_store: MakeStore, clock: Clock) -> None:
    store = make_store(retention_seconds=60.0)
    await bring(store, "done", JobState.SUCCEEDED, products=files(5))
    await bring(store, "waiting", JobState.QUEUED)
    await bring(store, "running", JobState.RUNNING)
    clock.now += 59.0
    await store.get("done")
    clock.now += 2.0
    with pytest.raises(NotFoundError):
        await store.get("done")
    assert (await store.get("waiting")).state is JobState.QUEUED
    assert (await store.get("running")).state is JobState.RUNNING
    assert (await store.counts()).retained_bytes == 0


async def test_the_oldest_results_make_room_and_the_newest_stay(make_store: MakeStore, clock: Clock) -> None:
    store = make_store(retention_bytes=100)
    for name in ("a", "b", "c"):
        await bring(store, name, JobState.SUCCEEDED, products=files(60))
        clock.now += 1.0
    for name in ("a", "b"):
        with pytest.raises(NotFoundError):
            await store.get(name)
    assert len((await store.product("c", "mask.nii.gz")).content) == 60
    await bring(store, "huge", JobState.SUCCEEDED, products=files(500))
    assert len((await store.product("huge", "mask.nii.gz")).content) == 500


async def test_removal_needs_an_end(make_store: MakeStore) -> None:
    store = make_store()
    await bring(store, "a", JobState.RUNNING)
    with pytest.raises(ConflictError):
        await store.remove("a")
    await store.move("a", JobState.CANCELLED)
    await store.remove("a")
    with pytest.raises(NotFoundError):
        await store.get("a")


async def test_counts_cover_every_state(make_store: MakeStore) -> None:
    store = make_store()
    await bring(store, "a", JobState.RUNNING)
    counts = (await store.counts()).by_state
    assert set(counts) == set(JobState)
    assert counts[JobState.RUNNING] == 1
