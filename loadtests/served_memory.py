"""Memory of the models that a server holds: EnTrust's three and the five U-Nets of its strongest rival.

``python -m loadtests.served_memory`` asks both in fresh processes, and keeps the numbers for ``make bench-science``.
The gateway's own memory is not in them, nor the program code of a model's process.
"""

import multiprocessing
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from entrust.conflict import probe_plan
from entrust.contract import LESION, ModelContract, Task, TensorSpec, get_task
from export.graphs import AXES, ServedModel, example_inputs, served_models, to_onnx
from export.weights import load_networks, released_path
from loadtests.in_process import open_session
from loadtests.machine import describe_machine
from service.startup import REPOSITORY
from training.baselines.rival import RIVALS
from training.benchmark.plan import ENTRUST
from training.benchmark.tables.served import Held, ServedMemory, path_of, save
from training.benchmark.tables.ways import ENSEMBLE, NUM_HYPOTHESES, resident_mib

KEPT = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "science"
SLICES = (1, 2, 4, 8)
SIDE = 96
"""Pixels; as the phantoms have."""
SMALL = {"b": 1, "v": 1, "k": 1, "h": 32, "w": 32}
PROCESSES = 3

Feed = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Call:
    """One call of a model.

    Attributes:
        path: The ONNX file.
        small: Inputs that load the code it needs.
        feed: Its inputs.
    """

    path: Path
    small: Feed
    feed: Feed


@dataclass(frozen=True)
class Way:
    """A way of asking: calls one after the other, each distinct file a session of its own."""

    method: str
    asked: str
    slices: int
    calls: Sequence[Call]


def call(model: ServedModel, path: Path, **sizes: int) -> Call:
    """Return a call with random inputs.

    Args:
        model: The model.
        path: Its file.
        sizes: As for :func:`export.graphs.example_inputs`; the plane's are given.
    """
    names = [spec.name for spec in model.contract.inputs]

    def feed(sizes: Mapping[str, int]) -> Feed:
        tensors = example_inputs(model, dict(sizes), torch.Generator().manual_seed(0))
        return {name: tensor.numpy() for name, tensor in zip(names, tensors, strict=True)}

    return Call(path, feed(SMALL), feed(SMALL | {"h": SIDE, "w": SIDE} | sizes))


def entrust_ways(task: Task) -> Iterator[Way]:
    """Yield ways of asking EnTrust's served models, as the sampling loop's calls are shaped."""
    models = served_models(task, load_networks(task, released_path(task)))

    def one(part: str, **sizes: int) -> Call:
        model = models[part]
        return call(model, REPOSITORY / model.contract.name / "1" / "model.onnx", **sizes)

    for n in SLICES:
        calls = [one("enfuse", b=n), one("denoiser", b=n), one("calibration_head", b=n)]
        yield Way(ENTRUST, "a hypothesis or probe at a time", n, calls)
    n, variants = max(SLICES), len(probe_plan(task, (True,) * task.num_modalities))
    calls = [
        one("enfuse", b=n, v=variants),
        one("denoiser", b=n, k=NUM_HYPOTHESES),
        one("denoiser", b=n * variants),
        one("calibration_head", b=n),
    ]
    yield Way(ENTRUST, f"all {NUM_HYPOTHESES} hypotheses in a call, all probes in another", n, calls)


def ensemble_ways(task: Task, folder: Path) -> Iterator[Way]:
    """Yield ways of asking an ensemble, exported into a folder with random weights."""
    rival = RIVALS[ENSEMBLE]
    m, c, z = task.num_modalities, task.num_classes, len(task.context_offsets)
    contract = ModelContract(
        "unet",
        (TensorSpec("images", (m, z, -1, -1)), TensorSpec("presence", (m, z, -1, -1))),
        (TensorSpec("probability", (c, -1, -1)),),
        max_batch_size=max(SLICES),
    )
    model = ServedModel(
        contract, rival.build(m, c, z).eval(), (AXES["images"], AXES["presence"]), (AXES["probability"],)
    )
    content, paths = to_onnx(model), [folder / f"unet-{i}.onnx" for i in range(rival.num_modules)]
    for path in paths:
        path.write_bytes(content)
    for n in SLICES:
        yield Way(ENSEMBLE, "its members one after the other", n, [call(model, path, b=n) for path in paths])


def ask(calls: Sequence[Call]) -> tuple[float, float]:
    """Open the models and ask them, in a process that does nothing else; return MiB of weights and at the peak."""
    for each in calls:
        open_session(each.path).run(None, dict(each.small))
    before = resident_mib()
    sessions = {path: open_session(path) for path in dict.fromkeys(each.path for each in calls)}
    opened = resident_mib()
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    for each in calls:
        sessions[each.path].run(None, dict(each.feed))
    return opened - before, resident_mib("VmHWM") - before


def measure(task: Task, processes: int = PROCESSES) -> ServedMemory:
    """Measure every way, each in processes of its own.

    Args:
        task: Whose models.
        processes: Of each way.
    """
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool,
    ):
        held = []
        for way in (*entrust_ways(task), *ensemble_ways(task, Path(folder))):
            found = [pool.submit(ask, way.calls).result() for _ in range(processes)]
            weights, peaks = ([round(mib, 2) for mib in column] for column in zip(*found, strict=True))
            held.append(Held(way.method, way.asked, way.slices, weights, peaks))
    return ServedMemory(task.name, describe_machine(), held)


def main(
    task: Annotated[str, typer.Option(help="Whose models.")] = LESION.name,
    out: Annotated[Path, typer.Option(help="Folder of the kept numbers.")] = KEPT,
) -> None:
    """Measure the memory of a task's served models beside that of five U-Nets, and keep it."""
    memory = measure(get_task(task))
    save(path_of(out, task), memory)
    typer.echo(memory.tell())


if __name__ == "__main__":
    typer.run(main)
