"""Percentiles, intervals, slopes and the knee, on numbers whose answer is known."""

import numpy as np
import pytest

from loadtests.figures import bootstrap, growth_per_minute, knee, percentiles


def test_percentiles_of_nothing_are_nothing() -> None:
    assert percentiles([]) == {"p50": None, "p95": None, "p99": None}
    assert percentiles(list(range(101))) == {"p50": 50.0, "p95": 95.0, "p99": 99.0}


def test_the_bootstrap_interval_holds_the_statistic_and_narrows_with_more_values() -> None:
    values = np.random.default_rng(1).normal(10.0, 2.0, 400)
    few, many = bootstrap(values[:20].tolist()), bootstrap(values.tolist())
    for interval in (few, many):
        assert interval.low <= interval.value <= interval.high
    assert many.high - many.low < few.high - few.low
    assert bootstrap([3.0]).low == bootstrap([3.0]).high == 3.0


def test_growth_looks_past_the_warm_up_and_the_spikes() -> None:
    times = np.arange(0.0, 180.0, 2.0)
    memory = np.where(times < 60.0, 10.0 * times, 600.0 + 0.5 * (times - 60.0))  # 30 MiB a minute once it is warm
    memory[::9] += 400.0
    grown = growth_per_minute(times.tolist(), memory.tolist())
    assert grown.value == pytest.approx(30.0, abs=1.0)
    assert grown.low <= grown.value <= grown.high


def test_the_knee_is_the_last_load_before_the_first_that_is_not_answered() -> None:
    assert knee([4.0, 1.0, 2.0, 3.0], [0.5, 1.0, 0.97, 0.8]) == 2.0
    assert knee([1.0, 2.0, 3.0], [1.0, 0.9, 1.0]) == 1.0, "a load above it that was lucky does not count"
    assert knee([1.0], [0.2]) is None
