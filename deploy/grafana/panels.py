"""A small language for dashboards over the foundation SDK: what is asked, in which unit, and how wide it is drawn."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heatmap_models
from grafana_foundation_sdk.models.common import GraphTresholdsStyleMode, TooltipDisplayMode, VisibilityMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

Unit = Literal["s", "bytes", "Bps", "percentunit", "reqps", "ops", "short", "lengthm"]
Kind = Literal["lines", "heatmap", "stat"]
SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
REFERENCE_LETTERS = "ABCDEFGHIJ"


@dataclass(frozen=True)
class Query:
    """One PromQL expression and what its series are called."""

    expression: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """One picture.

    Attributes:
        title: What it shows.
        unit: Grafana's unit of the values; of a heatmap, of its rows.
        queries: What is asked of Prometheus.
        description: How to read it, and what to do when it looks wrong.
        kind: How it is drawn.
        width: Of 24 columns.
        limit: A line from which on values are bad.
    """

    title: str
    unit: Unit
    queries: Sequence[Query]
    description: str
    kind: Kind = "lines"
    width: int = 8
    limit: float | None = None


@dataclass(frozen=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Dashboard:
    """One page.

    Attributes:
        uid: Stable id, and the name of the file.
        title: Title.
        description: For whom it is.
        rows: Its panels.
        span: How far back it looks at first.
        tags: For Grafana's search.
    """

    uid: str
    title: str
    description: str
    rows: Sequence[Row]
    span: str = "now-6h"
    tags: Sequence[str] = field(default=("entrust",))

    @property
    def panels(self) -> list[Panel]:
        """Every panel."""
        return [panel for row in self.rows for panel in row.panels]


def to_json(page: Dashboard) -> str:
    """Return the file that Grafana reads."""
    builder = (
        dashboard.Dashboard(page.title)
        .uid(page.uid)
        .description(page.description)
        .tags(list(page.tags))
        .timezone("browser")
        .refresh("30s")
        .time(page.span, "now")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(
            dashboard.QueryVariable("task")
            .label("Task")
            .datasource(SOURCE)
            .query("label_values(entrust_jobs_finished_total, task)")
            .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(True)
            .include_all(True)
            .all_value(".*")
            .current(models.VariableOption(text="All", value="$__all", selected=True))
        )
        .link(
            dashboard.DashboardLink("EnTrust").type(models.DashboardLinkType.DASHBOARDS).tags(["entrust"])
            .as_dropdown(True).include_vars(True).keep_time(True)
        )
    )  # fmt: skip
    for row in page.rows:
        builder = builder.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            builder = builder.with_panel(_panel(panel))
    return json.dumps(builder.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _panel(panel: Panel) -> Any:
    builder: Any = {"lines": _lines, "heatmap": _heatmap, "stat": _stat}[panel.kind](panel)
    builder = (
        builder.title(panel.title)
        .description(panel.description)
        .datasource(SOURCE)
        .span(panel.width)
        .height(4 if panel.kind == "stat" else 8)
    )
    for letter, query in zip(REFERENCE_LETTERS, panel.queries, strict=False):
        target = prometheus.Dataquery().expr(query.expression).legend_format(query.legend).ref_id(letter)
        target = target.format(PromQueryFormat.HEATMAP if panel.kind == "heatmap" else PromQueryFormat.TIME_SERIES)
        builder = builder.with_target(target.instant() if panel.kind == "stat" else target.range())
    return builder


def _lines(panel: Panel) -> Any:
    builder = (
        timeseries.Panel()
        .unit(panel.unit)
        .min(0)
        .line_width(1)
        .fill_opacity(8)
        .show_points(VisibilityMode.AUTO)
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )
    if panel.limit is not None:
        steps = [models.Threshold(color="green", value=None), models.Threshold(color="red", value=panel.limit)]
        builder = builder.thresholds(
            dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)
        ).thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphTresholdsStyleMode.DASHED))
    return builder


def _heatmap(panel: Panel) -> Any:
    colour = heatmap.HeatmapColorOptions().mode(heatmap_models.HeatmapColorMode.SCHEME).scheme("Oranges").steps(64)
    return (
        heatmap.Panel()
        .calculate(False)
        .color(colour)
        .y_axis(heatmap.YAxisConfig().unit(panel.unit))
        .cell_values(heatmap.CellValues().unit("short"))
        .filter_values(heatmap.FilterValueRange().le(1e-9))
    )


def _stat(panel: Panel) -> Any:
    builder = stat.Panel().unit(panel.unit).reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    if panel.limit is not None:
        steps = [models.Threshold(color="green", value=None), models.Threshold(color="red", value=panel.limit)]
        builder = builder.thresholds(dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps))
    return builder
