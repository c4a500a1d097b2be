"""Statistics over patients."""

import tracemalloc

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from entrust.errors import InvalidInputError
from entrust.metrics import (
    Reliability,
    Statistic,
    binned_counts,
    bootstrap,
    holm,
    mean_of_groups,
    patient_mean,
    pooled_detection,
    pooled_mean,
    pooled_reliability,
    reliability,
)


def expected_error(diagram: Reliability) -> np.ndarray:
    return diagram.expected_error


def cohort(rng: np.random.Generator, n: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Probabilities and hits of n patients of different size."""
    said = [rng.random(rng.integers(20, 200)) for _ in range(n)]
    return said, [rng.random(len(p)) < p**2 for p in said]


def test_the_interval_agrees_with_scipy(rng: np.random.Generator) -> None:
    differences = rng.normal(0.1, 1, 40)
    ours = bootstrap(patient_mean(differences))
    theirs = scipy.stats.bootstrap((differences,), np.mean, method="percentile", rng=1).confidence_interval
    assert ours.value == pytest.approx(differences.mean())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_the_interval_of_a_paired_ratio_agrees_with_scipy(rng: np.random.Generator) -> None:
    theirs = rng.gamma(5.0, 0.04, 40)
    ours = theirs * rng.normal(0.6, 0.1, 40)
    expected = scipy.stats.bootstrap(
        (ours, theirs),
        lambda a, b, axis=-1: a.mean(axis=axis) / b.mean(axis=axis),
        paired=True,
        method="percentile",
        rng=1,
    ).confidence_interval
    found = bootstrap(patient_mean(ours) / patient_mean(theirs), null=1.0)
    assert found.value == pytest.approx(ours.mean() / theirs.mean())
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.01)
    assert found.p_value < 0.001


def test_pairing_narrows_the_interval_of_a_difference(rng: np.random.Generator) -> None:
    difficulty = rng.normal(0, 1, 40)
    a, b = difficulty + 0.05 * rng.normal(size=40), difficulty + 0.05 * rng.normal(size=40)
    paired = bootstrap(patient_mean(a) - patient_mean(b))
    alone = bootstrap(patient_mean(a))
    assert paired.high - paired.low < 0.2 * (alone.high - alone.low)
    assert bootstrap(patient_mean(a) - patient_mean(a)).high == 0


def test_the_seed_decides(rng: np.random.Generator) -> None:
    statistic = patient_mean(rng.normal(size=20))
    assert bootstrap(statistic, seed=1) == bootstrap(statistic, seed=1)
    assert bootstrap(statistic, seed=1) != bootstrap(statistic, seed=2)


def test_about_95_of_100_intervals_hold_the_mean(rng: np.random.Generator) -> None:
    held = 0
    for seed in range(300):
        estimate = bootstrap(patient_mean(rng.normal(0, 1, 60)), num=400, seed=seed)
        held += estimate.low <= 0 <= estimate.high
    assert 0.89 <= held / 300 <= 0.98


def test_a_p_value_is_small_as_often_as_it_says(rng: np.random.Generator) -> None:
    small = [bootstrap(patient_mean(rng.normal(0, 1, 60)), num=400, seed=s).p_value <= 0.1 for s in range(300)]
    assert 0.05 <= np.mean(small) <= 0.17
    assert bootstrap(patient_mean(rng.normal(1, 1, 60))).p_value == pytest.approx(2 / 10_001)
    assert bootstrap(patient_mean(np.zeros(5))).p_value == 1


@given(st.integers(0, 2**20), hnp.arrays(np.int64, 5, elements=st.integers(0, 3)).filter(np.any))
def test_recounting_patients_is_scoring_their_voxels_again(seed: int, times: np.ndarray) -> None:
    said, hits = cohort(np.random.default_rng(seed), 5)
    again = np.repeat(np.arange(5), times)
    all_said, all_hits = np.concatenate([said[i] for i in again]), np.concatenate([hits[i] for i in again])
    counts = times[None].astype(float)

    diagrams = [reliability(p, h, 16) for p, h in zip(said, hits, strict=True)]
    error = pooled_reliability(diagrams, expected_error).of(counts)[0]
    assert error == pytest.approx(float(reliability(all_said, all_hits, 16).expected_error))

    detections = [binned_counts(p, h, bins=32) for p, h in zip(said, hits, strict=True)]
    area = pooled_detection(detections, lambda c: c.auroc).of(counts)[0]
    assert area == pytest.approx(float(binned_counts(all_said, all_hits, bins=32).auroc))

    totals, sizes = np.array([h.sum() for h in hits], float), np.array([len(h) for h in hits], float)
    assert pooled_mean(totals, sizes).of(counts)[0] == pytest.approx(all_hits.mean())


def test_pooled_and_averaged_errors_are_different_statistics(rng: np.random.Generator) -> None:
    said, hits = cohort(rng, 30)
    diagrams = [reliability(p, h) for p, h in zip(said, hits, strict=True)]
    micro = pooled_reliability(diagrams, expected_error)
    macro = patient_mean(np.array([float(d.expected_error) for d in diagrams]))
    assert micro.value < macro.value, "a patient's own error has its own noise on top"
    assert bootstrap(micro - macro).high < 0


def test_errors_of_two_groups_do_not_cancel(rng: np.random.Generator) -> None:
    said, hits = np.full((8, 500), 0.5), rng.random((8, 500)) < np.repeat([0.2, 0.8], 4)[:, None]
    diagrams = [reliability(p, h) for p, h in zip(said, hits, strict=True)]
    halves = [pooled_reliability(half, expected_error) for half in (diagrams[:4], diagrams[4:])]
    apart, together = mean_of_groups(halves), pooled_reliability(diagrams, expected_error)
    assert apart.value == pytest.approx(np.mean([half.value for half in halves]))
    assert apart.value > 0.28
    assert together.value < 0.03
    counts = rng.integers(1, 4, (1, 8)).astype(float)
    wanted = np.mean([half.of(part) for half, part in zip(halves, np.split(counts, 2, axis=1), strict=True)])
    assert apart.of(counts)[0] == pytest.approx(wanted)


def test_ten_thousand_recounts_hold_little_memory(rng: np.random.Generator) -> None:
    said, hits = cohort(rng, 200)
    statistic = pooled_reliability([reliability(p, h) for p, h in zip(said, hits, strict=True)], expected_error)
    tracemalloc.start()
    try:
        bootstrap(statistic)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 32e6


def test_only_patients_to_whom_it_applies_count(rng: np.random.Generator) -> None:
    values = np.array([1.0, np.nan, 3.0, 8.0])
    applies = np.array([True, False, True, False])
    assert patient_mean(values, applies).value == 2
    estimate = bootstrap(patient_mean(np.arange(20.0), np.arange(20) < 10))
    assert estimate.value == 4.5
    assert estimate.low > 2


def test_what_is_undefined_is_refused() -> None:
    for bad in (np.zeros(0), np.array([1.0, np.nan]), np.array([1.0, np.inf])):
        with pytest.raises(InvalidInputError):
            patient_mean(bad)
    with pytest.raises(InvalidInputError):
        patient_mean(np.zeros(3), np.zeros(3, bool))
    with pytest.raises(InvalidInputError):  # most resamples miss the only patient that counts
        bootstrap(patient_mean(np.zeros(3), np.array([True, False, False])))
    with pytest.raises(InvalidInputError):
        bootstrap(patient_mean(np.ones(3)) / patient_mean(np.zeros(3)))
    with pytest.raises(InvalidInputError):
        patient_mean(np.ones(3)) - patient_mean(np.ones(4))
    with pytest.raises(InvalidInputError, match="at least one"):
        mean_of_groups([])
    for pool in (pooled_reliability, pooled_detection):
        with pytest.raises(InvalidInputError):
            pool([], lambda sums: np.zeros(1))
    score, hit = np.array([0.2, 0.7]), np.array([True, False])
    with pytest.raises(InvalidInputError):
        pooled_detection([binned_counts(score, hit, bins=n) for n in (5, 6)], lambda c: c.auroc)


def test_training_seeds_are_a_second_level(rng: np.random.Generator) -> None:
    patients = rng.normal(0, 1, 50)
    alike = [patient_mean(patients)] * 3
    apart = [patient_mean(patients + shift) for shift in (-2.0, 0.0, 2.0)]
    one, same, wide = (bootstrap(s) for s in (alike[0], alike, apart))
    assert one.seed_spread is None
    assert same.seed_spread == 0
    assert wide.seed_spread == 2
    assert (same.value, wide.value) == pytest.approx((one.value, one.value))
    assert same.high - same.low == pytest.approx(one.high - one.low, rel=0.03)
    # variance of the mean of 3 draws out of three seeds: 8/3 / 3
    expected = 2 * 1.96 * np.sqrt(patients.var() / 50 + 8 / 9)
    assert wide.high - wide.low == pytest.approx(expected, rel=0.15)


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.9])) == 0.9


P_VALUES = hnp.arrays(np.float64, 6, elements=st.floats(0, 1))


@given(P_VALUES, st.permutations(range(6)))
def test_holm_is_step_down_bonferroni(p_values: np.ndarray, order: list[int]) -> None:
    adjusted = holm(p_values)
    np.testing.assert_allclose(holm(p_values[order]), adjusted[order])
    assert (adjusted >= p_values).all()
    assert (adjusted <= np.minimum(6 * p_values, 1) + 1e-12).all()
    for alpha in (0.01, 0.05, 0.2):
        rejected = np.zeros(6, bool)
        for step, i in enumerate(np.argsort(p_values, kind="stable")):
            if p_values[i] * (6 - step) > alpha:
                break
            rejected[i] = True
        np.testing.assert_array_equal(adjusted <= alpha, rejected)


def test_a_statistic_of_ones_own() -> None:
    values = np.array([1.0, 2.0, 9.0])

    def largest(counts: np.ndarray) -> np.ndarray:
        return np.where(counts > 0, values, 0).max(axis=1)

    estimate = bootstrap(Statistic(3, largest))
    assert (estimate.value, estimate.high) == (9, 9)
    assert estimate.low == 1
