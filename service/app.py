"""The composition root: builds everything once, from the settings, and takes it down in order."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Iterator
from importlib.metadata import version

import uvicorn

from entrust.contract import TASKS
from entrust.errors import InvalidInputError
from service.api.dicomweb import create_router as create_dicomweb_router
from service.api.dimse.listener import ScpSettings
from service.api.dimse.listener import open_listener as open_scp
from service.api.rest.application import create_application
from service.api.rest.listener import BACKLOG, http_server, listen
from service.api.rpc.application import RpcLimits
from service.api.rpc.listener import RpcListener, open_listener
from service.archive import Archive, Watermark
from service.archive.space import free_ratio
from service.dispatch import delivery_retries, make_delivery, open_reports
from service.inference import TritonClient
from service.ingest import IngestLimits
from service.intake.access import Access, read_tokens
from service.intake.certificates import Certificate
from service.intake.gateway import Gateway
from service.intake.parameters import ParameterLimits
from service.intake.upload import UploadLimits, work_folder
from service.jobs.runner import JobRunner
from service.jobs.shelf import open_folder
from service.jobs.store import LocalJobStore
from service.observability.activities import Activities
from service.observability.logs import get_logger
from service.observability.metrics import Metrics
from service.peers import Stop, open_retrievals, open_worklist
from service.pipeline import Pipeline
from service.selection import load_rules, with_quiet_seconds
from service.settings import Settings
from service.startup import open_audit, open_triton
from service.studies import Studies
from service.studies.engine import EngineSettings
from service.studies.steps import StudyParameters
from service.studies.studies import StudiesSettings, open_studies
from service.studies.trail import tell_trail
from service.worklist.in_process import QueuedStudies

log = get_logger(__name__)
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def ingest_limits(settings: Settings) -> IngestLimits:
    """Return the bounds on what is read."""
    ingest = settings.ingest
    return IngestLimits(
        max_files=ingest.max_files,
        max_bytes=ingest.max_bytes,
        max_uncompressed_bytes=ingest.max_uncompressed_bytes,
        max_ratio=ingest.max_ratio,
        max_voxels=ingest.max_voxels,
    )


@contextlib.asynccontextmanager
async def open_pipeline(
    settings: Settings, metrics: Metrics, triton_url: Awaitable[str] | None = None
) -> AsyncIterator[Pipeline]:
    """Connect to Triton and build the pipeline.

    Args:
        settings: What a deployment set.
        metrics: Hears of everything.
        triton_url: Address of a Triton that somebody else is starting; without it, one is started where none is
            configured.

    Raises:
        InvalidInputError: The rules file or a file of the trace collector cannot be used.
        NotFoundError: The rules file cannot be read.
        ModelUnavailableError: The embedded Triton does not start.
    """
    triton = settings.triton
    rules = load_rules(settings.selection.rules, TASKS)
    async with contextlib.AsyncExitStack() as stack:
        url = await (triton_url or stack.enter_async_context(open_triton(settings, metrics)))
        client = await stack.enter_async_context(
            TritonClient(url, shared_memory=triton.shared_memory, observer=Activities(metrics))
        )
        yield Pipeline(
            client,
            limits=ingest_limits(settings),
            rules=rules,
            metrics=metrics,
            precision=triton.precision,
            chunk=settings.inference.chunk,
        )


@contextlib.contextmanager
def open_archive(settings: Settings, metrics: Metrics) -> Iterator[Archive | None]:
    """Open the archive; None where no folder is set for one.

    Raises:
        InvalidInputError: The folder cannot be used.
        InternalError: Its index cannot be used.
    """
    folder = settings.archive.folder
    if folder is None:
        yield None
        return
    watermark = Watermark(settings.archive.max_used_ratio, settings.archive.min_free_bytes)
    try:
        archive = Archive(folder, watermark=watermark, limits=ingest_limits(settings))
    except OSError as error:
        raise InvalidInputError(
            f"The archive's folder cannot be used ({os.strerror(error.errno or 0)}).",
            fix="Set ENTRUST_ARCHIVE__FOLDER to a folder that this process may write to.",
        ) from error
    metrics.archive_space(lambda: free_ratio(folder))
    with contextlib.closing(archive):
        yield archive


@contextlib.contextmanager
def open_dimse(
    settings: Settings, metrics: Metrics, archive: Archive | None, certificate: Certificate | None
) -> Iterator[int]:
    """Serve DIMSE where it is switched on, and give its port; 0 where it is not.

    Raises:
        InvalidInputError: The address cannot be had.
    """
    dimse = settings.dimse
    if not dimse.enabled or archive is None:
        yield 0
        return
    scp = ScpSettings(
        ae_title=dimse.ae_title,
        any_called_ae_title=dimse.any_called_ae_title,
        calling_ae_titles=tuple(title.strip() for title in dimse.calling_ae_titles.split(",") if title.strip()),
        max_pdu_bytes=dimse.max_pdu_bytes,
        max_associations=dimse.max_associations,
        timeout_seconds=dimse.timeout_seconds,
    )
    tls = certificate.server_context() if dimse.tls and certificate is not None else None
    with open_scp(dimse.host, dimse.port, scp, archive, metrics, tls, open_reports(settings)) as server:
        port = int(server.server_address[1])
        log.info("dimse-listening", host=dimse.host, port=port)
        yield port


@contextlib.asynccontextmanager
async def open_archive_studies(
    settings: Settings, metrics: Metrics, archive: Archive | None, pipeline: Pipeline
) -> AsyncIterator[Studies | None]:
    """Work on the studies of the archive; None where there is none, or studies are not to be worked on.

    Raises:
        InvalidInputError: The database cannot be used, or another gateway works on the same studies.
    """
    asked = settings.studies
    if archive is None or not asked.enabled:
        yield None
        return
    limits = ingest_limits(settings)
    rules = pipeline.rules if asked.quiet_seconds is None else with_quiet_seconds(pipeline.rules, asked.quiet_seconds)
    async with open_studies(
        archive,
        pipeline,
        rules,
        limits,
        metrics,
        make_delivery(settings, metrics, archive, limits),
        StudiesSettings(
            parameters=StudyParameters(asked.num_hypotheses, asked.num_steps),
            engine=EngineSettings(asked.retries, asked.retry_seconds, asked.max_interruptions),
            concurrency=asked.concurrency,
            deliveries=asked.deliveries,
            delivery_retries=delivery_retries(settings),
            max_seconds=asked.max_step_seconds,
            images_seconds=_seconds(asked.retention_hours),
            results_seconds=_seconds(asked.results_retention_hours),
        ),
        url=settings.database.url.get_secret_value(),
        listeners=[tell_trail],
    ) as studies:
        yield studies


def _seconds(hours: float | None) -> float | None:
    return None if hours is None else hours * 3600.0


@contextlib.asynccontextmanager
async def open_gateway(
    settings: Settings,
    metrics: Metrics,
    access: Access | None = None,
    *,
    archive: Archive | None = None,
    triton_url: Awaitable[str] | None = None,
) -> AsyncIterator[Gateway]:
    """Build the service behind the faces; on the way out running jobs are cancelled.

    Args:
        settings: What a deployment set.
        metrics: Hears of everything.
        access: Who may ask; as the settings say when not given.
        archive: What keeps the studies of a PACS, where there is one.
        triton_url: See :func:`open_pipeline`.

    Raises:
        ModelUnavailableError: The embedded Triton does not start.
    """
    jobs = settings.jobs
    with contextlib.ExitStack() as folders:
        folder = folders.enter_context(work_folder(jobs.work_folder))
        shelf = folders.enter_context(open_folder(jobs.results_folder)) if jobs.results_folder else None
        async with (
            open_pipeline(settings, metrics, triton_url) as pipeline,
            open_archive_studies(settings, metrics, archive, pipeline) as studies,
            open_retrievals(settings, metrics, archive) as retrievals,
        ):
            store = LocalJobStore(
                max_queued=jobs.max_queued,
                retention_seconds=jobs.retention_seconds,
                retention_bytes=jobs.retention_bytes,
                shelf=shelf,
                found=await asyncio.to_thread(lambda: list(shelf.found())) if shelf else (),
            )
            runner = JobRunner(store, metrics, concurrency=jobs.concurrency)
            await runner.start()
            try:
                yield Gateway(
                    pipeline=pipeline,
                    runner=runner,
                    metrics=metrics,
                    access=access or Access(read_tokens(settings.auth.token_file)),
                    uploads=UploadLimits(
                        max_body_bytes=settings.rest.max_body_bytes,
                        max_files=settings.rest.max_files,
                        timeout_seconds=settings.rest.upload_timeout_seconds,
                    ),
                    parameters=ParameterLimits(
                        max_hypotheses=settings.inference.max_hypotheses,
                        max_steps=settings.inference.max_steps,
                        max_duration_seconds=jobs.max_duration_seconds,
                    ),
                    max_wait_seconds=settings.rest.max_wait_seconds,
                    work_folder=folder,
                    public_url=settings.rest.public_url,
                    archive=archive,
                    studies=studies,
                    retrievals=retrievals,
                )
            finally:
                await runner.stop(0.0)


async def serve(settings: Settings, metrics: Metrics, triton_url: Awaitable[str]) -> None:
    """Serve HTTP and gRPC until SIGTERM or SIGINT; a second signal does not wait for running jobs.

    Args:
        settings: What a deployment set.
        metrics: Hears of everything.
        triton_url: Address of a Triton that may still be starting.

    Raises:
        InvalidInputError: An address cannot be listened on, or a secret's file cannot be used.
        ModelUnavailableError: The embedded Triton does not start.
    """
    access, certificate = Access(read_tokens(settings.auth.token_file)), read_certificate(settings)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(open_audit(settings, metrics))
        # what can be wrong with addresses and secrets is told before anything slow is waited for
        listener = stack.enter_context(listen(settings.rest.host, settings.rest.port))
        rpc = await stack.enter_async_context(bind_rpc(settings, metrics, access, certificate))
        archive = stack.enter_context(open_archive(settings, metrics))
        stack.enter_context(open_dimse(settings, metrics, archive, certificate))
        gateway = await stack.enter_async_context(
            open_gateway(settings, metrics, access, archive=archive, triton_url=triton_url)
        )
        async with (
            rpc.serve(gateway),
            open_worklist(settings, metrics, gateway.retrievals, QueuedStudies(gateway)) as stop_worklist,
        ):
            server = make_server(gateway, certificate)
            stop = asyncio.Event()
            stopping = asyncio.create_task(_stop_in_order(server, gateway, stop, settings, stop_worklist))
            loop = asyncio.get_running_loop()
            for number in STOP_SIGNALS:
                loop.add_signal_handler(number, _on_signal, server, stop)
            listener.listen(BACKLOG)  # from here on callers are taken, and wait the moment until they are served
            host, port = listener.getsockname()[:2]
            log.info("listening", host=host, port=port)
            try:
                await server.serve(sockets=[listener])
            finally:
                stopping.cancel()
                for number in STOP_SIGNALS:
                    loop.remove_signal_handler(number)


@contextlib.asynccontextmanager
async def bind_rpc(
    settings: Settings, metrics: Metrics, access: Access, certificate: Certificate | None
) -> AsyncIterator[RpcListener]:
    """Take the address of the gRPC face; where it is switched off, the listener serves nothing.

    Raises:
        InvalidInputError: The address cannot be had.
    """
    rpc = settings.rpc
    limits = RpcLimits(rpc.max_message_bytes, rpc.max_calls, rpc.compression)
    if not rpc.enabled:
        yield RpcListener(None, 0, limits)
        return
    async with open_listener(rpc.host, rpc.port, metrics, access, limits, certificate) as listener:
        log.info("rpc-listening", host=rpc.host, port=listener.port)
        yield listener


def make_server(gateway: Gateway, certificate: Certificate | None = None) -> uvicorn.Server:
    """Build the HTTP server on an open gateway."""
    others = [create_dicomweb_router()] if gateway.archive is not None else []
    return http_server(create_application(gateway, version=version("entrust-serve"), others=others), certificate)


def read_certificate(settings: Settings) -> Certificate | None:
    """Return the certificate of both faces, or None where they are not encrypted.

    Raises:
        InvalidInputError: Its files cannot be used.
    """
    tls = settings.tls
    if tls.certificate_file is None or tls.key_file is None:
        return None
    certificate = Certificate(tls.certificate_file, tls.key_file, tls.client_ca_file)
    certificate.check()
    return certificate


def _on_signal(server: uvicorn.Server, stop: asyncio.Event) -> None:
    if stop.is_set():
        server.should_exit = server.force_exit = True
    stop.set()


async def _stop_in_order(
    server: uvicorn.Server, gateway: Gateway, stop: asyncio.Event, settings: Settings, stop_worklist: Stop
) -> None:
    """Drain: refuse what is new, let jobs end, so that those who wait for them are answered, then close.

    The worklist goes first: a job that is taken back by a stop is no reason to cancel its workitem.
    """
    await stop.wait()
    log.info("stopping")
    await stop_worklist()
    await gateway.runner.stop(settings.rest.shutdown_grace_seconds)
    server.should_exit = True
