"""What a gateway begins with, before the rest of it is loaded: its metrics, and a Triton that takes seconds to start.

Nothing here imports a toolkit for images: loading those takes as long as Triton takes to start, and both are done at
the same time (``service.__main__``).
"""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from entrust.contract import TASKS, model_contracts
from service.jobs.job import JobState
from service.observability.metrics import Metrics
from service.observability.references import load_references
from service.settings import Settings
from service.triton.canary import task_canaries
from service.triton.embedded import EmbeddedTriton
from service.triton.installation import PROJECT, Installation

REPOSITORY = PROJECT / "model_repository"


def make_metrics(references: Path | None = None) -> Metrics:
    """Build the metrics of one process.

    Args:
        references: Folder of the calibration references; the released weights' own when not given.

    Raises:
        InvalidInputError: A reference cannot be read.
    """
    return Metrics(
        pairs={name: task.pairs for name, task in TASKS.items()},
        states=[s.value for s in JobState],
        modalities={name: task.slugs for name, task in TASKS.items()},
        models=[contract.name for task in TASKS.values() for contract in model_contracts(task).values()],
        references=load_references(TASKS, references),
    )


@contextlib.asynccontextmanager
async def open_triton(settings: Settings, metrics: Metrics) -> AsyncIterator[str]:
    """Start the embedded Triton when no other is configured, and give the address of the one to use.

    Raises:
        ModelUnavailableError: The embedded Triton does not start.
    """
    triton = settings.triton
    if triton.url:
        yield triton.url
        return
    canaries = {model: canary for task in TASKS.values() for model, canary in task_canaries(task).items()}
    async with EmbeddedTriton(
        triton.repository or REPOSITORY,
        canaries,
        installation=Installation(triton.home) if triton.home else None,
        start_timeout_seconds=triton.start_timeout_seconds,
        metrics_port=triton.metrics_port,
        observer=metrics,
    ) as embedded:
        yield embedded.url
