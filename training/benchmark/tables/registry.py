"""All tables by name: how each is measured, where it is kept, and how it is told."""

import logging
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from training.benchmark.claims import Claim
from training.benchmark.tables import ablations, cost, decisions, hypotheses, missing, probes, served, steps
from training.benchmark.tables.bench import Bench
from training.benchmark.tables.kept import Kept, Numbers, Together, load, save
from training.datasets.phantoms.world.case import DOMAINS

log = logging.getLogger("training.benchmark")


@dataclass(frozen=True)
class Table:
    """A table whose numbers are kept by case.

    Attributes:
        measure: On finished fits; nothing where they are not.
        claims: Rows of ``science.json``.
        tell: In Markdown.
        together: Rows about the mean of all domains, where there are any.
    """

    measure: Callable[[Bench], Numbers]
    claims: Callable[[Kept], Iterator[Claim]]
    tell: Callable[[Kept], str]
    together: Callable[[Together], Iterator[Claim]] | None = None


TABLES: Mapping[str, Table] = {
    "decisions": Table(decisions.measure, decisions.claims, decisions.tell, decisions.claims),
    "missing": Table(missing.measure, missing.claims, missing.tell),
    "hypotheses": Table(hypotheses.measure, hypotheses.claims, hypotheses.tell),
    "steps": Table(steps.measure, steps.claims, steps.tell),
    "ablations": Table(ablations.measure, ablations.claims, ablations.tell),
    "probes": Table(probes.measure, probes.claims, probes.tell),
}
COST = "cost"
NAMES = (*TABLES, COST)


def machine_of(folder: Path) -> str:
    """Return in words where what a folder keeps was fitted."""
    facts = folder / "machine.txt"
    return facts.read_text().strip() if facts.exists() else platform.processor() or platform.machine()


def keep(name: str, bench: Bench, folder: Path) -> None:
    """Measure a table and keep it as ``<name>-<domain>-<seed>.npz``, of the cost ``cost-<domain>.json``; goes on."""
    if name == COST:
        path = folder / f"{COST}-{bench.domain}.json"
        if not path.exists():
            cost.save(path, cost.measure(bench.domain, bench.budget, machine_of(folder)))
        return
    path = folder / f"{name}-{bench.domain}-{bench.seed}.npz"
    if path.exists():
        return
    numbers = TABLES[name].measure(bench)
    if numbers:
        save(path, numbers)
    else:
        log.info("%s of %s, seed %d: its fits are not finished", name, bench.domain, bench.seed)


def read(folder: Path) -> tuple[list[Claim], list[tuple[str, list[str], list[Claim]]]]:
    """Return the claims about the mean of all domains; then domain, tables in Markdown and claims of each."""
    machine = machine_of(folder)
    kept: dict[str, dict[str, Kept]] = {}
    for name, domain in product(TABLES, DOMAINS):
        paths = sorted(folder.glob(f"{name}-{domain}-[0-9]*.npz"))
        if paths:
            seeds = {int(path.stem.rpartition("-")[2]): load(path) for path in paths}
            kept.setdefault(domain, {})[name] = Kept(domain, seeds, machine)
    found = []
    for domain in DOMAINS:
        listed = kept.get(domain, {})
        told = [TABLES[name].tell(numbers) for name, numbers in listed.items()]
        rows = [row for name, numbers in listed.items() for row in TABLES[name].claims(numbers)]
        costs = folder / f"{COST}-{domain}.json"
        if costs.exists():
            told.append(cost.tell(cost.load(costs)))
            rows += cost.claims(cost.load(costs))
        path = served.path_of(folder, domain)
        if path.exists():
            memory = served.load(path)
            told.append(memory.tell())
            rows += memory.claims()
        if told:
            found.append((domain, told, rows))
    shared: list[Claim] = []
    for name, table in TABLES.items():
        parts = [listed[name] for listed in kept.values() if name in listed]
        if table.together is not None and len(parts) > 1:
            shared += table.together(Together(parts, machine))
    return shared, found
