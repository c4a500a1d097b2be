"""Samplers against a denoiser known in closed form.

For clean data N(μ, s²) the best estimate is x̂0 = μ + s² √γ (x − √γ μ) / (s² γ + 1 − γ), and the deterministic path
keeps z = (x − √γ μ) / √(s² γ + 1 − γ). So the error of a sampler is known, and its order is a theorem to check.
"""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from entrust.errors import InvalidInputError
from entrust.sampling import DenoiseCall, HypothesisNoise, Sampler, ddim, dpm_solver_pp_2m, make_sampler
from entrust.schedule import Schedule

MEAN, STD = 0.4, 0.7


class LinearLogSnr(Schedule):
    """λ linear in t: steps of equal size on the axis where the order of convergence is defined."""

    def signal_power(self, t: float) -> float:
        return 1.0 / (1.0 + math.exp(-2.0 * (3.0 - 5.0 * t)))


def estimate(schedule: Schedule, t: float, x: np.ndarray) -> np.ndarray:
    g = schedule.signal_power(t)
    return MEAN + STD**2 * math.sqrt(g) / (STD**2 * g + 1.0 - g) * (x - math.sqrt(g) * MEAN)


def run(sampler: Sampler, denoise: Callable[[DenoiseCall], np.ndarray]) -> np.ndarray:
    call = next(sampler)
    while True:
        try:
            call = sampler.send(denoise(call))
        except StopIteration as stop:
            return stop.value


def error(name: str, schedule: Schedule, num_steps: int) -> float:
    """Distance of the result from the exact path's estimate at the time of the last call."""
    x_start = np.linspace(-2, 2, 9)
    sampler = make_sampler(name, schedule, x_start, num_steps=num_steps, eta=0.0, noise=None)
    result = run(sampler, lambda call: estimate(schedule, call.t, call.x))

    def scale(g: float) -> float:
        return math.sqrt(STD**2 * g + 1.0 - g)

    g_start, g_end = schedule.signal_power(1.0), schedule.signal_power(1.0 / num_steps)
    z = (x_start - math.sqrt(g_start) * MEAN) / scale(g_start)
    exact = estimate(schedule, 1.0 / num_steps, math.sqrt(g_end) * MEAN + scale(g_end) * z)
    return float(np.abs(result - exact).max())


@pytest.mark.parametrize(("name", "order"), [("ddim", 1.0), ("dpm++2m", 2.0)])
def test_order_of_convergence(name: str, order: float) -> None:
    errors = [error(name, LinearLogSnr(), n) for n in (40, 80, 160, 320)]
    observed = np.log2(np.divide(errors[:-1], errors[1:]))
    np.testing.assert_allclose(observed, order, atol=0.15)


