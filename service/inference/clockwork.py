"""Counts, times and stops the calls of one run of the sampling loop."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import numpy as np

from entrust.errors import CancelledError

OnProgress = Callable[[str, int, int], None]
"""Hears ``(stage, step, of)`` after each call to Triton; stages are ``fusing``, ``sampling`` and ``probing``."""


@dataclass(frozen=True)
class Timings:
    """Where the time of a run went.

    Attributes:
        total_seconds: From first to last call.
        fusing_seconds: Sum over the calls of EnFuse.
        step_seconds: Mean over chunks of each sampling step, call and update together.
        probing_seconds: Sum over the calls for probes.
        calls: Number of calls to Triton.
    """

    total_seconds: float
    fusing_seconds: float
    step_seconds: tuple[float, ...]
    probing_seconds: float
    calls: int


@dataclass(eq=False)
class Clockwork:
    """Counts, times and stops the calls of one run."""

    of: int
    num_steps: int
    on_progress: OnProgress | None
    cancelled: asyncio.Event | None
    fusing_seconds: float = 0.0
    probing_seconds: float = 0.0
    steps_seconds: list[list[float]] = field(default_factory=list)
    done: int = 0

    def __post_init__(self) -> None:
        self.steps_seconds = [[] for _ in range(self.num_steps)]

    def check(self) -> None:
        """Stop here if the caller has gone.

        Raises:
            CancelledError: It has.
        """
        if self.cancelled is not None and self.cancelled.is_set():
            raise CancelledError("The request was cancelled.")

    @contextlib.asynccontextmanager
    async def call(
        self, stage: str, block: contextlib.AbstractContextManager[object], *, index: int = 0
    ) -> AsyncIterator[None]:
        """Time one call, count it and say so; stop before it if the caller has gone.

        Args:
            stage: ``fusing``, ``sampling`` or ``probing``.
            block: What an observer hears of the call.
            index: Of the sampling step.
        """
        self.check()
        start = time.perf_counter()
        with block:
            yield
        seconds = time.perf_counter() - start
        if stage == "fusing":
            self.fusing_seconds += seconds
        elif stage == "probing":
            self.probing_seconds += seconds
        else:
            self.steps_seconds[index].append(seconds)
        self.done += 1
        if self.on_progress is not None:
            self.on_progress(stage, self.done, self.of)

    def timings(self, total_seconds: float) -> Timings:
        """Return where the time went."""
        return Timings(
            total_seconds=total_seconds,
            fusing_seconds=self.fusing_seconds,
            step_seconds=tuple(float(np.mean(seconds)) for seconds in self.steps_seconds),
            probing_seconds=self.probing_seconds,
            calls=self.done,
        )
