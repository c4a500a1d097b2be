"""Wait for Prometheus, which looks once a second."""

import time

from deploy.prometheus.server import Prometheus


def until(prometheus: Prometheus, condition: str, *, seconds: float = 60.0) -> None:
    """Wait until an expression has a result."""
    deadline = time.monotonic() + seconds
    while not prometheus.query(condition):
        assert time.monotonic() < deadline, condition
        time.sleep(0.3)


def scraped(prometheus: Prometheus) -> None:
    """Wait until every target was scraped anew."""
    until(prometheus, f"min(timestamp(up)) > {time.time() + 2.0}")
