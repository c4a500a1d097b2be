"""The tables that the demonstration prints, and the same numbers as JSON."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from demo.evaluation import Scores
from demo.timings import Timings

LISTED_REGIONS = 3
LEAST_SHARE = 0.05
"""Causes of less of a region than this are left to ``summary.json``."""
WIDTH = 60


def print_report(
    console: Console, summary: Mapping[str, Any], scores: Scores | None, timings: Timings, total_seconds: float
) -> None:
    """Print what was found, how good it was, and where the time went."""
    found = Table("", "value", title="Result", title_justify="left", show_header=False, min_width=WIDTH)
    used = ", ".join(m["title"] for m in summary["modalities"])
    found.add_row("Modalities", used + (f"; missing: {', '.join(summary['missing'])}" if summary["missing"] else ""))
    for segment in summary["segments"]:
        interval = segment["volume_interval_ml"]
        found.add_row(
            f"{segment['title']}: volume",
            f"{segment['volume_ml']:.1f} ml ({interval['level']:.0%} interval {interval['low']:.1f} to "
            f"{interval['high']:.1f} ml)",
        )
        reasons = f" ({', '.join(segment['reasons'])})" if segment["reasons"] else ""
        found.add_row(f"{segment['title']}: reliability", segment["reliability"] + reasons)
    uncertain = summary["uncertain"]
    found.add_row("Uncertain", f"{uncertain['volume_ml']:.1f} ml in {uncertain['num_regions']} region(s)")
    for region in uncertain["regions"][:LISTED_REGIONS]:
        found.add_row(f"  region {region['number']}", f"{region['volume_ml']:.1f} ml: {_causes(region)}")
    console.print(found)
    if scores:
        console.print(_score_table(scores))
    console.print(_time_table(timings, total_seconds))


def write_report(
    path: Path, summary: Mapping[str, Any], scores: Scores | None, timings: Timings, total_seconds: float
) -> None:
    """Write the printed numbers as JSON; what is not a number there is null."""
    report = {
        "segments": summary["segments"],
        "scores": asdict(scores) if scores else None,
        "stages_seconds": timings.stages_seconds,
        "sampling_steps": [{"step": s, "calls": n, "seconds": t} for s, n, t in timings.steps],
        "total_seconds": total_seconds,
    }
    path.write_text(json.dumps(_without_nan(report), indent=2) + "\n")


def _causes(region: Mapping[str, Any]) -> str:
    named = []
    for cause in region["causes"]:
        if cause["share"] < LEAST_SHARE:
            continue
        who = f" {' – '.join(cause['modalities'])}" if cause["modalities"] else ""
        sees = f", {cause['says_foreground']} sees it" if cause.get("says_foreground") else ""
        named.append(f"{cause['cause']}{who}{sees} ({cause['share']:.0%})")
    return "; ".join(named) or "no cause stands out"


def _score_table(scores: Scores) -> Table:
    table = Table(
        "",
        "value",
        title=f"Against the truth ({scores.truth_source})",
        title_justify="left",
        show_header=False,
        min_width=WIDTH,
    )
    table.add_row("True volume", f"{scores.truth_ml:.1f} ml")
    table.add_row("Dice", _number(scores.dice))
    table.add_row("Error detection (AUROC)", _number(scores.error_auroc))
    if scores.injected_ml is not None:
        pair = " – ".join(scores.pair)
        table.add_row("Conflict found / injected", f"{scores.found_ml:.1f} / {scores.injected_ml:.1f} ml ({pair})")
        table.add_row("Conflict reported near the tumour", f"{scores.reported_ml:.1f} ml")
        table.add_row("Conflict map (AUROC)", _number(scores.conflict_auroc))
        table.add_row("Conflict named as a cause", "yes" if scores.pair_named else "no")
    return table


def _time_table(timings: Timings, total_seconds: float) -> Table:
    table = Table(title="Time", title_justify="left", min_width=WIDTH)
    table.add_column("stage or step")
    table.add_column("seconds", justify="right")
    table.add_column("calls", justify="right")
    table.add_column("ms a call", justify="right")
    for stage, seconds in timings.stages_seconds.items():
        table.add_row(stage, f"{seconds:.2f}", "", "")
    for index, calls, seconds in timings.steps:
        table.add_row(f"sampling step {index}", f"{seconds:.2f}", str(calls), f"{1000 * seconds / calls:.1f}")
    table.add_section()
    table.add_row("from upload to results", f"{total_seconds:.2f}", "", "")
    return table


def _number(value: float | None) -> str:
    return "none of one kind" if value is None or math.isnan(value) else f"{value:.3f}"


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_nan(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
