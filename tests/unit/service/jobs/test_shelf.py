"""Results in a folder outlive their process, whole or not at all, and belong to one gateway."""

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from entrust.errors import InvalidInputError, NotFoundError
from service.jobs.job import Job, JobState, Product
from service.jobs.shelf import PARTIAL, FolderShelf, open_folder
from service.jobs.store import LocalJobStore

FILES = [Product("mask.nii.gz", "application/gzip", b"mask"), Product("summary.json", "application/json", b"{}")]


def make_store(shelf: FolderShelf, clock: Callable[[], float] = lambda: 1000.0) -> LocalJobStore:
    return LocalJobStore(
        max_queued=3, retention_seconds=60.0, retention_bytes=1000, shelf=shelf, found=shelf.found(), clock=clock
    )


async def finish(store: LocalJobStore, job_id: str = "a") -> Job:
    await store.add(Job(id=job_id, task="oncology", parameters={"seed": 7, "eta": 0.5}, created_at_seconds=990.0))
    await store.move(job_id, JobState.RUNNING)
    return await store.move(job_id, JobState.SUCCEEDED, products=FILES)


async def test_the_next_process_finds_finished_jobs_and_no_others(tmp_path: Path) -> None:
    with open_folder(tmp_path) as shelf:
        before = make_store(shelf)
        done = await finish(before)
        await before.add(replace(done, id="b", state=JobState.QUEUED, products=()))
    with open_folder(tmp_path) as shelf:
        after = make_store(shelf)
        assert await after.get("a") == done
        assert [await after.product("a", file.name) for file in FILES] == FILES
        assert (await after.counts()).retained_bytes == 6
        for seen in range(done.version):  # whatever a watcher had seen, it is told the end
            assert [job async for job in after.watch("a", after_version=seen)] == [done]
        assert [job async for job in after.watch("a", after_version=done.version)] == []
        with pytest.raises(NotFoundError):
            await after.get("b")


async def test_what_expires_or_is_removed_leaves_nothing_on_the_disk(tmp_path: Path) -> None:
    now = [1000.0]
    with open_folder(tmp_path) as shelf:
        store = make_store(shelf, lambda: now[0])
        await finish(store, "a")
        await finish(store, "b")
        await store.remove("b")
        assert not (tmp_path / "b").exists()
        now[0] += 61.0
        await store.counts()
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    with open_folder(tmp_path) as shelf:
        await finish(make_store(shelf), "c")
        assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1
        late = make_store(shelf, lambda: 1061.0)
        assert (await late.counts()).retained_bytes == 0
        assert not (tmp_path / "c").exists()


async def test_a_disk_that_takes_its_time_to_delete_holds_up_nobody_else(tmp_path: Path) -> None:
    deleted_in = set()

    class Watched(FolderShelf):
        def drop(self, job_id: str) -> None:
            deleted_in.add(threading.get_ident())
            super().drop(job_id)

    now = [1000.0]
    store = make_store(Watched(tmp_path), lambda: now[0])
    await finish(store, "a")
    await finish(store, "b")
    await store.remove("a")
    now[0] += 61.0
    await store.counts()
    assert not list(tmp_path.iterdir())
    assert deleted_in
    assert threading.get_ident() not in deleted_in, "the event loop's thread waits for a disk"


@pytest.mark.parametrize("damage", ["no job", "not a job", "short file", "no file", "another name", "unfinished"])
async def test_what_is_not_whole_is_deleted(tmp_path: Path, damage: str) -> None:
    with open_folder(tmp_path) as shelf:
        await finish(make_store(shelf))
    here = tmp_path / "a"
    if damage == "no job":
        (here / "job.json").unlink()
    elif damage == "not a job":
        (here / "job.json").write_bytes(b"{}")
    elif damage == "short file":
        (here / "mask.nii.gz").write_bytes(b"m")
    elif damage == "no file":
        (here / "mask.nii.gz").unlink()
    else:
        here.rename(tmp_path / ("z" if damage == "another name" else f"{PARTIAL}a"))
    with open_folder(tmp_path) as shelf:
        assert list(shelf.found()) == []
        assert not [path for path in tmp_path.iterdir() if path.is_dir()]


async def test_results_that_cannot_be_written_are_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with open_folder(tmp_path) as shelf:
        store = make_store(shelf)
        monkeypatch.setattr(os, "fsync", full)
        done = await finish(store)
        assert done.state is JobState.SUCCEEDED
        assert await store.product("a", "mask.nii.gz") == FILES[0]
        assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_a_folder_belongs_to_one_gateway(tmp_path: Path) -> None:
    with open_folder(tmp_path / "results") as _, pytest.raises(InvalidInputError, match="another gateway"):
        open_folder(tmp_path / "results").__enter__()
    assert (tmp_path / "results").stat().st_mode & 0o077 == 0
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInputError, match="cannot be used"):
        open_folder(tmp_path / "file").__enter__()
