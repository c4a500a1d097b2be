"""Write the rules that Prometheus reads: ``python -m deploy.prometheus``."""

from pathlib import Path
from typing import Annotated

import typer
import yaml

from deploy.prometheus.alerts import RUNBOOK, alerting_rules, recording_rules

FILE = Path(__file__).with_name("rules.yml")
HEAD = "# Written by `python -m deploy.prometheus`; change deploy/prometheus/alerts.py instead.\n"


def content(runbook: str = RUNBOOK) -> str:
    """Return the file.

    Args:
        runbook: Address of the runbook.
    """
    groups = [
        {"name": "entrust-objectives", "rules": recording_rules()},
        {"name": "entrust-alerts", "rules": alerting_rules(runbook)},
    ]
    return HEAD + yaml.safe_dump({"groups": groups}, sort_keys=False, width=120)


def main(
    runbook: Annotated[str, typer.Option(help="Address of your copy of docs/runbook.md.")] = RUNBOOK,
    out: Annotated[Path, typer.Option(help="Where to write.")] = FILE,
) -> None:
    """Write the recording and alerting rules."""
    out.write_text(content(runbook), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
