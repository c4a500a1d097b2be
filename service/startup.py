"""What a gateway begins with, before the rest is loaded: metrics, traces, and a Triton that takes seconds to start.

Nothing here imports a toolkit for images: loading those takes as long as Triton takes to start, and both are done at
the same time (``service.__main__``).
"""

import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import version
from pathlib import Path

from entrust.contract import TASKS, Task, get_task, model_contracts
from entrust.errors import InvalidInputError
from service import audit
from service.jobs.job import JobState
from service.observability.metrics import Metrics
from service.observability.references import load_references
from service.observability.trace_collector import Collector, read_headers
from service.settings import Settings
from service.settings.observability import TracesSettings
from service.triton.canary import task_canaries
from service.triton.embedded import EmbeddedTriton
from service.triton.installation import PROJECT, Installation

REPOSITORY = PROJECT / "model_repository"


def chosen_tasks(names: str) -> list[Task]:
    """Return the tasks of a list of names, none of an empty one.

    Raises:
        NotFoundError: There is no such task.
    """
    return [get_task(name.strip()) for name in names.split(",") if name.strip()]


def tasks_in(repository: Path) -> list[Task]:
    """Return the tasks of which a model repository holds a model, or all where it holds none.

    So a task that was not exported is not served, and one that was exported in part, or a repository without any,
    stops the start with the name of the model that is missing.
    """
    there = {path.parent.name for path in repository.glob("*/config.pbtxt")}
    found = [task for task in TASKS.values() if there & {c.name for c in model_contracts(task).values()}]
    return found or list(TASKS.values())


def serving_one(settings: Settings, name: str) -> Settings:
    """Return settings of a process that serves one task: its embedded Triton loads no other's models.

    Args:
        settings: What a deployment set; returned as they are where it does not serve the task.
        name: Of the task.

    Raises:
        NotFoundError: There is no such task, or a task that is to be served is not known.
    """
    triton = settings.triton
    served = chosen_tasks(triton.tasks) or tasks_in(triton.repository or REPOSITORY)
    if triton.url or get_task(name) not in served:
        return settings
    return settings.model_copy(update={"triton": triton.model_copy(update={"tasks": name})})


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


def make_collector(settings: TracesSettings) -> Collector | None:
    """Return where traces go; None where nothing is traced.

    Raises:
        InvalidInputError: A file cannot be used.
    """
    if not settings.endpoint:
        return None
    if settings.ca_file is not None and not settings.ca_file.is_file():
        raise InvalidInputError(
            "The file of the trace collector's authorities is not there.", fix="See ENTRUST_TRACES__CA_FILE."
        )
    return Collector(
        settings.endpoint,
        service=settings.service,
        instance=settings.instance or str(uuid.uuid4()),
        headers=read_headers(settings.headers_file),
        ca_file=settings.ca_file,
    )


@contextlib.asynccontextmanager
async def open_traces(collector: Collector | None, sampling_ratio: float) -> AsyncIterator[None]:
    """Trace what this process does, where there is a collector."""
    if collector is None:
        yield
        return
    from service.observability.otlp import open_tracer  # the SDK is loaded where it is used, and nowhere else

    async with open_tracer(collector, version=version("entrust-serve"), sampling_ratio=sampling_ratio):
        yield


@contextlib.contextmanager
def open_audit(settings: Settings, metrics: Metrics) -> Iterator[None]:
    """Keep an audit trail, where there is a folder for one; it tells of this process's start and end.

    Raises:
        InvalidInputError: Its folder, or a file for the syslog receiver, cannot be used.
    """
    given = settings.audit
    if given.folder is None:
        yield
        return
    receiver = None
    if given.syslog:
        host, _, port = given.syslog.rpartition(":")
        context = audit.client_context(given.syslog_ca_file, given.syslog_certificate_file, given.syslog_key_file)
        receiver = audit.Receiver(host.strip("[]"), int(port), context)
    with audit.open_trail(
        given.folder,
        source=audit.AuditSource(given.source_id, given.site),
        count=metrics.audit_events,
        max_file_bytes=given.max_file_bytes,
        max_files=given.max_files,
        receiver=receiver,
    ):
        audit.record(audit.Event(audit.What.STARTED))
        try:
            yield
        finally:
            audit.record(audit.Event(audit.What.STOPPED))


@contextlib.asynccontextmanager
async def open_triton(settings: Settings, metrics: Metrics) -> AsyncIterator[str]:
    """Start the embedded Triton when no other is configured, and give the address of the one to use.

    Traces are opened first: the embedded Triton sends its own part of them.

    Raises:
        InvalidInputError: A file of the trace collector cannot be used.
        NotFoundError: A task that is to be served is not known.
        ModelUnavailableError: The embedded Triton does not start.
    """
    triton, collector = settings.triton, make_collector(settings.traces)
    async with open_traces(collector, settings.traces.sampling_ratio):
        if triton.url:
            yield triton.url
            return
        repository = triton.repository or REPOSITORY
        served = chosen_tasks(triton.tasks) or tasks_in(repository)
        canaries = {model: canary for task in served for model, canary in task_canaries(task).items()}
        async with EmbeddedTriton(
            repository,
            canaries,
            installation=Installation(triton.home) if triton.home else None,
            start_timeout_seconds=triton.start_timeout_seconds,
            metrics_port=triton.metrics_port,
            observer=metrics,
            collector=collector,
        ) as embedded:
            yield embedded.url
