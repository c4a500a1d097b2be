"""Durations between two scrapes of the gateway's metrics."""

from demo.timings import read_timings
from service.observability.metrics import Metrics


def _exposition(metrics: Metrics) -> str:
    return metrics.render()[0].decode()


def test_only_what_was_added_counts() -> None:
    metrics = Metrics(pairs={"oncology": [("ct", "pet")]}, states=["queued"])
    metrics.stage(task="oncology", stage="ingest", duration_seconds=5.0)
    metrics.sampling_step(task="oncology", sampler="ddim", precision="fp32", index=0, duration_seconds=1.0)
    before = _exposition(metrics)
    metrics.stage(task="oncology", stage="ingest", duration_seconds=0.5)
    metrics.stage(task="oncology", stage="trust", duration_seconds=0.25)
    for index in (0, 0, 1):
        metrics.sampling_step(task="oncology", sampler="ddim", precision="fp32", index=index, duration_seconds=0.125)
    timings = read_timings(before, _exposition(metrics))
    assert dict(timings.stages_seconds) == {"ingest": 0.5, "trust": 0.25}
    assert timings.steps == (("0", 2, 0.25), ("1", 1, 0.125))
