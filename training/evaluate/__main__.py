"""Score released weights on a public data set: ``python -m training.evaluate --dataset brats21 --root FOLDER``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from entrust.errors import EnTrustError, NotFoundError
from entrust.networks.release import load_release
from training.datasets.public.questions import served_task
from training.datasets.public.registry import SETS, get_set
from training.evaluate.document import as_document, as_heading, as_table, write_document
from training.evaluate.public import PublicScore, evaluate_set

PROJECT = Path(__file__).resolve().parents[2]

console = Console(stderr=True, soft_wrap=True)


def _tell(case: str, outcome: PublicScore | str) -> None:
    if isinstance(outcome, str):
        console.print(f"[yellow]left out:[/yellow] {outcome}")
    else:
        numbers = outcome.score.numbers
        console.print(
            f"{case}: {'+'.join(outcome.given)}, Dice {numbers['dice']:.3f}, ECE {numbers['ece.foreground']:.3f}"
        )


def main(
    dataset: Annotated[str, typer.Option(help=f"One of {', '.join(SETS)}.")],
    root: Annotated[Path, typer.Option(help="The folder that holds the data set's cases.")],
    weights: Annotated[Path, typer.Option(help="Folder with <task>.safetensors and .json.")] = PROJECT / "weights",
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many cases, by name.")] = None,
    out: Annotated[Path | None, typer.Option(help="JSON with all numbers; out/evaluate-<dataset>.json.")] = None,
) -> None:
    """Print the table of a data set's cases, and write every number as JSON."""
    try:
        public = get_set(dataset)
        task = served_task(public.task)
        networks = load_release(task, weights / f"{task.name}.safetensors")
        found = evaluate_set(public, root, networks, task, limit=limit, hear=_tell)
        if not found.scores:
            raise NotFoundError(
                f"None of the {len(found.refused)} cases could be scored.", fix="See why each was left out."
            )
        path = out or Path("out") / f"evaluate-{public.name}.json"
        write_document(path, as_document(found, task, networks.card))
        print(as_heading(found, task, networks.card), as_table(found), sep="\n\n")  # plain, so that it can be copied
        console.print(f"All numbers: {path}")
    except EnTrustError as error:
        console.print(f"[red]{error}[/red]")
        raise SystemExit(1) from None


if __name__ == "__main__":
    typer.run(main)
