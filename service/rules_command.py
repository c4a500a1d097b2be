"""``entrust rules``: read a rules file, and show what it makes of a study."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from entrust.contract import TASKS, get_task
from entrust.errors import InvalidInputError
from service.settings import load_settings

if TYPE_CHECKING:  # the commands load what they need: the rooms take seconds
    from service.selection import Explanation
    from service.selection.explanation import Check, SeriesOutcome

SHIPPED = "default"
NOTHING_FITS = 1
"""Exit code where no task fits the study."""

commands = typer.Typer(no_args_is_help=True, help="Selection rules: which series plays which role, and why.")
out = Console()
RulesFile = Annotated[
    Path, typer.Argument(metavar="RULES", help=f"A rules file; `{SHIPPED}` for the one that comes with the program.")
]
_STYLES = {"taken": "bold green", "passed-over": "yellow", "unmatched": "", "excluded": "magenta", "refused": "red"}


@commands.command("check")
def check_rules(rules: RulesFile) -> None:
    """Read a rules file; every fault is named with its line."""
    from service.selection import load_rules

    found = load_rules(_path(rules), TASKS)
    roles = "; ".join(f"{task.task}: {', '.join(task.roles)}" for task in found.tasks)
    out.print(f"The rules can be used. {roles}", markup=False, soft_wrap=True)


@commands.command("default")
def print_default() -> None:
    """Print the rules that come with the program, to begin a file of one's own."""
    from service.selection.loading import default_text

    out.print(default_text(), markup=False, highlight=False, soft_wrap=True, end="")


@commands.command("test")
def explain(
    rules: RulesFile,
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="DICOM folder, zip or file.")],
    task: Annotated[str, typer.Option(help="Judge the study for this task; the first that fits when absent.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the explanation as JSON.")] = False,
) -> None:
    """Show what rules make of a study, tag by tag; exit code 1 where no task fits or series tie."""
    from service.app import ingest_limits
    from service.pipeline import explain_selection
    from service.selection import load_rules

    if not study.exists():
        raise InvalidInputError("STUDY does not exist.", fix="Name a DICOM folder, zip or file.")
    if task:
        get_task(task)
    selection = explain_selection(study, load_rules(_path(rules), TASKS), ingest_limits(load_settings()), task=task)
    if as_json:
        out.print_json(selection.explanation.model_dump_json())
    else:
        _show(selection.explanation)
    if selection.task is None or selection.problems:
        raise typer.Exit(NOTHING_FITS)


def _path(rules: Path) -> Path | None:
    return None if str(rules) == SHIPPED and not rules.exists() else rules


def _show(explanation: "Explanation") -> None:
    for series in explanation.series:
        out.print(_reasons(series))
    table = Table("series", "number", "modality", "images", "outcome", "role", "why")
    for series in explanation.series:
        number = "" if series.series_number is None else str(series.series_number)
        row = (str(series.index), number, series.dicom_modality, str(series.images), series.state, series.role)
        table.add_row(*map(Text, row), Text(series.reason), style=_STYLES[series.state])
    out.print(table)
    for task in explanation.tasks:
        mark = "chosen" if task.chosen else "not chosen"
        out.print(Text(f"{task.task}: {mark}. {task.reason}"), soft_wrap=True)
        for role in task.roles:
            if role.problem is not None:
                out.print(Text(f"  {role.role}: {role.problem.reason} {role.problem.fix}"), soft_wrap=True)
            elif role.index is None:
                out.print(Text(f"  {role.role}: missing{' (required)' if role.required else ''}"))
            else:
                out.print(Text(f"  {role.role}: series {role.index}, by {role.decided_by}"))
    for warning in explanation.warnings:
        out.print(Text(f"note: {warning.message}"), soft_wrap=True)
    out.print(Text(f"priority: {explanation.priority}"))


def _reasons(series: "SeriesOutcome") -> Tree:
    number = "" if series.series_number is None else f", number {series.series_number}"
    name = f"series {series.index}{number}: {series.dicom_modality}, {series.images} images: {series.state}"
    tree = Tree(Text(name, style=_STYLES[series.state]))
    if series.refusal is not None:
        tree.add(Text(f"{series.refusal.kind}: {series.refusal.reason} {series.refusal.fix}".strip()))
    for rule in series.rules:
        mark = "✓" if rule.met else "✗"
        if len(rule.checks) == 1 and not rule.met:  # of another modality: no more is asked
            tree.add(Text(f"{mark} {rule.rule}: {_seen(rule.checks[0])}"))
            continue
        branch = tree.add(Text(f"{mark} {rule.rule}"))
        for check in rule.checks:
            _add(branch, check)
    return tree


def _add(tree: Tree, check: "Check") -> None:
    branch = tree.add(Text(f"{'✓' if check.met else '✗'} {_seen(check)}"))
    for part in check.parts:
        _add(branch, part)


def _seen(check: "Check") -> str:
    saw = f": {check.saw}" if check.saw else ""
    return f"{check.criterion}{saw}" + (f"  [line {check.line}]" if check.line else "")
