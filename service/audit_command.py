"""``entrust audit``: what became of one study, hop by hop."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from entrust.errors import InvalidInputError
from service.audit import read_trail
from service.settings import load_settings

out = Console()


def show_trail(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="StudyInstanceUID, or the id of a job.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the lines of the trail as JSON.")] = False,
) -> None:
    """Show when a study passed which hop, and who sent, asked and fetched; reads ENTRUST_AUDIT__FOLDER."""
    folder = load_settings().audit.folder
    if folder is None:
        raise InvalidInputError("No audit trail is kept.", fix="Set ENTRUST_AUDIT__FOLDER to the gateway's folder.")
    steps = read_trail(folder, study)
    if as_json:
        for step in steps:
            out.print(json.dumps(step.line), markup=False, highlight=False, soft_wrap=True)
        return
    table = Table("at (UTC)", "since ms", "event", "hop", "took ms", "door", "who", "outcome", "job")
    for step in steps:
        line = step.line
        took = line.get("milliseconds")
        table.add_row(
            str(line["at"]).replace("T", " ").rstrip("Z"),
            f"{step.since_milliseconds:.0f}",
            "" if line["event"] == "hop" else line["event"],
            line.get("hop", ""),
            "" if took is None else f"{took:.1f}",
            line.get("door", ""),
            line.get("peer", line.get("address", "")),
            "ok" if line["outcome"] == 0 else line.get("reason", "failed"),
            line.get("job_id", "")[:8],
        )
    out.print(table)
