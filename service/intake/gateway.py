"""What a face needs of the rest of the service; given to it once, by the composition root."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from service.archive import Archive
from service.intake.access import Access
from service.intake.parameters import ParameterLimits
from service.intake.upload import UploadLimits
from service.jobs.runner import JobRunner
from service.observability.metrics import Metrics
from service.pipeline import Pipeline
from service.pull import Retrievals
from service.studies import Studies


@dataclass(frozen=True)
class Gateway:
    """The service behind the faces.

    Attributes:
        pipeline: Does the work.
        runner: Queues it.
        metrics: Hears of it.
        access: Knows who may ask.
        uploads: Bounds on what is sent.
        parameters: Bounds on what may be asked.
        max_wait_seconds: How long ``wait=true`` may hold an HTTP connection.
        work_folder: Where uploads lie.
        dry_runs: Lets one caller at a time try rules on a study.
        public_url: Where callers reach the HTTP server; empty where their Host header says it.
        archive: Keeps what comes in from a PACS; None where nothing is to be kept.
        studies: Works on what the archive gets; None where nothing does.
        retrievals: Fetches studies from a PACS; None where no archive could keep them.
    """

    pipeline: Pipeline
    runner: JobRunner
    metrics: Metrics
    access: Access
    uploads: UploadLimits
    parameters: ParameterLimits
    max_wait_seconds: float
    work_folder: Path
    dry_runs: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    public_url: str = ""
    archive: Archive | None = None
    studies: Studies | None = None
    retrievals: Retrievals | None = None
