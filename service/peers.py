"""The PACS that this gateway calls, built from the settings: a part of the composition root."""

import contextlib
from collections.abc import AsyncIterator, Mapping

from service.archive import Archive
from service.observability.metrics import Metrics
from service.pull import Retrievals, Source
from service.pull.credentials import client_tls, read_headers
from service.pull.dicomweb import DicomwebSource
from service.pull.dimse import DimseSource, Peer
from service.settings import Settings, SourceSettings


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
