"""Reliability diagrams, sparsification curves, and GED against joint-state error."""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import matplotlib
import numpy as np

from training.baselines.rival import RIVALS
from training.benchmark.plan import ENTRUST
from training.benchmark.scores import MethodScores
from training.datasets.phantoms.world.splits import TEST

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

LINES: Mapping[str, str] = {
    "oracle": "black",
    "unet-ce+temperature": "tab:blue",
    "unet-dicece+temperature": "tab:cyan",
    "ensemble+temperature": "tab:green",
    "ssn+temperature": "tab:orange",
    "entrust+head": "tab:red",
}
OF_LINES = {line.partition("+")[0]: colour for line, colour in LINES.items()}
OTHERS = ("tab:purple", "tab:brown", "tab:pink", "tab:olive", "tab:grey", "gold")
COLOURS = OF_LINES | dict(zip([name for name in RIVALS if name not in OF_LINES], OTHERS, strict=True))
"""Of a method, the same in every plot."""


def plot_all(scores: Mapping[str, Mapping[str, Mapping[int, Mapping[str, MethodScores]]]], folder: Path) -> None:
    """Write ``science-reliability.png``, ``science-sparsification.png`` and ``science-joint.png``."""
    first = {d: next(iter(s[TEST.name].values())) for d, s in scores.items() if TEST.name in s}
    if not first:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in (
        ("reliability", draw_reliability),
        ("sparsification", draw_sparsification),
        ("joint", draw_joint),
    ):
        figure, axes = plt.subplots(1, len(first), figsize=(4.2 * len(first), 4.0), squeeze=False)
        for axis, (domain, methods) in zip(axes[0], first.items(), strict=True):
            draw(axis, methods)
            axis.set_title(domain)
        drawn = [zip(*axis.get_legend_handles_labels(), strict=True) for axis in axes[0]]
        known = {label: handle for handle, label in chain.from_iterable(drawn)}  # a domain may lack a method
        if known:
            axes[0][-1].legend(known.values(), known, fontsize=7, loc="upper left", bbox_to_anchor=(1.02, 1.0))
        figure.tight_layout()
        figure.savefig(folder / f"science-{name}.png", dpi=80)
        plt.close(figure)


def draw_reliability(axis: Axes, methods: Mapping[str, MethodScores]) -> None:
    """Draw what happened against what was said, of all structures together."""
    axis.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    for line, colour in LINES.items():
        if line in methods:
            d = methods[line].diagram
            count, said, hit = (x.sum(axis=0) for x in (d.count, d.confidence_sum, d.hit_sum))
            some = count > 50
            axis.plot(said[some] / count[some], hit[some] / count[some], marker=".", color=colour, label=line)
    axis.set_xlabel("stated probability")
    axis.set_ylabel("frequency")


def draw_sparsification(axis: Axes, methods: Mapping[str, MethodScores]) -> None:
    """Draw the share of wrong voxels left when the most doubtful are taken away."""
    for line, colour in LINES.items():
        if line in methods:
            errors = methods[line].errors
            removed = np.cumsum(errors.hits + errors.misses)
            left = errors.hits.sum() - np.cumsum(errors.hits)
            total = removed[-1]
            keep = total - removed > 0.02 * total
            axis.plot(removed[keep] / total, left[keep] / (total - removed[keep]), color=colour, label=line)
    axis.set_xlabel("share of voxels taken away")
    axis.set_ylabel("wrong among the rest")


def draw_joint(axis: Axes, methods: Mapping[str, MethodScores]) -> None:
    """Draw GED against joint-state error: what coherent and jointly right hypotheses are worth."""
    for line, found in methods.items():
        name, _, variant = line.partition("+")
        if variant not in ("", "raw", "nested"):
            continue
        x, y = (np.nanmean(found.numbers[k]) for k in ("ged", "joint_state"))
        axis.plot(
            x,
            y,
            "*" if name == ENTRUST else "o",
            markersize=10 if name == ENTRUST else 6,
            color=COLOURS[name],
            markerfacecolor="none" if variant == "nested" else COLOURS[name],
            label=line.removesuffix("+raw"),
        )
    axis.set_xlabel("GED")
    axis.set_ylabel("joint-state error")
