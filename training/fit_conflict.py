"""Fit how the conflict map weighs its witnesses, on cases whose conflicts are known."""

from collections.abc import Sequence
from dataclasses import fields
from itertools import product

import numpy as np
from jaxtyping import Bool, Float

from entrust.metrics import aupr, best_overlap
from entrust.witnesses import Witnesses

STEP = 0.125
"""Of the grid of weights."""


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
        return np.repeat(pooled.weighed(*shares), repeats)

    steps = np.arange(0.0, 1.0 + STEP, STEP)
    grid = [(float(p), float(h)) for p, h in product(steps, steps) if p + h <= 1.0]
    best = max(grid, key=lambda shares: aupr(scores(shares), truth))
    return *best, float(best_overlap(scores(best), truth)[1])
