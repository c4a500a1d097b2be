"""Draw a dashboard's panels from Prometheus' answers, for the documentation: no Grafana is needed to see the data."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from deploy.prometheus.server import Prometheus

mpl.use("agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

INK, FAINT, BAD = "#20242a", "#8a919c", "#c4162a"
MAX_LEGEND = 9
NARROW = 8
INCHES_PER_ROW, HEAD_INCHES, ABOVE_INCHES, BELOW_INCHES = 0.38, 0.5, 0.36, 0.72
UNIT_WORDS: Mapping[str, str] = {"reqps": " req/s", "ops": " /s", "lengthm": " m"}


@dataclass(frozen=True)
class Span:
    """What of the data is drawn.

    Attributes:
        start: Unix time in seconds.
        end: Unix time in seconds.
        step_seconds: Between two points.
        window: For ``$__rate_interval``.
    """

    start: float
    end: float
    step_seconds: float
    window: str

    def expression(self, text: str) -> str:
        """Fill in Grafana's variables."""
        return text.replace("$__rate_interval", self.window).replace("$task", ".*")


def draw(page: Mapping[str, Any], prometheus: Prometheus, span: Span, path: Path) -> None:
    """Draw one dashboard.

    Args:
        page: Grafana's JSON.
        prometheus: Whom to ask.
        span: Of what time.
        path: Where the PNG goes.
    """
    panels: Sequence[Mapping[str, Any]] = page["panels"]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    total = rows * INCHES_PER_ROW + HEAD_INCHES
    figure = plt.figure(figsize=(15.0, total), facecolor="white")
    figure.suptitle(page["title"], x=0.012, y=1.0 - 0.1 / total, ha="left", va="top", fontsize=14, color=INK)
    for panel in panels:
        where = panel["gridPos"]
        left, width = where["x"] / 24, where["w"] / 24
        height = where["h"] * INCHES_PER_ROW  # inches, from here on
        bottom = total - HEAD_INCHES - (where["y"] + where["h"]) * INCHES_PER_ROW
        if panel["type"] == "row":
            figure.text(0.012, (bottom + height / 2) / total, panel["title"], fontsize=11, color=FAINT, va="center")
            continue
        below = BELOW_INCHES if panel["type"] == "timeseries" else BELOW_INCHES / 3
        inner = (height - ABOVE_INCHES - below) / total
        axes = figure.add_axes((left + 0.05, (bottom + below) / total, width - 0.062, inner))
        axes.set_title(panel["title"], loc="left", fontsize=9, color=INK)
        {"timeseries": _lines, "heatmap": _heatmap, "stat": _stat}[panel["type"]](axes, panel, prometheus, span)
    figure.savefig(path, dpi=80, pil_kwargs={"optimize": True})
    plt.close(figure)


def words(value: float, unit: str) -> str:
    """Return a value as Grafana would write it."""
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "s":
        return f"{value * 1000:.3g} ms" if value < 1.0 else f"{value:.3g} s"
    if unit in ("bytes", "Bps"):
        power = min(int(math.log(value, 1024)) if value >= 1.0 else 0, 4)
        return f"{value / 1024**power:.3g} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}{'/s' if unit == 'Bps' else ''}"
    return f"{value:.3g}{UNIT_WORDS.get(unit, '')}"


def _name(legend: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), legend)


