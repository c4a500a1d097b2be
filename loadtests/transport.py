"""What the way to Triton costs per call: ``python -m loadtests.transport``.

The same denoiser call, in turn through the served model by shared memory, through it by plain gRPC, and in this
process with onnxruntime; in turn, so that whatever else the machine does falls on all three alike. The identity model
shows the transport alone. Needs the ``export`` extra (onnxruntime) for the comparison.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import numpy as np

from entrust.contract import get_task, model_contracts
from loadtests.in_process import open_session
from service.inference import TritonClient
from service.triton.canary import Canary, task_canaries
from service.triton.embedded import EmbeddedTriton
from service.triton.installation import PROJECT, SOURCES

Call = Callable[[], Awaitable[object]]


def denoiser_inputs(features: int, *, slices: int, hypotheses: int, classes: int, size: int) -> dict[str, np.ndarray]:
    """Return one step's tensors: noise, as at the first step."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((slices, hypotheses, classes, size, size), dtype=np.float32)
    return {
        "x": x,
        "clean": np.zeros_like(x),
        "t": np.ones((slices, 1), np.float32),
        "conditioning": generator.standard_normal((slices, features, size // 2, size // 2), dtype=np.float32),
    }


async def alternate(calls: dict[str, Call], rounds: int) -> dict[str, list[float]]:
    """Time each call ``rounds`` times, one after the other in every round; return milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            await call()
            if turn:  # the first round warms up
                times[name].append(1e3 * (time.perf_counter() - start))
    return times


async def measure_denoiser(repository: Path, options: argparse.Namespace) -> dict[str, list[float]]:
    """Compare the three ways of running one sampling step."""
    task = get_task(options.task)
    name = model_contracts(task)["denoiser"].name
    inputs = denoiser_inputs(
        task.conditioning_features,
        slices=options.slices,
        hypotheses=options.num_hypotheses,
        classes=task.num_classes,
        size=options.size,
    )
    shapes = {"logits": inputs["x"].shape}
    session = open_session(repository / name / "1" / "model.onnx")
    async with (
        EmbeddedTriton(repository, {name: task_canaries(task)[name]}, canary_interval_seconds=1e6) as triton,
        TritonClient(triton.url) as shared,
        TritonClient(triton.url, shared_memory="off") as plain,
    ):
        return await alternate(
            {
                "in process": lambda: asyncio.to_thread(session.run, ["logits"], inputs),
                "Triton, shared memory": lambda: shared.infer(name, inputs, shapes),
                "Triton, plain gRPC": lambda: plain.infer(name, inputs, shapes),
            },
            options.rounds,
        )


async def measure_transport(megabytes: float, rounds: int) -> dict[str, list[float]]:
    """Send a tensor through the identity model."""
    x = np.zeros((8, int(megabytes * 1e6 / 4 / 8)), np.float32)
    async with (
        EmbeddedTriton(
            SOURCES / "selftest", {"identity": Canary({"x": x[:, :8]})}, canary_interval_seconds=1e6
        ) as triton,
        TritonClient(triton.url) as shared,
        TritonClient(triton.url, shared_memory="off") as plain,
    ):
        return await alternate(
            {
                "empty call": lambda: shared.infer("identity", {"x": x[:1, :1]}, {"y": (1, 1)}),
                "shared memory": lambda: shared.infer("identity", {"x": x}, {"y": x.shape}),
                "plain gRPC": lambda: plain.infer("identity", {"x": x}, {"y": x.shape}),
            },
            rounds,
        )


def show(title: str, times: dict[str, list[float]], *, reference: str | None = None) -> None:
    """Print medians, and ratios to the reference taken within each round."""
    print(f"\n{title}\n| path | median ms | fastest ms |{' ratio |' if reference else ''}")
    print(f"|---|---|---|{'---|' if reference else ''}")
    for name, values in times.items():
        line = f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} |"
        if reference:
            ratios = [value / base for value, base in zip(values, times[reference], strict=True)]
            line += f" {statistics.median(ratios):.3f} |"
        print(line)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.transport", description=__doc__)
    parser.add_argument("--task", default="oncology")
    parser.add_argument("--repository", type=Path, default=PROJECT / "model_repository")
    parser.add_argument("--slices", type=int, default=1, help="slices in a call")
    parser.add_argument("--size", type=int, default=96, help="pixels along each side of a slice")
    parser.add_argument("--num-hypotheses", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--megabytes", type=float, default=1.2, help="tensor of the transport measurement")
    parser.add_argument("--json", type=Path, help="write the single times here")
    options = parser.parse_args(arguments)
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    print(f"{platform.processor() or platform.machine()}, {cores} cores, load {load:.1f} at the start")
    step = asyncio.run(measure_denoiser(options.repository, options))
    show(
        f"One step: {options.slices} slice(s) of {options.size}², K = {options.num_hypotheses}",
        step,
        reference="in process",
    )
    transport = asyncio.run(measure_transport(options.megabytes, options.rounds))
    show(f"Transport alone: {options.megabytes} MB there and back", transport)
    if options.json is not None:
        options.json.write_text(json.dumps({"step": step, "transport": transport}, indent=2) + "\n")


if __name__ == "__main__":
    main()
