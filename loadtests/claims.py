"""What is promised, what was measured, and whether the one is kept: the rows of ``docs/benchmarks/load.json``."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from loadtests.figures import Interval, bootstrap, growth_per_minute, knee, percentiles
from loadtests.kills import Kill
from loadtests.results import Results

TRANSPORT_MS, LOOP_RATIO, RECOVERY_SECONDS = 3.0, 1.05, 5.0
GROWTH_MIB_PER_MINUTE = 20.0
WAIT_MARGIN = 3.0
"""Over the mean time that the jobs ahead of one take: they are of different sizes, and urgent ones overtake."""


@dataclass(frozen=True)
class Claim:
    """One row: ``value`` must be at most ``bar``.

    Attributes:
        claim: In words, with the unit.
        value: Measured.
        low: Of its 95 % interval; of a few single events, the smallest.
        high: Likewise.
        bar: Largest value that is promised; ``None`` for a number that only informs.
        met: Whether it is; ``None`` without a bar.
        command: What repeats the measurement.
        machine: Where it was made.
    """

    claim: str
    value: float
    low: float
    high: float
    bar: float | None
    met: bool | None
    command: str
    machine: str


def claims(results: Results) -> list[Claim]:
    """Return every row."""
    return [
        Claim(
            words, interval.value, interval.low, interval.high, bar, None if bar is None else interval.value <= bar,
            results.command, results.machine,
        )
        for words, interval, bar in _measured(results)
    ]  # fmt: skip


def _measured(results: Results) -> Iterator[tuple[str, Interval, float | None]]:
    shared = results.transport_ms["shared memory"]
    yield "transport per sampling step, identity model, shared memory: median, ms", bootstrap(shared), TRANSPORT_MS
    yield "sampling loop through Triton / the same loop in process, same engine", results.steps.loop, LOOP_RATIO
    yield "capacity: accepted jobs per second", _exactly(results.capacity), None
    least = [s for s in results.stages if s.name != "saturation"]
    found = knee([s.offered for s in least], [s.answered_share for s in least])
    if found is not None:
        yield (
            "knee: largest offered load of which 95 % is answered, of the capacity",
            _exactly(found / results.capacity),
            None,
        )
    odd = sum(not record.expected for stage in results.stages for record in stage.records)
    yield "visits that ended in a way they should not, all loads", _exactly(odd), 0.0
    yield from _overload(results)
    for target, run in results.kills.items():
        yield from _killed(target, run.kills)
        odd = sum(not record.expected for record in run.records)
        promised = None if "gateway" in target else 0.0  # who is connected to a gateway that dies, notices
        yield f"{target} killed: other visits that ended otherwise, of {len(run.records)}", _exactly(odd), promised


def _overload(results: Results) -> Iterator[tuple[str, Interval, float | None]]:
    stage = results.overload_stage
    refused = [record for record in stage.jobs if record.refused_for_load]
    unfinished = sum(not record.expected for record in stage.accepted)
    yield (
        f"overload: accepted jobs that did not end as they should, of {len(stage.accepted)}",
        _exactly(unfinished),
        0.0,
    )
    hintless = sum(record.retry_after_seconds is None for record in refused)
    yield f"overload: refusals without a hint when to try again, of {len(refused)}", _exactly(hintless), 0.0
    if stage.waits_seconds:
        p99 = bootstrap(stage.waits_seconds, lambda values, axis=-1: np.percentile(values, 99, axis=axis))
        bound = WAIT_MARGIN * results.room / results.capacity
        yield "overload: p99 from request to results of accepted studies, s", p99, round(bound, 1)
    samples = results.overload_memory
    if len(samples) >= 6:  # fewer say nothing of a slope
        times = [sample.at_seconds for sample in samples]
        for who, values in (
            ("gateway", [s.gateway_mib for s in samples]), ("Triton", [s.triton_mib for s in samples]),
        ):  # fmt: skip
            grown = growth_per_minute(times, values)
            yield f"overload: growth of the {who}'s memory, MiB a minute", grown, GROWTH_MIB_PER_MINUTE


def _killed(target: str, kills: list[Kill]) -> Iterator[tuple[str, Interval, float | None]]:
    waited = [kill.answered_after_seconds for kill in kills]
    sent = [kill.sent_after_seconds for kill in kills]
    yield f"{target} killed: the next request is answered after, s (longest)", _span(waited), RECOVERY_SECONDS
    yield f"{target} killed: that request was sent after, s (longest)", _span(sent), None
    later = [kill.answered_after_seconds - kill.undisturbed_seconds for kill in kills]
    yield f"{target} killed: later than undisturbed, s (longest)", _span(later), None
    lost, known = sum(kill.lost for kill in kills), sum(kill.lost + kill.kept for kill in kills)
    yield f"{target} killed: finished studies whose results are gone, of {known}", _exactly(lost), 0.0
    other = sum(not kill.same_answer for kill in kills)
    yield f"{target} killed: studies sent again that gave another mask, of {len(kills)}", _exactly(other), 0.0


def _exactly(value: float) -> Interval:
    return Interval(float(value), float(value), float(value))


def _span(values: list[float]) -> Interval:
    """Return the largest, between the smallest and the largest: of a few events there is no interval."""
    return Interval(max(values), min(values), max(values))


def summary_of(values: list[float]) -> str:
    """Return ``p50 / p95 / p99`` in words for a table."""
    found = percentiles(values)
    return " | ".join("–" if v is None else f"{v:.2f}" for v in found.values())
