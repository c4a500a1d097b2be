"""The fitted numbers: temperature, κ, scale of the volume interval."""

from math import exp, log

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from entrust.calibration import (
    _student_quantile,
    fit_kappa,
    fit_temperature,
    fit_volume_interval_scale,
    golden_section,
    interval_coverage,
    temper,
    volume_interval,
)
from entrust.errors import InvalidInputError
from entrust.uncertainty import softmax

VOLUMES = hnp.arrays(np.float64, st.integers(1, 9), elements=st.floats(0, 5000))


@given(st.floats(-3, 3))
def test_golden_section_finds_the_minimum_even_at_the_ends(centre: float) -> None:
    found = golden_section(lambda x: (x - centre) ** 2, -1.0, 2.0)
    assert found == pytest.approx(min(max(centre, -1), 2), abs=1e-4)


def draw(p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One label per row of p, so that p is its true conditional."""
    return (rng.random((len(p), 1)) > p.cumsum(axis=1)).sum(axis=1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_was_applied_is_found_again(temperature: float, rng: np.random.Generator) -> None:
    logits = rng.normal(size=(60_000, 3)).astype(np.float32) * 2
    labels = draw(softmax(logits, axis=1), rng)
    assert fit_temperature([logits * temperature], [labels]) == pytest.approx(temperature, rel=0.05)


def test_the_temperature_is_that_of_a_general_optimiser(rng: np.random.Generator) -> None:
    patients = [rng.normal(size=(n, 2)) * 4 for n in (50, 400, 30)]
    labels = [rng.integers(0, 2, len(p)) for p in patients]

    def objective(t: float) -> float:
        return np.mean(
            [
                -np.log(softmax(p / t, axis=1)[np.arange(len(y)), y]).mean()
                for p, y in zip(patients, labels, strict=True)
            ]
        )

    best = scipy.optimize.minimize_scalar(objective, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-8})
    assert objective(fit_temperature(patients, labels)) == pytest.approx(best.fun, abs=1e-7)


def test_a_large_patient_counts_as_much_as_a_small_one(rng: np.random.Generator) -> None:
    sure = np.tile(np.float32([4, 0]), (10, 1))
    right, wrong = np.zeros(10, int), np.array([0] * 5 + [1] * 5)
    once = fit_temperature([sure, sure], [right, wrong])
    assert fit_temperature([np.tile(sure, (50, 1)), sure], [np.tile(right, 50), wrong]) == pytest.approx(once, rel=1e-3)


@given(st.floats(0.1, 10), hnp.arrays(np.float32, (5, 3), elements=st.floats(-8, 8, width=32)))
def test_tempering_keeps_the_order_of_classes(temperature: float, logits: np.ndarray) -> None:
    p = temper(logits, temperature)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    winner = logits.argmax(axis=1)
    np.testing.assert_array_equal(p[np.arange(5), winner], p.max(axis=1))


def test_kappa_goes_to_the_calibrated_part_and_between_two_equal_ones(rng: np.random.Generator) -> None:
    truth = softmax(rng.normal(size=(40_000, 2)) * 2, axis=1)
    bad = temper(np.log(truth), 0.2)
    labels = draw(truth, rng)
    assert fit_kappa([truth], [bad], [labels]) > 0.9
    assert fit_kappa([bad], [truth], [labels]) < 0.1
    noisy = [softmax(np.log(truth) + rng.normal(size=truth.shape), axis=1) for _ in range(2)]
    assert fit_kappa([noisy[0]], [noisy[1]], [labels]) == pytest.approx(0.5, abs=0.05)


def test_kappa_survives_impossible_events() -> None:
    marginal, mean = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 1.0]])
    assert 0 <= fit_kappa([marginal], [mean], [np.array([0, 1])]) < 0.01


@pytest.mark.parametrize(
    "call", [lambda: fit_kappa([], [], []), lambda: fit_temperature([np.zeros((0, 2))], [np.zeros(0, int)])]
)
def test_nothing_to_fit_on_is_refused(call) -> None:
    with pytest.raises(InvalidInputError):
        call()


# ---- volume interval ----------------------------------------------------------------------------------------------


@given(VOLUMES, st.floats(0.01, 20), st.floats(0.5, 0.99), st.none() | st.floats(0, 5000))
def test_the_interval_holds_its_centre_and_is_never_negative(
    volumes: np.ndarray, scale: float, level: float, estimate: float | None
) -> None:
    low, high = volume_interval(volumes, scale, level, estimate_ml=estimate)
    centre = float(np.median(volumes)) if estimate is None else estimate
    assert 0 <= low <= centre + 1e-6 * (1 + centre)
    assert high >= centre - 1e-6 * (1 + centre)
    assert np.isfinite(high)


@given(VOLUMES, st.randoms(use_true_random=False))
def test_the_order_of_hypotheses_does_not_matter(volumes: np.ndarray, random) -> None:
    shuffled = volumes.copy()
    random.shuffle(shuffled)
    assert volume_interval(shuffled, 1.3) == pytest.approx(volume_interval(volumes, 1.3))


def test_more_spread_scale_and_level_widen_the_interval() -> None:
    def width(volumes: list[float], scale: float = 1.0, level: float = 0.9) -> float:
        low, high = volume_interval(np.asarray(volumes, float), scale, level, estimate_ml=100.0)
        return high - low

    assert width([50, 100, 200]) > width([80, 100, 120]) > width([100, 100, 100]) > 0
    assert width([80, 100, 120], scale=2) > width([80, 100, 120])
    assert width([80, 100, 120], level=0.95) > width([80, 100, 120], level=0.8)


def test_a_large_volume_gets_the_normal_interval_of_its_logarithm() -> None:
    volumes = np.exp(np.array([-0.5, 0.0, 0.5])) * 1e6
    low, high = volume_interval(volumes, 1.0)
    assert (log(low / 1e6), log(high / 1e6)) == pytest.approx((-0.5 * 1.6449, 0.5 * 1.6449), abs=1e-3)


def test_empty_hypotheses_give_a_small_interval_from_zero() -> None:
    low, high = volume_interval(np.zeros(8), 1.0)
    assert low == 0
    assert 0 < high < 1


def cohort(n: int, truth_spread: float, rng: np.random.Generator) -> tuple[list[np.ndarray], list[float], list[float]]:
    """Patients whose hypotheses scatter by 0.2 around the estimate and whose truth scatters by ``truth_spread``."""
    estimates = [float(v) for v in np.exp(rng.normal(5, 1, n))]
    volumes = [e * np.exp(rng.normal(0, 0.2, 8)) for e in estimates]
    truths = [float(e * exp(rng.normal(0, truth_spread))) for e in estimates]
    return volumes, truths, estimates


def test_with_many_patients_the_promised_share_is_covered(rng: np.random.Generator) -> None:
    volumes, truths, estimates = cohort(400, 0.5, rng)
    scale = fit_volume_interval_scale(volumes, truths, estimates_ml=estimates)
    new_volumes, new_truths, new_estimates = cohort(2000, 0.5, rng)
    intervals = [volume_interval(v, scale, estimate_ml=e) for v, e in zip(new_volumes, new_estimates, strict=True)]
    assert interval_coverage(np.asarray(intervals), np.asarray(new_truths)) == pytest.approx(0.9, abs=0.04)
    assert scale == pytest.approx(2.5, rel=0.25)


@pytest.mark.parametrize("n", [6, 9])
def test_with_few_patients_the_share_holds_on_average_over_draws_of_them(n: int, rng: np.random.Generator) -> None:
    shares = []
    for _ in range(300):
        volumes, truths, estimates = cohort(n, 0.4, rng)
        scale = fit_volume_interval_scale(volumes, truths, estimates_ml=estimates)
        v, t, e = cohort(20, 0.4, rng)
        intervals = [volume_interval(x, scale, estimate_ml=y) for x, y in zip(v, e, strict=True)]
        shares.append(interval_coverage(np.asarray(intervals), np.asarray(t)))
    # the hypotheses' own spread is estimated from 8 draws, which the six-patient rule does not pay for
    assert 0.85 <= np.mean(shares) <= 0.96


def test_one_lost_patient_of_six_does_not_make_every_interval_useless() -> None:
    spread = np.exp(np.linspace(-0.2, 0.2, 8))
    volumes = [100 * spread] * 6
    good, lost = [90.0, 105.0, 110.0, 95.0, 120.0, 100.0], [90.0, 105.0, 110.0, 95.0, 120.0, 20_000.0]
    calm, alarmed = (fit_volume_interval_scale(volumes, truths) for truths in (good, lost))
    assert calm < alarmed < 2.5
    # against a plain root mean square, which would be ruled by the one
    assert alarmed < 0.2 * abs(log(201)) / 0.15 / 1.645


def test_one_patient_is_enough_to_answer_and_none_is_not() -> None:
    assert fit_volume_interval_scale([np.array([90.0, 110.0])], [100.0]) > 0
    for volumes, truths in [([], []), ([np.ones(3)], [1.0, 2.0])]:
        with pytest.raises(InvalidInputError):
            fit_volume_interval_scale(volumes, truths)


@pytest.mark.parametrize("dof", [3, 5, 6, 8, 30])
def test_student_quantile_agrees_with_scipy(dof: int) -> None:
    assert _student_quantile(0.95, dof) == pytest.approx(scipy.stats.t.ppf(0.95, dof), rel=0.01)


def test_coverage_counts_closed_intervals() -> None:
    intervals = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    assert interval_coverage(intervals, np.array([1.0, 3.5, 4.2])) == pytest.approx(2 / 3)


def test_no_interval_is_wider_than_what_was_imaged() -> None:
    scattered = np.asarray([0.5, 3.0, 40.0, 110.0])
    assert volume_interval(scattered, 3.0)[1] > 1e4
    assert volume_interval(scattered, 3.0, limit_ml=2000.0)[1] == 2000.0
