"""The command line: ``entrust serve`` and what else its help lists.

The rooms are imported by the commands that need them: to load the toolkits for images takes seconds, in which ``serve``
has Triton start already.
"""

import asyncio
import contextlib
import importlib
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from entrust.contract import TASKS, get_task
from entrust.errors import (
    CancelledError,
    DeliveryFailedError,
    EnTrustError,
    ErrorKind,
    InternalError,
    InvalidInputError,
)
from entrust.sampling import SAMPLERS
from service.audit_command import show_trail
from service.deliver_command import deliver
from service.extra_results import Extra
from service.observability.logs import configure_logging, describe_exception, get_logger
from service.observability.traces import span
from service.retrieve_command import retrieve
from service.rules_command import commands as rules_commands
from service.settings import Settings, load_settings
from service.startup import make_metrics, open_triton, serving_one
from service.studies_command import commands as studies_commands
from service.summary import Summary

if TYPE_CHECKING:
    from service.pipeline import ModelState, SegmentationRequest, Source

EXIT_CODES: Mapping[ErrorKind, int] = {
    ErrorKind.INVALID_INPUT: 2,
    ErrorKind.UNSUPPORTED_MEDIA: 2,
    ErrorKind.MISSING_MODALITY: 2,
    ErrorKind.GEOMETRY_CONFLICT: 2,
    ErrorKind.NOT_FOUND: 2,
    ErrorKind.CONFLICT: 2,
    ErrorKind.TOO_LARGE: 2,
    ErrorKind.OVERLOADED: 75,
    ErrorKind.UNAUTHENTICATED: 77,
    ErrorKind.FORBIDDEN: 77,
    ErrorKind.MODEL_UNAVAILABLE: 69,
    ErrorKind.INFERENCE_FAILED: 70,
    ErrorKind.DEADLINE_EXCEEDED: 75,
    ErrorKind.CANCELLED: 130,
    ErrorKind.DELIVERY_FAILED: 74,
    ErrorKind.SOURCE_UNAVAILABLE: 69,
    ErrorKind.INTERNAL: 70,
}
"""Exit codes in the manner of sysexits.h."""

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Segment multi-modality studies, and say where and why the answer may be wrong. Research use only.",
)
cli.add_typer(rules_commands, name="rules")
cli.add_typer(studies_commands, name="studies")
cli.command()(retrieve)
cli.command("deliver")(deliver)
cli.command("audit")(show_trail)
out = Console()
err = Console(stderr=True)


@cli.command()
def serve() -> None:
    """Serve HTTP and gRPC until stopped; everything is set by ENTRUST_… variables (docs/api.md)."""
    asyncio.run(_serve(load_settings()))


async def _serve(settings: Settings) -> None:
    """Start Triton, and load the gateway while it starts.

    Raises:
        EnTrustError: As :func:`service.app.serve`.
    """
    metrics = make_metrics(settings.metrics.references)
    configure_logging(level=settings.logs.level, form=settings.logs.format, on_drop=metrics.log_dropped)
    async with contextlib.AsyncExitStack() as stack:
        starting = asyncio.create_task(stack.enter_async_context(open_triton(settings, metrics)), name="triton-start")
        try:
            app = await asyncio.to_thread(importlib.import_module, "service.app")
            await app.serve(settings, metrics, starting)
        finally:
            if not starting.done():
                starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
    get_logger(__name__).info("stopped")


@cli.command()
def models() -> None:
    """List the tasks and the weights that serve them."""
    table = Table("task", "title", "modalities", "labels", "version", "digest", "state")
    for state in asyncio.run(_models(_quiet(load_settings()))):
        task = get_task(state.task)
        table.add_row(
            task.name,
            task.title,
            ", ".join(task.slugs),
            ", ".join(label.slug for label in task.labels),
            state.card.version if state.card else "",
            state.card.digest[:12] if state.card else "",
            "ready" if state.card else state.reason,
        )
    out.print(table)


@cli.command()
def segment(
    to: Annotated[Path, typer.Option("--out", help="Folder for the results.")],
    study: Annotated[
        Path | None, typer.Argument(metavar="INPUT", help="DICOM folder, zip or file; or a folder of NIfTI files.")
    ] = None,
    task: Annotated[
        str, typer.Option(help="What to segment; see `entrust models`. The study decides when absent.")
    ] = "",
    modality: Annotated[
        list[str] | None,
        typer.Option(
            help="slug=path of a NIfTI file, without INPUT; or slug=series (its number, description or UID, or `none`)"
            " where the tags of INPUT do not decide. Several may follow: --modality ct=… pet=… t1=…"
        ),
    ] = None,
    num_hypotheses: Annotated[int | None, typer.Option(min=1, help="K; the task's default when absent.")] = None,
    num_steps: Annotated[int | None, typer.Option(min=1, help="S; the task's default when absent.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same input, seed and model: same masks and maps.")] = 0,
    sampler: Annotated[str, typer.Option(help=f"One of {', '.join(SAMPLERS)}.")] = SAMPLERS[0],
    extra_result: Annotated[
        list[Extra] | None, typer.Option(help="A further DICOM result, where INPUT is DICOM; may be given again.")
    ] = None,
) -> None:
    """Segment one study; starts an embedded Triton when none is configured."""
    slugs = get_task(task).slugs if task else tuple(dict.fromkeys(s for t in TASKS.values() for s in t.slugs))
    given = _pairs(modality or [], slugs)
    if study is None and not given:
        raise InvalidInputError(
            "Nothing to segment.", fix="Name a study, or a file by modality: --modality ct=ct.nii.gz."
        )
    if study is not None and not study.exists():  # told before anything is started
        raise InvalidInputError("INPUT does not exist.", fix="Name a DICOM folder, zip or file.")
    settings = _quiet(load_settings())
    if task:
        settings = serving_one(settings, task)
    limits = settings.inference
    from service.pipeline import SegmentationRequest

    def ask(name: str) -> SegmentationRequest:
        known = get_task(name)
        return SegmentationRequest(
            task=known.name,
            num_hypotheses=_within("--num-hypotheses", num_hypotheses or known.num_hypotheses, limits.max_hypotheses),
            num_steps=_within("--num-steps", num_steps or known.num_steps, limits.max_steps),
            seed=seed,
            sampler=sampler,
            assignment=given if study is not None else {},
            extra_results=tuple(extra for extra in Extra if extra in (extra_result or [])),
        )

    source: "Source" = study if study is not None else {slug: Path(path) for slug, path in given.items()}
    ask(task or next(iter(TASKS)))  # what is wrong with the numbers is told before anything is started
    files = asyncio.run(_segment(settings, ask, task, source))
    try:
        to.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (to / name).write_bytes(content)
    except OSError as error:
        raise DeliveryFailedError(
            f"The results cannot be written ({type(error).__name__}).", fix="Name a folder that can be written to."
        ) from error
    _report(Summary.model_validate_json(files["summary.json"]), to, list(files))


