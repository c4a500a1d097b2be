"""Numbers from samples: percentiles, bootstrap intervals, slopes, and the knee; each rule stated once, here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

RESAMPLES = 5000
KNEE_SHARE = 0.95
"""Of what is offered: the knee is the largest load of which at least this share is still answered."""
WARM_UP_SHARE = 1.0 / 3.0
"""Of a measurement of memory that is left out, because buffers are still finding their size."""


@dataclass(frozen=True)
class Interval:
    """A number and its 95 % interval."""

    value: float
    low: float
    high: float


def percentiles(values: Sequence[float]) -> dict[str, float | None]:
    """Return the median, the 95th and the 99th percentile; of nothing, nothing."""
    if not values:
        return {"p50": None, "p95": None, "p99": None}
    p50, p95, p99 = np.percentile(values, [50, 95, 99])
    return {"p50": float(p50), "p95": float(p95), "p99": float(p99)}


def bootstrap(values: Sequence[float], statistic: Callable[..., Any] = np.median, *, seed: int = 0) -> Interval:
    """Return a statistic with its percentile bootstrap interval.

    Args:
        values: Independent measurements; pairs are to be reduced to one number each before.
        statistic: Of the values.
        seed: Of the resampling.
    """
    point = float(statistic(np.asarray(values)))
    if len(values) < 2 or np.ptp(values) == 0.0:
        return Interval(point, point, point)
    found = stats.bootstrap(
        (np.asarray(values),), statistic, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(seed)
    )
    return Interval(point, float(found.confidence_interval.low), float(found.confidence_interval.high))


def growth_per_minute(times_seconds: Sequence[float], values: Sequence[float]) -> Interval:
    """Return how fast something grows once it is warm: the Theil-Sen slope of the last two thirds.

    The median of the slopes between all pairs of points does not care about the spikes of single studies.

    Args:
        times_seconds: When.
        values: What.
    """
    times, series = np.asarray(times_seconds), np.asarray(values)
    warm = times >= times[0] + WARM_UP_SHARE * (times[-1] - times[0])
    slope = stats.theilslopes(series[warm], times[warm] / 60.0)
    return Interval(float(slope.slope), float(slope.low_slope), float(slope.high_slope))


def knee(offered: Sequence[float], answered_share: Sequence[float]) -> float | None:
    """Return the largest offered load of which at least 95 % is still answered, below the first that is not.

    Args:
        offered: Loads.
        answered_share: Share of each that was answered as it should be, [0, 1].
    """
    found = None
    for load, share in sorted(zip(offered, answered_share, strict=True)):
        if share < KNEE_SHARE:
            break
        found = load
    return found
