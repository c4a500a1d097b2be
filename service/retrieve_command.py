"""``entrust retrieve``: fetch a study from a PACS into the archive, from the command line."""

import asyncio
import contextlib
import signal
import threading
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from entrust.errors import DeliveryFailedError, InvalidInputError, NotFoundError
from service.observability.logs import configure_logging
from service.settings import load_settings
from service.startup import make_metrics

out = Console()
err = Console(stderr=True)
MAX_NAMED_FAILURES = 20


def retrieve(
    source: Annotated[str, typer.Argument(help="Name of a source of ENTRUST_PULL__SOURCES.")],
    study: Annotated[str, typer.Option(help="StudyInstanceUID.")] = "",
    accession: Annotated[str, typer.Option(help="AccessionNumber, where the UID is not known.")] = "",
    series: Annotated[
        list[str] | None, typer.Option(help="SeriesInstanceUID; all series when absent; may be given again.")
    ] = None,
    modality: Annotated[
        list[str] | None, typer.Option(help="Series of this modality (0008,0060) alone; may be given again.")
    ] = None,
) -> None:
    """Fetch a study from a PACS into the archive; what is there already is not fetched again."""
    settings = load_settings()
    configure_logging(level="error", form="text", on_drop=lambda _reason: None)
    if settings.archive.folder is None:
        raise InvalidInputError("There is no archive to fetch into.", fix="Set ENTRUST_ARCHIVE__FOLDER.")
    from service.app import open_archive
    from service.peers import make_sources
    from service.pull import Report, Wanted
    from service.pull import retrieve as fetch

    wanted = Wanted(study, accession, tuple(series or ()), tuple(modality or ()))
    sources = make_sources(settings)
    if source not in sources:
        names = ", ".join(sorted(sources)) or "none"
        raise NotFoundError("There is no source of that name.", fix=f"Known are: {names}.")
    stop, metrics = threading.Event(), make_metrics()
    with (
        open_archive(settings, metrics) as archive,
        contextlib.closing(sources[source]) as peer,
        Progress(
            TextColumn("[bold]retrieving"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=err
        ) as progress,
    ):
        assert archive is not None  # noqa: S101  (its folder is set)
        bar = progress.add_task("retrieving", total=None)

        async def run() -> Report:
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
            return await asyncio.to_thread(
                fetch,
                peer,
                wanted,
                archive,
                metrics,
                max_instances=settings.pull.max_instances,
                max_instance_bytes=settings.pull.max_instance_bytes,
                on_progress=lambda here, of: progress.update(bar, completed=here, total=of),
                stop=stop,
            )

        report = asyncio.run(run())
    missing = report.found - report.present - report.retrieved
    out.print(f"{report.found} instances: {report.present} were here, {report.retrieved} came, {missing} did not")
    for failure in report.failures[:MAX_NAMED_FAILURES]:
        out.print(f"{failure.reason}: {failure.sop_uid or 'unreadable'}", markup=False, soft_wrap=True)
    if missing:
        raise DeliveryFailedError(f"{missing} instances did not come.", fix="Try again; what has come is kept.")
