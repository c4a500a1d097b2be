"""What the HTTP face needs of the rest of the service; given to it once, by the composition root."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request

from service.api.rest.parameters import ParameterLimits
from service.api.rest.upload import UploadLimits
from service.jobs.runner import JobRunner
from service.observability.metrics import Metrics
from service.pipeline import Pipeline


@dataclass(frozen=True)
class Gateway:
    """The service behind the face.

    Attributes:
        pipeline: Does the work.
        runner: Queues it.
        metrics: Hears of it.
        uploads: Bounds on a request's body.
        parameters: Bounds on what may be asked.
        max_wait_seconds: How long ``wait=true`` may hold a connection.
        work_folder: Where uploads lie.
    """

    pipeline: Pipeline
    runner: JobRunner
    metrics: Metrics
    uploads: UploadLimits
    parameters: ParameterLimits
    max_wait_seconds: float
    work_folder: Path


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


Behind = Annotated[Gateway, Depends(_gateway)]
"""The service, as a parameter of an operation."""
