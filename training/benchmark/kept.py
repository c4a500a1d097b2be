"""Kept scores by domain, split, seed and line, and their estimates over cases and seeds."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from entrust import metrics
from entrust.errors import InvalidInputError
from entrust.metrics import Estimate, Statistic
from training.benchmark.scores import MethodScores, load
from training.cohort import statistic
from training.datasets.phantoms.world.case import DOMAINS
from training.datasets.phantoms.world.splits import SPLITS

NUM = 2000
"""Resamples of the bootstrap."""

Scores = Mapping[str, Mapping[str, Mapping[int, Mapping[str, MethodScores]]]]
"""Domain → split → seed → line → scores."""


def read(folder: Path) -> Scores:
    """Read all kept scores."""
    found: dict[str, dict[str, dict[int, Mapping[str, MethodScores]]]] = {}
    for domain in DOMAINS:
        for split in SPLITS:
            for path in sorted(folder.glob(f"{domain}-{split}-[0-9]*.npz")):
                seed = int(path.stem.rpartition("-")[2])
                found.setdefault(domain, {}).setdefault(split, {})[seed] = load(path)
    return found


def estimate(by_seed: Sequence[Statistic | None], null: float = 0.0) -> Estimate | None:
    """Return a statistic of several seeds with its interval; None where it cannot be had."""
    usable = [s for s in by_seed if s is not None and np.isfinite(s.value)]
    if not usable or len(usable) < len(by_seed):
        return None
    try:
        return metrics.bootstrap(usable, null=null, num=NUM)
    except InvalidInputError:
        return None


def number(scores: Scores, domain: str, split: str, line: str, name: str) -> Estimate | None:
    """Return a line's metric on a split of a domain."""
    seeds = scores.get(domain, {}).get(split, {})
    runs = [found[line].run for found in seeds.values() if line in found]
    return estimate([statistic(run, name) for run in runs]) if runs else None


def lines_of(scores: Scores, domain: str, split: str) -> list[str]:
    """Return the lines of a table that every seed has, the oracle first."""
    seeds = scores.get(domain, {}).get(split, {})
    return [line for line in next(iter(seeds.values()), {}) if all(line in s for s in seeds.values())]
