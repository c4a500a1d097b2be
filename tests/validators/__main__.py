"""Print what the programs say of the results of every study; the exit code tells whether anything is wrong."""

import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.validators.programs import NotInstalledError
from tests.validators.studies import STUDIES
from tests.validators.verdict import Verdict, judge


def main() -> int:
    """Judge every study."""
    console = Console(width=120)
    table = Table(
        "study", "objects", "dciodvfy", "dcentvfy", "SR validator", "dcmqi Dice", "dcmqi mm", "plastimatch Dice"
    )
    verdicts = []
    for number, study in enumerate(STUDIES, start=1):
        print(f"{number} of {len(STUDIES)}: {study.name}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="entrust-") as folder:
            try:
                verdict = judge(study, Path(folder))
            except NotInstalledError as error:
                console.print(str(error))
                return 69
        verdicts.append(verdict)
        table.add_row(study.name, *_row(verdict))
        for error in (*verdict.dciodvfy, *verdict.dcentvfy, *verdict.pixelmed):
            console.print(f"{study.name}: {error}", markup=False)
    console.print(table)
    good = sum(verdict.good for verdict in verdicts)
    console.print(f"{good} of {len(verdicts)} studies without a fault; columns count errors.")
    return 0 if good == len(verdicts) else 1


def _row(verdict: Verdict) -> list[str]:
    return [
        str(verdict.objects),
        str(len(verdict.dciodvfy)),
        str(len(verdict.dcentvfy)),
        str(len(verdict.pixelmed)),
        f"{min(g.dice for g in (*verdict.segments, *verdict.labels)):.3f}",
        f"{max(g.distance_mm for g in (*verdict.segments, *verdict.labels)):.3f}",
        f"{min(g.dice for g in (*verdict.structures, *verdict.contours)):.3f}",
    ]


if __name__ == "__main__":
    sys.exit(main())
