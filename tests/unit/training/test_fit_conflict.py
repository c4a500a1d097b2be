"""The witnesses of a conflict are weighed by what they are worth."""

import numpy as np
import pytest

from entrust.witnesses import Witnesses
from training.fit_conflict import fit_conflict_shares

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
