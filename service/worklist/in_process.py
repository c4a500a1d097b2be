"""Studies of the archive, segmented by this process's own queue."""

import asyncio
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from entrust.errors import ConflictError, EnTrustError, ErrorKind, MissingModalityError, NotFoundError, OverloadedError
from service.archive import Archive
from service.dicom_json import Json
from service.intake.gateway import Gateway
from service.intake.orders import DICOM, make_order
from service.intake.parameters import SegmentationParameters, check_parameters
from service.intake.upload import STUDY, Upload
from service.jobs.job import JobState
from service.worklist.studies import ResultInstance, StudyEnd


class QueuedStudies:
    """The gateway's queue, as a worklist sees it.

    Args:
        gateway: The service, with an archive.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    @property
    def _archive(self) -> Archive:
        if self._gateway.archive is None:
            raise NotFoundError("This gateway keeps no studies.", fix="Set ENTRUST_ARCHIVE__FOLDER.")
        return self._gateway.archive

    async def submit(
        self,
        study_uid: str,
        *,
        task: str | None = None,
        priority: str | None = None,
        attributes: Json | None = None,
    ) -> str:
        """Queue a study; while the queue is full, wait.

        Raises:
            NotFoundError: The archive does not hold it.
            MissingModalityError: No task fits it.
        """
        while True:
            upload = await Upload.begin(self._gateway.work_folder)
            try:
                await asyncio.to_thread(self._gather, study_uid, upload.folder / STUDY)
                upload.files[STUDY] = 1
                order = make_order(
                    self._gateway, await self._parameters(upload, task, priority), upload, attributes=attributes
                )
            except BaseException:
                await upload.wipe()
                raise
            try:
                return (await self._gateway.runner.submit(order)).id
            except OverloadedError as error:
                await asyncio.sleep(error.retry_after_seconds)

    async def await_end(self, work_id: str) -> StudyEnd:
        """Wait for the end of a job, and have the archive hold what it made."""
        job = await self._gateway.runner.finished(work_id)
        if job.failure is not None:
            return StudyEnd(job.state, job.failure.message, job.failure.kind)
        results = []
        for info in job.products:
            if info.media_type == DICOM:
                product = await self._gateway.runner.store.product(work_id, info.name)
                try:
                    entry = (await asyncio.to_thread(self._archive.store, product.content)).entry
                except EnTrustError as error:
                    return StudyEnd(JobState.FAILED, f"A result cannot be kept. {error.message}", error.kind)
                results.append(ResultInstance(entry.study_uid, entry.series_uid, entry.sop_class_uid, entry.sop_uid))
        if not results:
            return StudyEnd(JobState.FAILED, "There is no DICOM result.", ErrorKind.INTERNAL)
        return StudyEnd(job.state, results=tuple(results))

    async def cancel(self, work_id: str) -> None:
        """Take a job back; one that has ended stays as it is."""
        try:
            await self._gateway.runner.cancel(work_id)
        except (ConflictError, NotFoundError):
            return

    async def _parameters(self, upload: Upload, task: str | None, priority: str | None) -> SegmentationParameters:
        """Return what to ask for; what is not given the selection rules decide."""
        chosen = None
        if task is None or priority is None:
            pipeline = self._gateway.pipeline
            chosen = await pipeline.explain_selection(upload.folder / STUDY, pipeline.rules, task=task or "")
        name = task or (chosen.task if chosen else None)
        if name is None:
            raise MissingModalityError("No task fits the study.", fix="See the selection rules.")
        given = {"task": name, "priority": priority or (chosen.priority if chosen else "routine")}
        return check_parameters(SegmentationParameters, given, self._gateway.parameters)

    def _gather(self, study_uid: str, folder: Path) -> None:
        """Lay a study's files into a folder, by links where the disk is the same: nothing changes them."""
        located = self._archive.locate(study_uid)
        if not located:
            raise NotFoundError("The archive does not hold the study.")
        folder.mkdir(mode=0o700)
        _link((self._archive.path(one) for one in located), folder)


def _link(paths: Iterable[Path], folder: Path) -> None:
    for number, path in enumerate(paths, start=1):
        name = folder / f"{number:06d}"
        try:
            os.link(path, name)
        except OSError:
            shutil.copyfile(path, name)
