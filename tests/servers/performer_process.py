"""A performer as a process of its own, with quick work instead of a segmentation, so that it can be raced and killed.

``python -m tests.servers.performer_process SETTINGS.json WORK.json``: the gateway's own settings, and where the work is
written down and how long each piece takes.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Collection, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import dcmread

from entrust.errors import NotFoundError
from service.app import open_archive
from service.archive import Archive
from service.dicom_json import Json
from service.jobs.job import JobState
from service.observability.metrics import Metrics
from service.peers import open_retrievals, open_worklist
from service.settings import Settings
from service.startup import make_metrics
from service.studies.record import Step
from service.worklist import ResultInstance, StudyEnd
from service.worklist.studies import OnStep


class QuickStudies:
    """A second implementation of :class:`service.worklist.Studies`: each study's result is a copy of its first image.

    Args:
        archive: Holds the studies, and gets the results.
        diary: File that gets a line with each beginning and end.
        seconds: How long a piece of work takes.
    """

    def __init__(self, archive: Archive, diary: Path, seconds: float) -> None:
        self._archive = archive
        self._diary = diary
        self._seconds = seconds
        self._studies: dict[str, str] = {}
        self._cancelled: set[str] = set()

    async def hold(self, order: str, study_uid: str) -> bool:
        self._studies[order] = study_uid
        return False

    async def submit(self, order: str, *, task: str, priority: str, attributes: Json) -> None:
        study_uid = self._studies[order]
        if not self._archive.locate(study_uid):
            raise NotFoundError("The archive does not hold the study.")
        self.write(began=study_uid, task=task, priority=priority, attributes=attributes)

    async def await_end(self, order: str, on_step: OnStep) -> StudyEnd:
        await on_step(Step.INFER)
        for _ in range(max(1, round(self._seconds / 0.05))):
            if order in self._cancelled:
                return StudyEnd(JobState.CANCELLED, "It was taken back.")
            await asyncio.sleep(min(0.05, self._seconds))
        study_uid = self._studies[order]
        result = dcmread(self._archive.path(self._archive.locate(study_uid)[0]))
        result.SeriesInstanceUID = f"{study_uid}.1"[-64:].lstrip(".")
        result.SOPInstanceUID = result.file_meta.MediaStorageSOPInstanceUID = f"{study_uid}.2"[-64:].lstrip(".")
        content = BytesIO()
        result.save_as(content, enforce_file_format=True)
        entry = (await asyncio.to_thread(self._archive.store, content.getvalue())).entry
        self.write(ended=study_uid)
        made = ResultInstance(entry.study_uid, entry.series_uid, entry.sop_class_uid, entry.sop_uid)
        return StudyEnd(JobState.SUCCEEDED, results=(made,))

    async def cancel(self, order: str) -> None:
        self._cancelled.add(order)

    async def release(self, order: str) -> None:
        self._cancelled.add(order)

    async def retain(self, orders: Collection[str]) -> None:
        assert not self._studies, "only what is left of an earlier life is let go"

    def write(self, **what: Any) -> None:
        """Write a line, in one piece."""
        with self._diary.open("ab", buffering=0) as file:
            file.write(json.dumps({"process": os.getpid(), **what}).encode() + b"\n")


@contextlib.asynccontextmanager
async def performing(settings: Settings, diary: Path, seconds: float) -> AsyncIterator[Metrics]:
    """Perform in this process until the end of the block."""
    metrics = make_metrics()
    with open_archive(settings, metrics) as archive:
        assert archive is not None
        async with (
            open_retrievals(settings, metrics, archive) as retrievals,
            open_worklist(settings, metrics, retrievals, QuickStudies(archive, diary, seconds)),
        ):
            yield metrics


async def _perform(settings: Settings, diary: Path, seconds: float) -> None:
    """Perform until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with performing(settings, diary, seconds):
        print("performing", flush=True)
        await stop.wait()


def read_diary(diary: Path) -> list[dict[str, Any]]:
    """Return what all performers with this diary wrote."""
    return [json.loads(line) for line in diary.read_text().splitlines()] if diary.exists() else []


def performer_settings(folder: Path, **groups: dict[str, Any]) -> dict[str, Any]:
    """Return the gateway's settings with an archive in a folder."""
    archive = {"folder": str(folder / "archive"), "max_used_ratio": 1.0, "min_free_bytes": 0}
    return {"archive": archive} | groups


@dataclass
class PerformerProcess:
    """A running performer."""

    process: "subprocess.Popen[str]"

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def running_performer(
    folder: Path, diary: Path, seconds: float, settings: dict[str, Any]
) -> Iterator[PerformerProcess]:
    """Run a performer as a process until the end of the block."""
    folder.mkdir(exist_ok=True)
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "work.json").write_text(json.dumps({"diary": str(diary), "seconds": seconds}))
    command = [sys.executable, "-m", __name__, str(folder / "settings.json"), str(folder / "work.json")]
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "performing\n", (folder / "log").read_text()[-3000:]
            yield PerformerProcess(process)
        finally:
            process.terminate()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


if __name__ == "__main__":
    given, work = (json.loads(Path(path).read_text()) for path in sys.argv[1:3])
    asyncio.run(_perform(Settings.model_validate(given), Path(work["diary"]), work["seconds"]))
