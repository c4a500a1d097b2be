"""Numbers by line, metric and case, kept as one small file; and what is told of them."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from entrust import metrics
from entrust.metrics import Estimate, Statistic, patient_mean
from training.benchmark.claims import Evidence, versus
from training.benchmark.kept import estimate

Numbers = Mapping[str, Mapping[str, Float[np.ndarray, "n"]]]
"""Line → metric → one number a case; nan where it does not apply."""


def gather(cases: Sequence[Mapping[str, Mapping[str, float]]]) -> Numbers:
    """Gather the numbers of each case, by line and metric, into those of all."""
    lines = dict.fromkeys(line for case in cases for line in case)
    names = dict.fromkeys(name for case in cases for numbers in case.values() for name in numbers)
    return {
        line: {name: np.array([case.get(line, {}).get(name, np.nan) for case in cases]) for name in names}
        for line in lines
    }


def save(path: Path, numbers: Numbers) -> None:
    """Write numbers; half a file is never seen."""
    lines, names = list(numbers), list(next(iter(numbers.values())))
    values = np.array([[numbers[line][name] for name in names] for line in lines], dtype=np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, lines=np.array(lines), names=np.array(names), values=values)
    os.replace(partial, path)


def load(path: Path) -> Numbers:
    """Read what :func:`save` wrote."""
    with np.load(path) as stored:
        lines, names, values = stored["lines"], stored["names"], stored["values"].astype(np.float64)
    return {str(line): dict(zip(map(str, names), rows, strict=True)) for line, rows in zip(lines, values, strict=True)}


@dataclass(frozen=True, eq=False)
class Kept(Evidence):
    """The numbers of one table and domain.

    Attributes:
        domain: Name of a domain.
        by_seed: Training seed → numbers.
        machine: Where the networks were fitted.
    """

    domain: str
    by_seed: Mapping[int, Numbers]
    machine: str

    @property
    def num_seeds(self) -> int:
        """How many training seeds were measured."""
        return len(self.by_seed)

    @property
    def lines(self) -> list[str]:
        """The lines that every seed has."""
        first, *others = self.by_seed.values()
        return [line for line in first if all(line in numbers for numbers in others)]

    @property
    def size(self) -> str:
        """How many cases and seeds there are, in words."""
        cases = {len(values) for numbers in self.by_seed.values() for values in next(iter(numbers.values())).values()}
        return f"{max(cases)} test cases, seeds: {len(self.by_seed)}"

    def estimated(self, of: Callable[[Numbers], Statistic | None], null: float = 0.0) -> Estimate | None:
        """Return a statistic with its interval over cases and seeds; ``None`` where a seed does not have it."""
        return estimate([of(numbers) for numbers in self.by_seed.values()], null)

    def value(self, line: str, name: str) -> Estimate | None:
        """Return the mean of a metric of a line."""
        return self.estimated(lambda numbers: mean_of([numbers.get(line, {}).get(name)]))

    def compared(self, ours: str, theirs: str, name: str, kind: str) -> Estimate | None:
        """Return the ``difference`` or ``ratio`` of a metric of two lines, over the cases that both have."""
        pairs = [sides(numbers, ours, theirs, name) for numbers in self.by_seed.values()]
        known = [pair for pair in pairs if pair is not None]
        return versus(known, kind) if len(known) == len(pairs) else None


@dataclass(frozen=True, eq=False)
class Together(Evidence):
    """The mean of the numbers of several domains.

    Attributes:
        parts: The numbers of one table, of each domain.
        machine: Where the networks were fitted.
    """

    parts: Sequence[Kept]
    machine: str
    domain: str = "all"

    @property
    def num_seeds(self) -> int:
        """How many training seeds were measured in every domain."""
        return len(self._seeds)

    @property
    def _seeds(self) -> list[int]:
        return sorted(set.intersection(*(set(part.by_seed) for part in self.parts)))

    def compared(self, ours: str, theirs: str, name: str, kind: str) -> Estimate | None:
        """Return the ``difference`` or ``ratio`` of the domains' means; see :meth:`Kept.compared`."""
        by_seed = []
        for seed in self._seeds:
            pairs = [sides(part.by_seed[seed], ours, theirs, name) for part in self.parts]
            known = [pair for pair in pairs if pair is not None]
            if len(known) < len(pairs):
                return None
            by_seed.append([metrics.mean_of_groups(side) for side in zip(*known, strict=True)])
        return versus(by_seed, kind)


def sides(numbers: Numbers, ours: str, theirs: str, name: str) -> tuple[Statistic, Statistic] | None:
    """Return the means of a metric of two lines, over the cases that both have; ``None`` where one has it not."""
    columns = [numbers.get(line, {}).get(name) for line in (ours, theirs)]
    a, b = mean_of(columns), mean_of(columns[::-1])
    return None if a is None or b is None else (a, b)


def mean_of(columns: Sequence[Float[np.ndarray, "n"] | None]) -> Statistic | None:
    """Return the mean of the first column over the cases that all columns have; ``None`` where there is none."""
    known = [column for column in columns if column is not None]
    if len(known) < len(columns):
        return None
    common = np.asarray(np.isfinite(known).all(axis=0))
    return patient_mean(known[0], common) if common.any() else None


def markdown(kept: Kept, columns: Mapping[str, str], first: str, titles: Mapping[str, str] | None = None) -> str:
    """Return a table in Markdown: a line each, the first column with its interval.

    Args:
        kept: The numbers.
        columns: Metric → title.
        first: Title of the lines.
        titles: Line → title, where it is not its name; with them, only these lines, in this order.
    """
    rows = [f"| {first} | " + " | ".join(columns.values()) + " |", "|" + "---|" * (len(columns) + 1)]
    for line, title in (titles or dict(zip(kept.lines, kept.lines, strict=True))).items():
        if line in kept.lines:
            cells = [kept.value(line, name) for name in columns]
            shown = ["–" if cell is None else f"{cell.value:.3f}" for cell in cells]
            if cells[0] is not None:
                shown[0] += f" [{cells[0].low:.3f}, {cells[0].high:.3f}]"
            rows.append(f"| {title} | " + " | ".join(shown) + " |")
    return "\n".join(rows)
