"""The witnesses of a conflict are weighed by what they are worth."""

from itertools import combinations

import numpy as np
import pytest

from entrust.conflict import pair_conflict, probe_plan, probe_shifts
from entrust.contract import ONCOLOGY, FittedConstants
from entrust.uncertainty import Hypotheses
from entrust.witnesses import Witnesses, weigh
from training.datasets.case import TrainingCase
from training.fit_conflict import fit_conflict_shares, fit_pair_weights

SHAPE = (3, 40, 40)


def case(rng: np.random.Generator, reliable: str) -> tuple[Witnesses, np.ndarray]:
    """Return a conflict that one witness shows and the others do not."""
    conflict = np.zeros(SHAPE, bool)
    conflict[:, 10:20, 12:24] = True
    noise = {name: rng.random(SHAPE) for name in ("gate", "moved", "doubt")}
    noise[reliable] = np.clip(0.7 * conflict + 0.3 * noise[reliable], 0.0, 1.0)
    return Witnesses(**noise), conflict


@pytest.mark.parametrize(("reliable", "shares"), [("gate", (0.0, 0.0)), ("moved", (1.0, 0.0)), ("doubt", (0.0, 1.0))])
def test_the_reliable_witness_is_heard(reliable: str, shares: tuple[float, float]) -> None:
    rng = np.random.default_rng(0)
    cases, conflicts = zip(*(case(rng, reliable) for _ in range(4)), strict=True)
    probe_share, doubt_share, threshold = fit_conflict_shares(cases, conflicts)
    assert (probe_share, doubt_share) == pytest.approx(shares, abs=0.26)
    found = cases[0].weighed(probe_share, doubt_share) >= threshold
    assert (found == conflicts[0]).mean() > 0.99


def disputed(rng: np.random.Generator, known: bool = True) -> tuple[Hypotheses, TrainingCase]:
    """Voxels in which one modality sees, one denies and one is between them; the answer does not tell."""
    n = 40
    order = np.stack([rng.permutation(3) for _ in range(n)], axis=1)  # who is surest of foreground, last
    foreground = np.array([0.1, 0.5, 0.9])[order] + rng.normal(0, 0.05, (3, n))
    unimodal = np.stack([1 - foreground, foreground], axis=1).astype(np.float32)[:, None, :, :, None]
    probes = probe_plan(ONCOLOGY, (True, True, True))
    answer = np.full((1, 2, n, 1), 0.5, np.float32)
    right = np.array([{order[i, v], order[j, v]} == {0, 2} for i, j in combinations(range(3), 2) for v in range(n)])
    found = Hypotheses(
        marginal=answer,
        samples=answer[None],
        conflict=np.ones((1, n, 1), np.float32),
        pair_conflict=pair_conflict(unimodal, np.ones((3, 1, n, 1))),
        unimodal=unimodal,
        probes=probes,
        probe_marginals=np.stack([answer] * len(probes)),
    )
    image = np.zeros((3, 1, n, 1), np.float32)
    label, conflict = np.zeros((1, n, 1), np.uint8), np.ones((1, n, 1), bool)
    responsible = right.reshape(3, 1, n, 1) if known else None
    return found, TrainingCase("case", image, image == 0, label, (1.0, 1.0, 1.0), conflict, responsible)


def test_weights_of_pairs_tell_who_contradicts_whom() -> None:
    rng = np.random.default_rng(0)
    asked, cases = zip(*(disputed(rng) for _ in range(6)), strict=True)
    weights = fit_pair_weights(ONCOLOGY, asked, cases)
    opinions, pulls, _ = weights
    assert opinions > 2
    assert abs(pulls) < 0.5, "what says nothing has no weight"
    found, case = disputed(rng)
    shifts = probe_shifts(ONCOLOGY, found.probes, found.probe_marginals)
    _, evidence = weigh(ONCOLOGY, found, shifts, FittedConstants(pair_weights=weights))
    assert case.responsible is not None
    assert np.take_along_axis(case.responsible, evidence.argmax(axis=0)[None], axis=0).mean() > 0.95


def test_without_known_pairs_there_are_no_weights() -> None:
    found, case = disputed(np.random.default_rng(0), known=False)
    assert fit_pair_weights(ONCOLOGY, [found], [case]) == ()
