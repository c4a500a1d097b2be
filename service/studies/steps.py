"""What the steps of a study do. Each may be done again, wholly or after half of it: the outcome is the same.

    <archive>/studies/<id>/study/       links to the instances that the run is about
    <archive>/studies/<id>/inferred/    what the networks said
    <archive>/studies/<id>/results/     the DICOM results, until the archive has them

A step hands on a few names and numbers, which the database keeps; images stay where they are.
"""

import asyncio
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from entrust.contract import TASKS, get_task
from entrust.errors import ConflictError, MissingModalityError, NotFoundError
from service.archive import Archive, Entry
from service.ingest import IngestLimits, inspect_study
from service.observability.metrics import Metrics
from service.pipeline import Inferred, Pipeline, SegmentationRequest
from service.selection import Rules, select
from service.studies.checkpoint import load, replaced, save
from service.studies.record import ResultRef, Review, StudyRecord

FOLDER = "studies"
DOOR = "gateway"


@dataclass(frozen=True)
class StudyParameters:
    """What is asked of every study.

    Attributes:
        num_hypotheses: K; the task's own when None.
        num_steps: S; the task's own when None.
        seed: Seed of the study's noise.
    """

    num_hypotheses: int | None = None
    num_steps: int | None = None
    seed: int = 0


class Steps:
    """The steps, but for those of delivery.

    Args:
        archive: Holds the images, and gets the results.
        pipeline: The one way to infer.
        rules: Which task, and which series plays which role.
        limits: Bounds on what is read.
        parameters: What is asked.
        metrics: Hears of results that are kept.
    """

    def __init__(
        self,
        archive: Archive,
        pipeline: Pipeline,
        rules: Rules,
        limits: IngestLimits,
        parameters: StudyParameters,
        metrics: Metrics,
    ) -> None:
        self._archive = archive
        self._pipeline = pipeline
        self._rules = rules
        self._limits = limits
        self._parameters = parameters
        self._metrics = metrics
        self._inferred: dict[str, Inferred] = {}
        self._root = archive.files.folder / FOLDER
        self._root.mkdir(mode=0o700, exist_ok=True)

    async def receive(self, record: StudyRecord) -> float:
        """Take down which instances the run is about: what comes later is for another run.

        Returns:
            When the last one of them came, at the earliest, since 1970.

        Raises:
            NotFoundError: None is left.
        """

        def link() -> float:
            self._archive.flush()
            last = self._archive.index.last_received(record.study_uid)
            link_study(self._archive, record.study_uid, self._folder(record) / "study")
            return last or record.received_seconds

        return await asyncio.to_thread(link)

    async def select(self, record: StudyRecord) -> str:
        """Choose the task, where none was asked for.

        Raises:
            MissingModalityError: No task fits.
            EnTrustError: The study cannot be read, or several series fit a role equally well.
        """

        def choose() -> str:
            series = inspect_study(self._folder(record) / "study", limits=self._limits)
            task = record.task and get_task(record.task).name
            selection = select(series, self._rules, TASKS, task=task)
            for problem in selection.problems:
                raise problem
            if selection.task is None:
                raise MissingModalityError(
                    "No task fits the study.", fix="`entrust rules test` says why; see docs/selection.md."
                )
            return selection.task

        return await asyncio.to_thread(choose)

    async def infer(self, record: StudyRecord) -> Review:
        """Ask the networks, and write down what they say.

        Raises:
            EnTrustError: As :meth:`Pipeline.infer`.
        """
        inferred = await self._pipeline.infer(self._request(record), self._folder(record) / "study")
        await asyncio.to_thread(save, inferred, self._folder(record) / "inferred")
        self._inferred[record.id] = inferred
        return Review.of(inferred.summary)

    async def encode(self, record: StudyRecord) -> int:
        """Write the DICOM results.

        Returns:
            How many there are.

        Raises:
            EnTrustError: As :meth:`Pipeline.encode`.
        """
        folder = self._folder(record)
        inferred = self._inferred.pop(record.id, None)
        if inferred is None:  # another process has inferred
            case = await self._pipeline.prepare(self._request(record), folder / "study")
            inferred = await asyncio.to_thread(load, folder / "inferred", case)
        objects = await self._pipeline.encode(inferred)

        def write() -> None:
            with replaced(folder / "results") as partial:
                for name, content in objects.items():
                    (partial / name).write_bytes(content)

        await asyncio.to_thread(write)
        return len(objects)

    async def keep(self, record: StudyRecord) -> list[ResultRef]:
        """Give the results to the archive, so that they are found beside their study.

        Raises:
            OverloadedError: The disk is full.
        """

        def store() -> list[ResultRef]:
            paths = sorted((self._folder(record) / "results").iterdir())
            return [self._store(path.read_bytes()) for path in paths]

        return await asyncio.to_thread(store)

    def files(self, record: StudyRecord) -> Sequence[Path]:
        """Return where the results of a study lie.

        Raises:
            NotFoundError: They are gone.
        """
        wanted = {ref.sop_instance_uid for ref in record.results}
        found = [self._archive.path(one) for one in self._archive.locate(record.study_uid) if one.sop_uid in wanted]
        if len(found) < len(wanted):
            raise NotFoundError("The study's results are not here any more.", fix="Send the study again.")
        return found

    def clear(self, record_id: str) -> None:
        """Remove what a run needs no more."""
        self._inferred.pop(record_id, None)
        shutil.rmtree(self._root / record_id, ignore_errors=True)

    def folders(self) -> list[str]:
        """Return the ids of the runs that have left something here."""
        return [path.name for path in self._root.iterdir()]

    def _folder(self, record: StudyRecord) -> Path:
        return self._root / record.id

    def _request(self, record: StudyRecord) -> SegmentationRequest:
        task, asked = get_task(record.task), self._parameters
        return SegmentationRequest(
            task=task.name,
            num_hypotheses=asked.num_hypotheses or task.num_hypotheses,
            num_steps=asked.num_steps or task.num_steps,
            seed=asked.seed,
            attributes=record.attributes,
        )

    def _store(self, content: bytes) -> ResultRef:
        """Keep one result. Its UID follows from its content: what is kept under it already is the same result."""
        started, outcome = time.perf_counter(), "duplicate"
        entry: Entry
        with self._archive.incoming() as file:
            file.write(content)
            entry = self._archive.read(file)
            try:
                outcome = "duplicate" if self._archive.keep(file, entry).duplicate else "stored"
            except ConflictError:  # from another run: the same but for the time at which it was written
                outcome = "duplicate"
        seconds = time.perf_counter() - started
        self._metrics.instance_received(door=DOOR, outcome=outcome, size_bytes=len(content), duration_seconds=seconds)
        return ResultRef(entry.sop_class_uid, entry.sop_uid)


def link_study(archive: Archive, study_uid: str, folder: Path) -> int:
    """Make a folder of links to the instances of a study, so that they can be read as one.

    Args:
        archive: Holds them.
        study_uid: The study.
        folder: Where to; replaced.

    Returns:
        How many there are.

    Raises:
        NotFoundError: There is none.
    """
    found = archive.locate(study_uid)
    if not found:
        raise NotFoundError("The study's images are not here any more.", fix="Send the study again.")
    with replaced(folder, files_are_kept=True) as partial:
        for number, located in enumerate(found, start=1):
            os.link(archive.path(located), partial / f"{number:06}.dcm")
    return len(found)
