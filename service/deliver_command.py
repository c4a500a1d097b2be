"""``entrust deliver``: an operator hands one set of results over, and sees what becomes of it."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from entrust.errors import EnTrustError, InvalidInputError
from service.observability.logs import configure_logging
from service.settings import Settings, load_settings
from service.startup import make_metrics

if TYPE_CHECKING:  # the command loads what it needs: the rooms take seconds
    from service.delivery import Delivery, InstanceRef
    from service.delivery.checking import FindImages
    from service.delivery.courier import OnOutcomes
    from service.delivery.outcomes import Outcomes

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 30.0
out = Console()


def deliver(
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="Folder with the DICOM results of one study.")],
    target: Annotated[list[str], typer.Option(help="Name of a receiver (docs/delivery.md); may be given again.")],
    source: Annotated[
        Path | None, typer.Option(help="Folder with the study's images; the archive when absent.")
    ] = None,
    wait_seconds: Annotated[float, typer.Option(min=0.0, help="How long to try again what may succeed yet.")] = 60.0,
) -> None:
    """Check one set of results against its images, send it, and see that it has arrived."""
    settings = load_settings()
    configure_logging(level="error", form="text", on_drop=lambda _reason: None)
    paths = sorted(path for path in results.rglob("*.dcm") if path.is_file()) if results.is_dir() else []
    if not paths:
        raise InvalidInputError("RESULTS holds no DICOM results.", fix="Name a folder with files *.dcm.")
    said: dict[tuple[str, str, str], str] = {}

    def note(name: str, stage: str, outcomes: "Outcomes") -> None:
        said.update({(name, stage, uid): str(outcome) for uid, outcome in outcomes.items()})

    with _courier(settings, source, note) as courier:
        failures = asyncio.run(_hand_over(courier, paths, target, wait_seconds, said))
    if failures:
        raise failures[0]


@contextlib.contextmanager
def _courier(settings: Settings, source: Path | None, note: "OnOutcomes") -> "Iterator[Delivery]":
    """Build what delivers; answers to requests for commitment are noted beside the archive, for its gateway to fill."""
    from service.app import ingest_limits, open_archive
    from service.delivery.reports import CommitmentReports
    from service.dispatch import images_in, make_courier, open_reports

    metrics = make_metrics()
    with contextlib.ExitStack() as stack:
        archive = None if source is not None else stack.enter_context(open_archive(settings, metrics))
        if source is not None:
            find = _images_below(source)
        elif archive is not None:
            find = images_in(archive)
        else:
            raise InvalidInputError(
                "There are no images to compare the results with.",
                fix="Name them by --source, or set ENTRUST_ARCHIVE__FOLDER.",
            )
        reports = open_reports(settings) or CommitmentReports(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        yield make_courier(settings, metrics, find, reports, ingest_limits(settings), note)


def _images_below(folder: Path) -> "FindImages":
    if not folder.is_dir():
        raise InvalidInputError("The folder of --source does not exist.", fix="Name a folder with the study's images.")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return lambda _study_uid, _series_uid: files


async def _hand_over(
    courier: "Delivery",
    paths: list[Path],
    targets: list[str],
    wait_seconds: float,
    said: Mapping[tuple[str, str, str], str],
) -> list[EnTrustError]:
    """Deliver to each target, print what became of each instance, and return what went wrong."""
    from service.delivery import InstanceRef

    refs = [InstanceRef.of(path) for path in paths]
    failures = []
    for target in targets:
        error = await _deliver(courier, refs, target, wait_seconds)
        table = Table(
            "file", "kind", "sent", "confirmed", title=f"{target}: {'delivered' if error is None else 'failed'}"
        )
        for ref in refs:
            given = courier.gives(target, ref.sop_class_uid)
            told = [said.get((target, stage, ref.sop_instance_uid), "") for stage in ("deliver", "confirm")]
            table.add_row(ref.path.name, ref.kind, *(told if given else ("not given to it", "")))
        out.print(table)
        if error is not None:
            failures.append(error)
            out.print(str(error), markup=False, soft_wrap=True)
    return failures


async def _deliver(
    courier: "Delivery", refs: "list[InstanceRef]", target: str, wait_seconds: float
) -> EnTrustError | None:
    """Deliver and confirm; what may succeed yet is tried again, with growing pauses, until the time is over."""
    from service.delivery import is_transient

    study_uid, end, pause_seconds, sent = (
        refs[0].study_uid,
        time.monotonic() + wait_seconds,
        _FIRST_PAUSE_SECONDS,
        False,
    )
    while True:
        try:
            if not sent:
                await courier.deliver(study_uid, [ref.path for ref in refs], target)
                sent = True
            await courier.confirm(study_uid, refs, target)
        except EnTrustError as error:
            if not is_transient(error) or time.monotonic() + pause_seconds > end:
                return error
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2.0 * pause_seconds, _LONGEST_PAUSE_SECONDS)
        else:
            return None