async def _models(settings: Settings) -> "tuple[ModelState, ...]":
    from service.app import open_pipeline

    async with open_pipeline(settings, make_metrics()) as pipeline:
        return await pipeline.models()


async def _segment(
    settings: Settings, ask: "Callable[[str], SegmentationRequest]", task: str, source: "Source"
) -> dict[str, bytes]:
    """Segment a study, of which the task may still have to be found out.

    Args:
        settings: What a deployment set.
        ask: What is asked, given the task.
        task: The task; empty when the study decides.
        source: The study.
    """
    from service.app import open_pipeline

    cancelled = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, cancelled.set)
    with Progress(  # on standard error: standard output is for the answer
        TextColumn("[bold]{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=err
    ) as progress:
        bar = progress.add_task("starting", total=1)

        def show(stage: str, step: int, of: int) -> None:
            progress.update(bar, description=stage, completed=step, total=of)

        async with open_pipeline(settings, make_metrics()) as pipeline:
            with span("segment"):
                request = ask(task or await pipeline.settle_task(source))
                files = await pipeline.segment(request, source, on_progress=show, cancelled=cancelled)
    return {file.name: file.content for file in files}


def _report(summary: Summary, folder: Path, names: Sequence[str]) -> None:
    """Print what was found, and where it is."""
    table = Table("structure", "volume ml", "90 % interval", "reliability", "why not more")
    for found in summary.segments:
        interval = found.volume_interval_ml
        table.add_row(
            found.title,
            f"{found.volume_ml:.1f}",
            f"{interval.low:.1f} – {interval.high:.1f}",
            found.reliability,
            ", ".join(found.reasons),
        )
    out.print(table)
    uncertain = summary.uncertain
    out.print(
        f"{uncertain.num_regions} uncertain regions, {uncertain.volume_ml:.1f} ml: {uncertain.share:.1%} "
        "of the structure and its surroundings"
    )
    for warning in summary.warnings:
        out.print(f"note: {warning.message}", markup=False, soft_wrap=True)
    out.print(f"{len(names)} files in {folder}: {', '.join(names)}", markup=False, soft_wrap=True)
    out.print(summary.notice, style="dim")


def _pairs(given: Sequence[str], slugs: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given:
        slug, separator, value = text.partition("=")
        if not separator or not value or slug not in slugs or slug in pairs:
            raise InvalidInputError(
                "--modality takes slug=value, each slug once.", fix=f"The task's slugs: {', '.join(slugs)}."
            )
        pairs[slug] = value
    return pairs


def _within(name: str, value: int, limit: int) -> int:
    if value > limit:
        raise InvalidInputError(f"{name} is over the limit.", fix=f"Ask for at most {limit}.")
    return value


def _quiet(settings: Settings) -> Settings:
    """Log for a person at a terminal: only what is wrong."""
    configure_logging(level="error", form="text", on_drop=lambda _reason: None)
    return settings


def spread(arguments: Sequence[str]) -> list[str]:
    """Write ``--modality a=1 b=2`` as ``--modality a=1 --modality b=2``, which the parser knows."""
    result: list[str] = []
    within = False
    for argument in arguments:
        if argument == "--modality":
            within = True
            continue
        slug, separator, _ = argument.partition("=")
        if within and separator and slug.isidentifier():
            result += ["--modality", argument]
        else:
            within = False
            result.append(argument)
    return result


def main() -> None:
    """Run the command line; every failure is one line with its cause, one with its fix, and an exit code."""
    try:
        cli(args=spread(sys.argv[1:]), prog_name="entrust")
    except EnTrustError as error:
        _fail(error)
    except KeyboardInterrupt:
        _fail(CancelledError("Stopped."))
    except Exception as error:  # the boundary of the command line
        where = describe_exception(error)
        _fail(InternalError(f"A defect: {where['error']} at {where['position']}.", fix="Please report it."))


def _fail(error: EnTrustError) -> None:
    err.print(f"error: {error.message}", style="bold red", markup=False, highlight=False, soft_wrap=True)
    if error.fix:
        err.print(f"fix: {error.fix}", markup=False, highlight=False, soft_wrap=True)
    raise SystemExit(EXIT_CODES[error.kind])


if __name__ == "__main__":
    main()
