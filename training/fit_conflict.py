"""Fit how the conflict map weighs its witnesses, on cases whose conflicts are known."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import product
from math import log

import numpy as np
from jaxtyping import Bool, Float

from entrust.conflict import conflict_map, probe_shifts
from entrust.contract import Task
from entrust.metrics import aupr, best_overlap
from entrust.uncertainty import Hypotheses, entropy

STEP = 0.125
"""Of the grid of weights."""


@dataclass(frozen=True, eq=False)
class Witnesses:
    """What the conflict map of a case is made of, see :func:`entrust.conflict.conflict_map`."""

    gate: Float[np.ndarray, "*s"]
    moved: Float[np.ndarray, "*s"]
    doubt: Float[np.ndarray, "*s"]

    def at(self, chosen: Bool[np.ndarray, "*s"]) -> "Witnesses":
        """Return the witnesses of some voxels."""
        return Witnesses(self.gate[chosen], self.moved[chosen], self.doubt[chosen])

    def weighted(self, probe_share: float, doubt_share: float) -> Float[np.ndarray, "*s"]:
        """Return the conflict map."""
        return conflict_map(self.gate, self.moved, self.doubt, probe_share=probe_share, doubt_share=doubt_share)


def witnesses(found: Hypotheses, task: Task) -> Witnesses:
    """Return what an answer of the networks says of conflicts."""
    shifts = probe_shifts(task, found.probes, found.probe_marginals)
    doubt = entropy(found.marginal, axis=1) / log(task.num_classes)
    return Witnesses(found.conflict, shifts.leave_one_out.max(axis=0), doubt)


def fit_conflict_shares(
    cases: Sequence[Witnesses], conflicts: Sequence[Bool[np.ndarray, "d h w"]], *, calm: int = 20, seed: int = 0
) -> tuple[float, float, float]:
    """Return the shares of probes and entropy with the best AUPR, and the threshold of the best Dice.

    Args:
        cases: What is said of each case.
        conflicts: Where modalities contradict each other.
        calm: One in so many voxels without conflict is looked at, and counts for all of them.
        seed: Of their choice.
    """
    rng = np.random.default_rng(seed)
    chosen = [conflict | (rng.integers(calm, size=conflict.shape) == 0) for conflict in conflicts]
    positive = np.concatenate([conflict[c] for conflict, c in zip(conflicts, chosen, strict=True)])
    picked = [case.at(c) for case, c in zip(cases, chosen, strict=True)]
    pooled = Witnesses(*(np.concatenate([getattr(p, f.name) for p in picked]) for f in fields(Witnesses)))
    repeats = np.where(positive, 1, calm)
    truth = np.repeat(positive, repeats)

    def scores(shares: tuple[float, float]) -> Float[np.ndarray, "n"]:
        return np.repeat(pooled.weighted(*shares), repeats)

    steps = np.arange(0.0, 1.0 + STEP, STEP)
    grid = [(float(p), float(h)) for p, h in product(steps, steps) if p + h <= 1.0]
    best = max(grid, key=lambda shares: aupr(scores(shares), truth))
    return *best, float(best_overlap(scores(best), truth)[1])
