"""One study on its way through the rooms."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from entrust.errors import CancelledError
from service import audit
from service.observability.activities import Activities
from service.pipeline.request import OnProgress

P = ParamSpec("P")
T = TypeVar("T")


class Run:
    """One study on its way: times its stages, and stops between them when told to.

    Args:
        activities: Hears of stages.
        task: Task name.
        on_progress: Told of stages and steps.
        cancelled: Set by who wants it to stop.

    Attributes:
        stages_seconds: Duration of the stages that are finished.
    """

    def __init__(self, activities: Activities, task: str, on_progress: OnProgress, cancelled: asyncio.Event) -> None:
        self.cancelled = cancelled
        self.stages_seconds: dict[str, float] = {}
        self._activities = activities
        self.on_progress = on_progress
        self._task = task

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Run the block as a stage.

        Raises:
            CancelledError: The run was cancelled before.
        """
        self.check()
        self.on_progress(name, 0, 1)
        started = time.perf_counter()
        with self._activities.stage(task=self._task, stage=name):
            yield
        self.stages_seconds[name] = time.perf_counter() - started
        self.on_progress(name, 1, 1)

    def passed(self, hop: audit.Hop, study_uid: str, *stages: str) -> None:
        """Tell the audit trail of a hop, which took as long as its stages."""
        seconds = sum(self.stages_seconds[name] for name in stages)
        audit.record(audit.Event(hop=hop, study_uid=study_uid, duration_seconds=seconds))

    async def in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do work apart from the event loop.

        Raises:
            CancelledError: The run was cancelled before or meanwhile.
        """
        self.check()
        result = await asyncio.to_thread(work, *args, **kwargs)
        self.check()
        return result

    def check(self) -> None:
        """Go on where nobody wants this to stop.

        Raises:
            CancelledError: Somebody does.
        """
        if self.cancelled.is_set():
            raise CancelledError("The job was cancelled before it ended.")
