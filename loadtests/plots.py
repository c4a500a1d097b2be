"""The pictures of a run."""

from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from loadtests.figures import percentiles
from loadtests.results import Results
from loadtests.step_latency import IN_PROCESS, SERVED

WAYS = {SERVED: "through Triton", IN_PROCESS: "in process"}
COLOURS = ("#1f6f8b", "#d1495b", "#8d96a3", "#edae49")


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw throughput and latency, the sampling steps, and the memory; return the files."""
    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _save(_load(results), folder / "load-throughput.png"),
        _save(_steps(results), folder / "load-steps.png"),
        _save(_memory(results), folder / "load-memory.png"),
    ]


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=110, bbox_inches="tight")
    return path


def _axes(width: float, columns: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, 3.4), layout="constrained")
    found = [figure.add_subplot(1, columns, i + 1) for i in range(columns)]
    for axes in found:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    return figure, found


def _load(results: Results) -> Figure:
    figure, (left, right) = _axes(10.0, 2)
    stages = sorted(results.stages, key=lambda stage: stage.offered)
    offered = [stage.offered for stage in stages]
    left.plot([0, max(offered)], [0, max(offered)], color=COLOURS[2], lw=1, ls=":", label="all that is offered")
    left.axhline(results.capacity, color=COLOURS[3], lw=1, ls="--", label="capacity")
    left.plot(offered, [stage.throughput for stage in stages], "o-", color=COLOURS[0], label="answered")
    refused = [sum(r.refused_for_load for r in s.jobs) / s.lasted_seconds for s in stages]
    left.plot(offered, refused, "s-", color=COLOURS[1], label="refused, with a hint")
    left.set(xlabel="offered, jobs/s", ylabel="jobs/s", title="Throughput against offered load")
    left.legend(frameon=False, fontsize=8)
    for name, colour in zip(("p50", "p95", "p99"), (COLOURS[0], COLOURS[3], COLOURS[1]), strict=True):
        seconds = [percentiles(s.waits_seconds)[name] or float("nan") for s in stages]
        right.plot(offered, seconds, "o-", color=colour, label=name)
    right.set(xlabel="offered, jobs/s", ylabel="seconds", title="Request to results, accepted studies")
    right.set_ylim(bottom=0)
    right.legend(frameon=False, fontsize=8)
    return figure


def _steps(results: Results) -> Figure:
    figure, (left, right) = _axes(10.0, 2)
    ways = [way for way in WAYS if way in results.steps.mean_seconds]
    for i, way in enumerate(ways):
        means = sorted(results.steps.mean_seconds[way].items(), key=lambda item: int(item[0].rstrip("+")))
        places = [int(index.rstrip("+")) + 0.4 * (i - 0.5) for index, _ in means]
        left.bar(places, [1e3 * v for _, v in means], 0.36, color=COLOURS[i], label=WAYS[way])
        quantiles = results.steps.quantiles_seconds[way]
        right.bar(
            [n + 0.4 * (i - 0.5) for n in range(len(quantiles))], [1e3 * v for v in quantiles.values()], 0.36,
            color=COLOURS[i], label=WAYS[way],
        )  # fmt: skip
        right.set_xticks(range(len(quantiles)), list(quantiles))
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.set(xlabel="sampling step", ylabel="mean, ms", title="Each step of one study")
    right.set(ylabel="ms", title="Distribution of a step's duration")
    if ways:
        figure.legend(*left.get_legend_handles_labels(), frameon=False, fontsize=8, loc="outside right center")
    else:
        left.text(0.5, 0.5, "no Prometheus on this machine", ha="center", transform=left.transAxes)
    return figure


def _memory(results: Results) -> Figure:
    figure, (axes,) = _axes(10.0, 1)
    if results.memory:
        start = results.memory[0].at_seconds
        minutes = [(sample.at_seconds - start) / 60.0 for sample in results.memory]
        for i, (name, label) in enumerate(
            (("triton_mib", "Triton and its models"), ("gateway_mib", "gateway"), ("retained_mib", "results held"))
        ):
            axes.plot(minutes, [getattr(s, name) for s in results.memory], color=COLOURS[i], label=label)
        stage = results.overload_stage
        axes.axvspan(
            (stage.began_at_seconds - start) / 60.0, (stage.ended_at_seconds - start) / 60.0,
            color=COLOURS[3], alpha=0.15, lw=0, label="overload",
        )  # fmt: skip
        axes.legend(frameon=False, fontsize=8, loc="center left")
    axes.set(xlabel="minutes", ylabel="MiB", title="Memory (shared memory counted in halves)")
    axes.set_ylim(bottom=0)
    return figure
