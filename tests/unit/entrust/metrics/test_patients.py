"""Statistics over patients."""

import numpy as np
import pytest
import scipy.stats

from entrust.errors import InvalidInputError
from entrust.metrics import paired_bootstrap


def test_the_interval_agrees_with_scipy(rng: np.random.Generator) -> None:
    differences = rng.normal(0.1, 1, 40)
    ours = paired_bootstrap(differences)
    theirs = scipy.stats.bootstrap((differences,), np.mean, method="percentile", rng=1).confidence_interval
    assert ours.mean == pytest.approx(differences.mean())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_the_seed_decides(rng: np.random.Generator) -> None:
    differences = rng.normal(size=20)
    assert paired_bootstrap(differences, seed=1) == paired_bootstrap(differences, seed=1)
    assert paired_bootstrap(differences, seed=1) != paired_bootstrap(differences, seed=2)


def test_about_95_of_100_intervals_hold_the_mean(rng: np.random.Generator) -> None:
    held = 0
    for seed in range(300):
        estimate = paired_bootstrap(rng.normal(0, 1, 60), num=400, seed=seed)
        held += estimate.low <= 0 <= estimate.high
    assert 0.89 <= held / 300 <= 0.98


def test_a_missing_patient_is_refused() -> None:
    for bad in (np.zeros(0), np.array([1.0, np.nan])):
        with pytest.raises(InvalidInputError):
            paired_bootstrap(bad)
