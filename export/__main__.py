"""``python -m export``: released weights → a model repository."""

import json
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from entrust.contract import ModelCard, Task
from entrust.errors import EnTrustError
from export import parity, plans
from export.graphs import ServedModel, served_models, to_onnx
from export.repository import ModelFile, write_repository
from export.weights import PROJECT_ROOT, choose_weights, load_networks


class TargetName(StrEnum):
    """What the models become."""

    ONNX = "onnx"
    TENSORRT = "tensorrt"


def export(
    task: Annotated[str, typer.Option(help="Task to export; every one that has weights when absent.")] = "",
    untrained: Annotated[bool, typer.Option("--untrained", help="Random weights, for trying the service.")] = False,
    weights: Annotated[
        Path | None, typer.Option(help="Released .safetensors file, or their folder; the .json lie beside them.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Model repository to write.")] = None,
    target: Annotated[TargetName, typer.Option(help="ONNX files, or TensorRT plans for the GPU at hand.")] = (
        TargetName.ONNX
    ),
) -> None:
    """Write the served models of one task, or of all, and show that they compute what the networks compute."""
    console = Console()
    try:
        for one, path in choose_weights(task, weights, untrained=untrained):
            _export(console, one, path, out, target)
    except EnTrustError as error:
        Console(stderr=True).print(f"[red]{error.kind}[/red] {error}")
        raise typer.Exit(1) from error


def _export(console: Console, task: Task, path: Path | None, out: Path | None, target: TargetName) -> None:
    trt = plans.load_tensorrt() if target is TargetName.TENSORRT else None
    networks = load_networks(task, path)
    models = served_models(task, networks)
    files: dict[str, bytes] = {}
    for part, model in models.items():
        with console.status(f"Exporting {model.contract.name} …"):
            files[part] = to_onnx(model)
    inputs = parity.find_inputs(task)
    rows = parity.compare(task, models, files, inputs)
    _show(console, rows, inputs.source, networks.card)
    parity.check(rows)
    if path is not None:
        document = json.dumps(parity.report(rows, inputs), indent=2) + "\n"
        path.with_suffix(".parity.json").write_text(document)
    if trt is not None:
        files = {part: plans.build_plan(trt, model, files[part]) for part, model in models.items()}
    folder = out or PROJECT_ROOT / ("model_repository" if trt is None else "model_repository_tensorrt")
    _write(console, folder, models, files, networks.card, target)


def _write(
    console: Console,
    folder: Path,
    models: Mapping[str, ServedModel],
    files: Mapping[str, bytes],
    card: ModelCard,
    target: TargetName,
) -> None:
    ready = [ModelFile(model.contract, files[part]) for part, model in models.items()]
    for path in write_repository(folder, ready, card, target.value):
        console.print(f"wrote {path.relative_to(folder)} ({path.stat().st_size / 1e6:.2f} MB)")


def _show(console: Console, rows: list[parity.TensorParity], source: str, card: ModelCard) -> None:
    table = Table(title=f"{card.task} {card.version} ({card.digest[:12]}): torch against ONNX Runtime on {source}")
    for column in ("model", "tensor", "shape"):
        table.add_column(column)
    for column in ("max |Δ|", "max |torch|"):
        table.add_column(column, justify="right")
    for row in rows:
        shape = "×".join(str(n) for n in row.shape)
        table.add_row(
            row.model.removeprefix(f"{card.task}_"), row.tensor, shape, f"{row.max_abs:.2e}", f"{row.scale:.3g}"
        )
    console.print(table)


if __name__ == "__main__":
    sys.argv[0] = "python -m export"
    typer.run(export)
