"""The shifted cosine schedule."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrust.errors import InvalidInputError
from entrust.schedule import Schedule

TIMES = st.floats(0.02, 0.98)


@given(TIMES, st.floats(0.03, 1.0))
def test_input_scale_shifts_the_log_snr_by_its_logarithm(t: float, scale: float) -> None:
    unclamped = {"min_signal_power": 1e-12, "max_signal_power": 1 - 1e-12}
    shift = Schedule(scale, **unclamped).half_log_snr(t) - Schedule(1.0, **unclamped).half_log_snr(t)
    assert shift == pytest.approx(math.log(scale), abs=1e-6)


@given(TIMES)
def test_without_scaling_it_is_the_cosine_schedule(t: float) -> None:
    assert Schedule(1.0).signal_power(t) == pytest.approx(math.cos(0.5 * math.pi * t) ** 2)


@given(st.floats(0, 1), st.floats(0, 1))
def test_more_time_is_never_more_signal(a: float, b: float) -> None:
    schedule = Schedule(0.1)
    low, high = sorted((a, b))
    assert schedule.signal_power(low) >= schedule.signal_power(high)
    assert 1e-6 <= schedule.signal_power(high) <= 1 - 1e-4


def test_the_steps_start_at_pure_noise_and_end_before_zero() -> None:
    assert Schedule().times(4) == (1.0, 0.75, 0.5, 0.25)
    assert Schedule().times(1) == (1.0,)
    with pytest.raises(InvalidInputError):
        Schedule().times(0)
