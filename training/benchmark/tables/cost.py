"""What each method costs beside the others: memory, parameters, arithmetic, processor time.

Peak memory is that of a fresh process, with weights and the answer about one volume, over what it held when all code
was loaded; the median of some processes. Ratios of processor time are those of one run.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from operator import le
from pathlib import Path
from statistics import median

from entrust.metrics import Estimate
from training.benchmark.claims import Claim, Evidence
from training.benchmark.plan import ENTRUST, Budget
from training.benchmark.tables.ways import ENSEMBLE, NUM_HYPOTHESES, WAYS, Cost

PLAIN = "unet-ce"
"""Whose processor time is 1."""
BAR = 0.5
COMPARISONS = (
    (ENTRUST, ENSEMBLE),
    ("entrust-unprobed", ENSEMBLE),
    ("entrust-apart", ENSEMBLE),
    ("entrust-slices", "ensemble-slices"),
    ("entrust-marginal", ENSEMBLE),
)
"""Ways whose peak memory is held against each other, at the same slices a pass."""


@dataclass(frozen=True)
class Costs(Evidence):
    """The cost of every way of asking in one domain.

    Attributes:
        domain: Name of a domain.
        machine: Where it was measured.
        runs: Way → one measurement a process.
    """

    domain: str
    machine: str
    runs: Mapping[str, Sequence[Cost]]

    @property
    def num_seeds(self) -> int:
        """One: the weights are random."""
        return 1

    def typical(self, way: str, name: str) -> float:
        """Return the median of a way's measurements."""
        return float(median(getattr(run, name) for run in self.runs[way]))


def measure(
    domain: str,
    budget: Budget,
    machine: str,
    processes: int = 3,
    repeats: int = 3,
    only: Sequence[str] = tuple(WAYS),
) -> Costs:
    """Measure every way in processes of its own, one after the other, in turns.

    Args:
        domain: Name of a domain.
        budget: Gives the sizes of the networks.
        machine: Where this is.
        processes: Of each way.
        repeats: Answers in each, of which the quickest counts.
        only: Keys of :data:`~training.benchmark.tables.ways.WAYS`.
    """
    runs: dict[str, list[Cost]] = {}
    for _ in range(processes):
        for way in only:
            command = [sys.executable, "-m", "training.benchmark.tables.ways", domain, way]
            command += ["--budget", budget.name, "--repeats", str(repeats)]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 our own program
            runs.setdefault(way, []).append(Cost(**json.loads(printed.splitlines()[-1])))
    return Costs(domain, machine, runs)


def save(path: Path, costs: Costs) -> None:
    """Write costs; half a file is never seen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(asdict(costs), indent=1) + "\n")
    os.replace(partial, path)


def load(path: Path) -> Costs:
    """Read what :func:`save` wrote."""
    stored = json.loads(path.read_text())
    stored["runs"] = {way: [Cost(**run) for run in runs] for way, runs in stored["runs"].items()}
    return Costs(**stored)


def over(ours: Sequence[float], theirs: Sequence[float]) -> Estimate:
    """Return the ratio of the medians of what processes needed; the interval is its range over the processes."""
    ratio = float(median(ours) / median(theirs))
    return Estimate(ratio, min(ours) / max(theirs), max(ours) / min(theirs), p_value=1.0, seed_spread=None)


def claims(costs: Costs) -> Iterator[Claim]:
    """Half the ensemble's memory."""
    for ours, theirs in COMPARISONS:
        a, b = ([run.peak_mib for run in costs.runs[way]] for way in (ours, theirs))
        claim = f"cost: peak memory of {WAYS[ours].title} over the rival's"
        yield costs.claim(claim, over(a, b), f"≤ {BAR:.2f}", le, BAR, against=WAYS[theirs].title)


def tell(costs: Costs) -> str:
    """Return the table in Markdown."""
    rows = [
        f"**Cost** (random weights, bfloat16, K = {NUM_HYPOTHESES}, one volume; {costs.machine}). Peak and weights: "
        "resident memory over that of the process with all code loaded; activations: their difference.",
        "",
        "| method | parameters, M | weights, MiB | activations, MiB | peak, MiB | peak / ensemble | GFLOP "
        f"| CPU time / {PLAIN} |",
        "|" + "---|" * 8,
    ]
    for key, way in WAYS.items():
        if key in costs.runs:
            peak, weights = costs.typical(key, "peak_mib"), costs.typical(key, "weights_mib")
            cells = (
                f"{costs.typical(key, 'parameters') / 1e6:.2f}",
                f"{weights:.0f}",
                f"{peak - weights:.0f}",
                f"{peak:.0f}",
                f"{peak / costs.typical(ENSEMBLE, 'peak_mib'):.2f}",
                f"{costs.typical(key, 'flops') / 1e9:.1f}",
                f"{costs.typical(key, 'cpu_seconds') / costs.typical(PLAIN, 'cpu_seconds'):.1f}",
            )
            rows.append(f"| {way.title} | " + " | ".join(cells) + " |")
    return "\n".join(rows)
