"""Fit how the conflict map and its pairs weigh their witnesses, on cases whose conflicts are known."""

from collections.abc import Sequence
from dataclasses import fields
from itertools import product

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import minimize

from entrust.contract import Task
from entrust.metrics import aupr, best_overlap
from entrust.uncertainty import Hypotheses
from entrust.witnesses import PAIR_WITNESSES, Witnesses, pair_witnesses, shares_of_pairs
from training.datasets.case import TrainingCase

STEP = 0.125
"""Of the grid of weights."""
RIDGE = 1e-3
"""Of the weights of pairs' witnesses, which are about 1 to 10."""


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


def fit_pair_weights(task: Task, asked: Sequence[Hypotheses], cases: Sequence[TrainingCase]) -> tuple[float, ...]:
    """Return the weights by which the witnesses of pairs tell best who contradicts whom: those of most likelihood.

    Every case counts the same, and so does every voxel of its conflicts; a little ridge keeps weights finite. The
    weights know nothing of which pair it is, so that they say something of pairs that never contradicted each other.

    Args:
        task: Gives the modalities.
        asked: The networks' answers.
        cases: Those without a known conflict, or whose responsible modalities are missing, do not count.

    Returns:
        One weight for each of :data:`entrust.witnesses.PAIR_WITNESSES`; none without a case.
    """
    known = []
    for found, case in zip(asked, cases, strict=True):
        if case.responsible is None:
            continue
        differs = found.pair_conflict > 0.0
        where: np.ndarray = np.any(case.responsible & differs, axis=0)
        if where.any():
            said = pair_witnesses(task, found, where).astype(np.float64)  # steps of the gradient are tiny
            known.append((said, differs[:, where], case.responsible[:, where]))
    if not known:
        return ()

    def surprise(weights: Float[np.ndarray, "k"]) -> float:
        right = [(shares_of_pairs(said, differs, tuple(weights)) * true).sum(axis=0) for said, differs, true in known]
        return float(-np.mean([np.log(np.maximum(r, 1e-9)).mean() for r in right]) + RIDGE * (weights**2).sum())

    fitted = minimize(surprise, np.ones(len(PAIR_WITNESSES)))
    return tuple(round(float(w), 2) for w in fitted.x)
