"""Reliability diagrams, sparsification curves, and GED against joint-state error."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib
import numpy as np

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
        if axes[0][-1].get_legend_handles_labels()[0]:
            axes[0][-1].legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.02, 1.0))
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
    shown = [line for line in methods if line.endswith(("+raw", "+nested")) or line == "oracle"]
    for line, colour in zip(shown, plt.get_cmap("tab20").colors, strict=False):  # type: ignore[attr-defined]
        x, y = (np.nanmean(methods[line].numbers[k]) for k in ("ged", "joint_state"))
        ours = line.startswith(ENTRUST)
        axis.plot(
            x, y, "*" if ours else "o", markersize=10 if ours else 6, color=colour, label=line.removesuffix("+raw")
        )
    axis.set_xlabel("GED")
    axis.set_ylabel("joint-state error")
