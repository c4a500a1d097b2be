"""A receiver of traces, as a collector is one."""

from collections.abc import Iterator

import pytest

from deploy.traces.receiver import Receiver, running_receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of a test's own."""
    with running_receiver() as running:
        yield running
