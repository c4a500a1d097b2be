"""Memory of the models that a server holds, as ``python -m loadtests.served_memory`` measured it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from operator import le
from pathlib import Path
from statistics import median

from training.benchmark.claims import Claim, Evidence
from training.benchmark.plan import ENTRUST
from training.benchmark.tables.cost import BAR, over
from training.benchmark.tables.ways import ENSEMBLE

SERVED = "served"


@dataclass(frozen=True)
class Held:
    """What the sessions of a method held.

    Attributes:
        method: ``entrust`` or ``ensemble``.
        asked: How, in words.
        slices: In a call.
        weights_mib: Resident memory after the models were opened minus before, one number a process.
        peaks_mib: Largest resident memory while they answered, likewise.
    """

    method: str
    asked: str
    slices: int
    weights_mib: Sequence[float]
    peaks_mib: Sequence[float]

    @property
    def peak_mib(self) -> float:
        """The median process."""
        return float(median(self.peaks_mib))


@dataclass(frozen=True)
class ServedMemory(Evidence):
    """All ways of asking in one domain.

    Attributes:
        domain: Name of a domain.
        machine: Where it was measured.
        held: One for each way of asking.
    """

    domain: str
    machine: str
    held: Sequence[Held]

    @property
    def num_seeds(self) -> int:
        """One: memory does not hang on the weights."""
        return 1

    def rival(self, slices: int) -> Held:
        """Return what the ensemble held with so many slices in a call."""
        return next(held for held in self.held if held.method == ENSEMBLE and held.slices == slices)

    def claims(self) -> Iterator[Claim]:
        """Half the ensemble's memory with the same slices in a call."""
        for ours in self.held:
            if ours.method == ENTRUST:
                theirs = self.rival(ours.slices)
                found = over(ours.peaks_mib, theirs.peaks_mib)
                claim = f"cost: peak memory of the served models, {ours.asked}, over the rival's"
                against = f"{ENSEMBLE}, slices in a call: {theirs.slices}"
                yield self.claim(claim, found, f"≤ {BAR:.2f}", le, BAR, against)

    def tell(self) -> str:
        """Return the table in Markdown."""
        rows = [
            f"**Memory of the served models** ({self.machine}). ONNX Runtime as the server's backend opens it, each "
            "model with an arena of its own; resident memory over that of a process that has answered small inputs. "
            "`python -m loadtests.served_memory`.",
            "",
            "| models | asked | slices in a call | weights, MiB | peak, MiB | peak / ensemble |",
            "|" + "---|" * 6,
        ]
        rows += [
            f"| {held.method} | {held.asked} | {held.slices} | {median(held.weights_mib):.0f} | {held.peak_mib:.0f} | "
            f"{held.peak_mib / self.rival(held.slices).peak_mib:.2f} |"
            for held in self.held
        ]
        return "\n".join(rows)


def path_of(folder: Path, domain: str) -> Path:
    """Return where a domain's numbers lie."""
    return folder / f"{SERVED}-{domain}.json"


def save(path: Path, memory: ServedMemory) -> None:
    """Write what was measured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(memory), indent=1) + "\n")


def load(path: Path) -> ServedMemory:
    """Read what :func:`save` wrote."""
    stored = json.loads(path.read_text())
    return ServedMemory(stored["domain"], stored["machine"], [Held(**held) for held in stored["held"]])