@pytest.mark.parametrize("name", ["ddim", "dpm++2m"])
def test_the_served_schedule_converges_too(name: str) -> None:
    # from where the time of the last call, 1/S, hardly moves; at S > 157 the first steps lie on the schedule's clamp
    errors = [error(name, Schedule(0.1), n) for n in (64, 256, 1024)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.02


def test_the_second_order_sampler_is_better_at_equal_cost() -> None:
    assert error("dpm++2m", LinearLogSnr(), 20) < 0.2 * error("ddim", LinearLogSnr(), 20)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_any_share_of_fresh_noise_samples_the_same_distribution(eta: float) -> None:
    schedule, rng, n, num_steps = LinearLogSnr(), np.random.default_rng(0), 40_000, 300
    g = schedule.signal_power(1.0)
    start = math.sqrt(g) * MEAN + math.sqrt(STD**2 * g + 1 - g) * rng.standard_normal(n)
    sampler = ddim(schedule, start, num_steps=num_steps, eta=eta, noise=lambda _: rng.standard_normal(n))
    result = run(sampler, lambda call: estimate(schedule, call.t, call.x))
    g = schedule.signal_power(1.0 / num_steps)
    expected_std = STD * math.sqrt(STD**2 * g / (STD**2 * g + 1 - g))
    assert result.mean() == pytest.approx(MEAN, abs=0.02)
    assert result.std() == pytest.approx(expected_std, rel=0.02)


def test_the_calls_tell_time_step_and_the_previous_answer() -> None:
    answers, calls = [np.full(1, float(i)) for i in range(4)], []

    def denoise(call: DenoiseCall) -> np.ndarray:
        calls.append(call)
        return answers[call.index]

    result = run(ddim(Schedule(), np.zeros(1), num_steps=4, eta=0.0), denoise)
    assert [call.t for call in calls] == [1.0, 0.75, 0.5, 0.25]
    assert calls[0].clean is None
    assert [call.clean.item() for call in calls[1:]] == [0, 1, 2]
    assert result.item() == 3


@pytest.mark.parametrize("name", ["ddim", "dpm++2m"])
def test_torch_and_numpy_go_the_same_way(name: str) -> None:
    schedule, noise = Schedule(0.1), HypothesisNoise(3, 4, 2, 8, 8)

    def sample(to: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        sampler = make_sampler(name, schedule, to(noise.start()), num_steps=4, eta=1.0, noise=lambda i: to(noise(i)))
        return np.asarray(run(sampler, lambda call: 0.5 * call.x.clip(-1, 1) + (0 if call.clean is None else 0.2)))

    of_numpy, of_torch = sample(np.asarray), sample(torch.from_numpy)
    assert of_numpy.dtype == np.float32
    np.testing.assert_allclose(of_numpy, of_torch, atol=1e-5)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(InvalidInputError, match="noise source"):
        next(ddim(Schedule(), np.zeros(1), num_steps=2, eta=1.0))
    with pytest.raises(InvalidInputError, match="no sampler"):
        make_sampler("euler", Schedule(), np.zeros(1), num_steps=2, eta=0.0, noise=None)
    run(dpm_solver_pp_2m(Schedule(), np.zeros(1), num_steps=1), lambda call: call.x)  # one step needs no history


SEEDS = st.integers(0, 2**64 - 1)


@settings(max_examples=30)
@given(SEEDS, st.integers(1, 9), st.integers(0, 6), st.integers(-1, 20))
def test_fewer_hypotheses_are_a_prefix_of_more(seed: int, few: int, extra: int, index: int) -> None:
    a, b = (HypothesisNoise(seed, k, 2, 4, 6)(index) for k in (few, few + extra))
    np.testing.assert_array_equal(a, b[:, :few])
    assert a.shape == (1, few, 2, 4, 6)
    assert a.dtype == np.float32


@settings(max_examples=30)
@given(SEEDS, st.integers(-1, 20))
def test_neighbours_are_antithetic_and_pairs_differ(seed: int, index: int) -> None:
    draw = HypothesisNoise(seed, 6, 2, 4, 6)(index)[0]
    np.testing.assert_array_equal(draw[::2], -draw[1::2])
    np.testing.assert_array_equal(draw.sum(axis=0), 0)
    assert not np.array_equal(draw[0], draw[2])


def test_steps_and_seeds_have_streams_of_their_own() -> None:
    noise = HypothesisNoise(5, 16, 2, 64, 64)
    np.testing.assert_array_equal(noise.start(), noise(-1))
    draws = np.stack(
        [noise(-1).ravel(), noise(0).ravel(), noise(1).ravel(), HypothesisNoise(6, 16, 2, 64, 64)(0).ravel()]
    )
    correlation = np.corrcoef(draws) - np.eye(4)
    assert np.abs(correlation).max() < 0.02
    assert draws.std() == pytest.approx(1.0, abs=0.01)


def test_large_seeds_keep_every_bit() -> None:
    a, b = (HypothesisNoise(2**64 - n, 1, 2, 4, 4).start() for n in (1, 2))
    assert not np.array_equal(a, b)


@pytest.mark.parametrize(("seed", "k"), [(-1, 1), (2**64, 1), (0, 0)])
def test_impossible_noise_is_refused(seed: int, k: int) -> None:
    with pytest.raises(InvalidInputError):
        HypothesisNoise(seed, k, 2, 4, 4)
