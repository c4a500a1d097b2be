"""The PACS and the task manager that this gateway calls, built from the settings: a part of the composition root."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

from entrust.contract import get_task
from service.api.http.doors import DICOMWEB_ROOT
from service.archive import Archive
from service.observability.metrics import Metrics
from service.pull import Retrievals, Source
from service.pull.credentials import client_tls, read_headers
from service.pull.dicomweb import DicomwebSource
from service.pull.dimse import DimseSource, Peer
from service.settings import Settings
from service.settings.peers import SourceSettings
from service.worklist import Capabilities, Performer, PerformerSettings, Studies, TaskManager
from service.worklist.claims import Claims
from service.worklist.inputs import Inputs
from service.worklist.workitem import Code

Stop = Callable[[], Awaitable[None]]
"""Stops something, and returns when it has stopped."""


def make_sources(settings: Settings) -> Mapping[str, Source]:
    """Return every source by its name; none is called yet.

    Raises:
        InvalidInputError: A file of headers or a certificate cannot be used.
    """
    return {name: _source(source, settings.dimse.ae_title) for name, source in settings.pull.sources.items()}


@contextlib.asynccontextmanager
async def open_retrievals(
    settings: Settings, metrics: Metrics, archive: Archive | None
) -> AsyncIterator[Retrievals | None]:
    """Open what fetches studies; None without an archive. What runs at the end is stopped.

    Raises:
        InvalidInputError: A file of a source cannot be used.
    """
    if archive is None:
        yield None
        return
    pull = settings.pull
    retrievals = Retrievals(
        make_sources(settings),
        archive,
        metrics,
        concurrency=pull.concurrency,
        max_waiting=pull.max_waiting,
        max_instances=pull.max_instances,
        max_instance_bytes=pull.max_instance_bytes,
    )
    try:
        yield retrievals
    finally:
        await retrievals.close()


@contextlib.asynccontextmanager
async def open_worklist(
    settings: Settings, metrics: Metrics, retrievals: Retrievals | None, studies: Studies
) -> AsyncIterator[Stop]:
    """Perform the workitems of a task manager, where one is set, until the end of the block.

    Args:
        settings: What a deployment set.
        metrics: Hears of it.
        retrievals: Fetches inputs; None where no archive could keep them.
        studies: Does the work.

    Yields:
        What stops it sooner, before the queue is stopped: work that is going on is left to the next start.

    Raises:
        InvalidInputError: A file of the task manager cannot be used.
        NotFoundError: A procedure names a task that does not exist.
        ConflictError: Another performer uses the folder of claims.
    """
    worklist = settings.worklist
    folder = worklist.folder or (settings.archive.folder or Path()) / "claims"
    if not worklist.url or retrievals is None:
        yield _nothing
        return
    procedures = dict(pair.split("=") for pair in worklist.procedures.split(","))
    for task in procedures.values():
        get_task(task) if task else None
    value, scheme = worklist.station.split("^")
    capabilities = Capabilities(
        station=Code(value, scheme),
        procedures=procedures,
        station_class=worklist.station_class,
        location=worklist.location,
        organization=worklist.organization,
    )
    manager = TaskManager(
        worklist.url,
        headers=read_headers(worklist.headers_file),
        tls=client_tls(worklist.ca_file, worklist.certificate_file, worklist.key_file),
        timeout_seconds=worklist.timeout_seconds,
    )
    sources = settings.pull.sources
    inputs = Inputs(
        retrievals,
        urls={name: one.url.rstrip("/") for name, one in sources.items() if one.kind == "dicomweb"},
        ae_titles={name: one.ae_title for name, one in sources.items() if one.kind == "dimse"},
        default=worklist.source,
    )
    behaviour = PerformerSettings(
        ae_title=worklist.ae_title,
        poll_seconds=worklist.poll_seconds,
        retry_seconds=worklist.retry_seconds,
        concurrency=worklist.concurrency,
        max_attempts=worklist.max_attempts,
        events=worklist.events,
        events_url=worklist.events_url,
        results_root=f"{settings.rest.public_url.rstrip('/')}{DICOMWEB_ROOT}",
    )
    claims = await asyncio.to_thread(Claims, folder)
    performer = Performer(manager, capabilities, behaviour, claims, inputs, studies, metrics)
    performing = asyncio.create_task(performer.run(), name="worklist")

    async def stop() -> None:
        performing.cancel()
        await asyncio.gather(performing, return_exceptions=True)

    try:
        yield stop
    finally:
        await stop()
        claims.close()
        await manager.close()


async def _nothing() -> None:
    """Stop what was never started."""


def _source(source: SourceSettings, own_ae_title: str) -> Source:
    if source.kind == "dicomweb":
        return DicomwebSource(
            source.url,
            headers=read_headers(source.headers_file),
            tls=client_tls(source.ca_file, source.certificate_file, source.key_file),
            timeout_seconds=source.timeout_seconds,
        )
    tls = client_tls(source.ca_file, source.certificate_file, source.key_file) if source.tls else None
    return DimseSource(
        Peer(
            host=source.host,
            port=source.port,
            ae_title=source.ae_title,
            own_ae_title=own_ae_title,
            method=source.method,
            tls=tls,
            timeout_seconds=source.timeout_seconds,
        )
    )