def _ask(panel: Mapping[str, Any], prometheus: Prometheus, span: Span) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return name, minutes and values of every series of a panel."""
    found = []
    for target in panel["targets"]:
        answer = prometheus.query_range(span.expression(target["expr"]), span.start, span.end, span.step_seconds)
        for series in answer:
            times, values = np.asarray(series["values"], dtype=float).T
            found.append((_name(target["legendFormat"], series["metric"]), (times - span.start) / 60.0, values))
    return found


def _lines(axes: Axes, panel: Mapping[str, Any], prometheus: Prometheus, span: Span) -> None:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    series = sorted(
        _ask(panel, prometheus, span),
        key=lambda one: -np.nan_to_num(np.nanmax(one[2]) if np.isfinite(one[2]).any() else 0.0),
    )
    for index, (name, minutes, values) in enumerate(series):
        axes.plot(minutes, values, linewidth=1.3, label=name if index < MAX_LEGEND else None)
    if len(series) > MAX_LEGEND:
        axes.plot([], [], " ", label=f"and {len(series) - MAX_LEGEND} more")
    for step in panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", []):
        high = axes.get_ylim()[1]
        if step["value"] and step["value"] < 2.0 * high:
            axes.axhline(step["value"], color=BAD, linestyle="--", linewidth=0.9)
    axes.set_ylim(bottom=0)
    axes.set_ylim(top=axes.get_ylim()[1] * 1.05)
    _style(axes, span, unit)
    if series:
        columns = 2 if panel["gridPos"]["w"] <= NARROW else 3
        axes.legend(
            fontsize=6.5, loc="upper left", bbox_to_anchor=(0.0, -0.12), ncols=columns, frameon=False, handlelength=1.2,
            borderpad=0.0, columnspacing=1.2,
        )  # fmt: skip


def _heatmap(axes: Axes, panel: Mapping[str, Any], prometheus: Prometheus, span: Span) -> None:
    (target,) = panel["targets"]
    answer = prometheus.query_range(span.expression(target["expr"]), span.start, span.end, span.step_seconds)
    bounds = sorted((float(series["metric"]["le"]), index) for index, series in enumerate(answer))
    times = np.arange(span.start, span.end + 1e-6, span.step_seconds)
    cumulative = np.zeros((len(bounds), len(times)))
    for row, (_, index) in enumerate(bounds):
        for time, value in answer[index]["values"]:
            cumulative[row, round((float(time) - span.start) / span.step_seconds)] = float(value)
    counts = np.diff(cumulative, axis=0, prepend=0.0)
    used = np.flatnonzero(counts.max(axis=1) > 0.01)
    if used.size:
        first, last = max(int(used.min()) - 1, 0), int(used.max())
        edges = [bounds[i - 1][0] if i else 0.0 for i in range(first, last + 2)]
        shown = np.ma.masked_less(counts[first : last + 1], 0.01)
        minutes = (np.append(times, times[-1] + span.step_seconds) - span.start) / 60.0
        mesh = axes.pcolormesh(minutes, np.arange(len(edges)), shown, cmap="Oranges", norm=LogNorm(vmin=0.3))
        axes.figure.colorbar(mesh, ax=axes, pad=0.01, fraction=0.03).ax.tick_params(labelsize=6)
        unit = panel["options"]["yAxis"]["unit"]
        axes.set_yticks(range(len(edges)), [words(e, unit) if math.isfinite(e) else "more" for e in edges])
    _style(axes, span, "")


def _stat(axes: Axes, panel: Mapping[str, Any], prometheus: Prometheus, span: Span) -> None:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    (target,) = panel["targets"]
    found = prometheus.query(span.expression(target["expr"]), at=span.end)
    texts = [(_name(target["legendFormat"], one["metric"]), float(one["value"][1])) for one in found]
    axes.set_axis_off()
    for index, (name, value) in enumerate(texts):
        x = (index + 0.5) / len(texts)
        axes.text(x, 0.58, words(value, unit), fontsize=17, ha="center", va="center", color=INK)
        axes.text(x, 0.12, name, fontsize=8, ha="center", va="center", color=FAINT)


def _style(axes: Axes, span: Span, unit: str) -> None:
    axes.set_xlim(0, (span.end - span.start) / 60.0)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} min"))
    axes.tick_params(labelsize=7, colors=FAINT, length=2)
    axes.grid(alpha=0.25, linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#c8ccd2")
    if unit in ("bytes", "Bps") and axes.get_ylim()[1] > 0.0:
        axes.yaxis.set_major_locator(MultipleLocator(2.0 ** math.floor(math.log2(axes.get_ylim()[1] / 3.0))))
    if unit:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words(value, unit)))


def read_page(path: Path) -> dict[str, Any]:
    """Return Grafana's JSON."""
    page: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return page
