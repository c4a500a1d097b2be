"""The order of a segmentation: parameters and an upload become work for the queue."""

import asyncio
from collections.abc import Sequence
from typing import TypeVar

from entrust.contract import TASKS, get_task
from entrust.errors import ConflictError, InvalidInputError
from service.intake.gateway import Gateway
from service.intake.parameters import SegmentationParameters
from service.intake.results import keep_results
from service.intake.upload import STUDY, Upload
from service.jobs.job import Product
from service.jobs.runner import OnProgress, Order
from service.pipeline import SegmentationRequest, Source

DICOM = "application/dicom"

P = TypeVar("P", bound=SegmentationParameters)


async def with_task(gateway: Gateway, parameters: P, upload: Upload) -> P:
    """Return the parameters with their task: the caller's, or the one that the study is for.

    Args:
        gateway: The service.
        parameters: What is asked, checked.
        upload: The study.

    Raises:
        EnTrustError: The study cannot be read, or does not say which task it is for.
    """
    if parameters.task:
        return parameters
    every = tuple(dict.fromkeys(slug for task in TASKS.values() for slug in task.slugs))
    task = await gateway.pipeline.settle_task(_source(upload, every))
    return parameters.model_copy(update={"task": task})


def make_order(
    gateway: Gateway,
    parameters: SegmentationParameters,
    upload: Upload,
    *,
    within_seconds: float | None = None,
    received_seconds: float | None = None,
) -> Order:
    """Return the order of a segmentation.

    Args:
        gateway: The service.
        parameters: What is asked, checked, with its task.
        upload: The study.
        within_seconds: What the call itself leaves of time; the order's deadline is not later.
        received_seconds: How long the study took to come in.

    Raises:
        InvalidInputError: What was sent is no study of the task.
    """
    task = get_task(parameters.task)
    longest = gateway.parameters.max_duration_seconds
    if within_seconds is not None:
        longest = min(longest, max(within_seconds, 0.0))
    source = _source(upload, task.slugs)
    request = SegmentationRequest(
        task=task.name,
        num_hypotheses=parameters.num_hypotheses or task.num_hypotheses,
        num_steps=parameters.num_steps or task.num_steps,
        seed=parameters.seed,
        sampler=parameters.sampler,
        assignment=parameters.assignment,
        extra_results=parameters.extra_results,
    )

    async def work(*, on_progress: OnProgress, cancelled: asyncio.Event) -> Sequence[Product]:
        files = await gateway.pipeline.segment(request, source, on_progress=on_progress, cancelled=cancelled)
        if gateway.archive is not None:
            objects = [file.content for file in files if file.media_type == DICOM]
            await asyncio.to_thread(keep_results, gateway.archive, gateway.metrics, objects)
        return [Product(file.name, file.media_type, file.content) for file in files]

    return Order(
        task=task.name,
        parameters={
            "num_hypotheses": request.num_hypotheses,
            "num_steps": request.num_steps,
            "seed": request.seed,
            "sampler": request.sampler,
            "extra_results": ",".join(request.extra_results),
        },
        work=work,
        folder=upload.folder,
        deadline_seconds=min(parameters.deadline_seconds or longest, longest),
        priority=parameters.priority,
        received_seconds=received_seconds,
    )


def _source(upload: Upload, slugs: tuple[str, ...]) -> Source:
    """Tell what was sent: a folder of one study, or a NIfTI per modality."""
    by_modality = [name for name in upload.files if name != STUDY]
    unknown = [name for name in by_modality if name not in slugs]
    if unknown:
        raise InvalidInputError(
            "A file came in a field that the task does not know.",
            fix=f"Send the field {STUDY}, or fields named after the task's modalities: {', '.join(slugs)}.",
        )
    if by_modality and STUDY in upload.files:
        raise InvalidInputError(
            f"The field {STUDY} and fields of single modalities came together.", fix="Send one or the other."
        )
    if not by_modality:
        return upload.folder / STUDY
    if any(upload.files[name] > 1 for name in by_modality):
        raise InvalidInputError("A modality came twice.", fix="Send one NIfTI file per modality.")
    return {name: upload.folder / name / "000001" for name in by_modality}


async def take_back(gateway: Gateway, job_id: str) -> None:
    """Cancel the job of a caller who left."""
    try:
        await gateway.runner.cancel(job_id)
    except ConflictError:
        return  # it ended at the same moment
