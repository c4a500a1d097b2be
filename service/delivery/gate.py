"""One gate before each target: so many at a time, and none while it is down but one that finds out."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from circuitbreaker import STATE_CLOSED, STATE_HALF_OPEN, STATE_OPEN, CircuitBreaker

from entrust.errors import DeliveryFailedError
from service.delivery.interface import is_transient

FAILURES = 3
"""Transient failures one after the other after which a target counts as down."""


class Gate:
    """Lets work through to one target.

    Args:
        name: The target's.
        concurrency: How much goes through at a time.
        rest_seconds: How long a target that is down is left alone before it is tried again.
        on_change: Hears whether the target counts as down.
    """

    def __init__(
        self, name: str, *, concurrency: int, rest_seconds: float, on_change: Callable[[bool], None] = lambda _: None
    ) -> None:
        self._name = name
        self._slots = asyncio.Semaphore(concurrency)
        self._breaker = CircuitBreaker(FAILURES, rest_seconds, expected_exception=_counts)
        self._probing = False
        self._on_change = on_change

    def check(self) -> None:
        """Return where somebody would be let through: what is prepared for a target that is down is for nothing.

        Raises:
            DeliveryFailedError: The target is down, and it is not yet time to try it, or another one is trying.
        """
        if self._breaker.state == STATE_OPEN or self._probing:
            raise DeliveryFailedError(
                f"The target {self._name} does not answer and is left alone for now.",
                fix="Nothing is lost: it is tried again.",
                details={"retry_after_seconds": round(max(self._breaker.open_remaining, 1.0), 1)},
            )

    @contextlib.asynccontextmanager
    async def passing(self) -> AsyncIterator[None]:
        """Let the block run; a transient error that leaves it counts against the target.

        Raises:
            DeliveryFailedError: As :meth:`check`.
        """
        async with self._slots:
            self.check()
            self._probing = probing = self._breaker.state == STATE_HALF_OPEN
            try:
                with self._breaker:
                    yield
            finally:
                if probing:
                    self._probing = False
                self._on_change(self._breaker.state != STATE_CLOSED)


def _counts(_kind: type[BaseException], error: BaseException) -> bool:
    """Tell whether an error speaks against the target; one who was cancelled has not seen that it is well."""
    return is_transient(error) or isinstance(error, asyncio.CancelledError)
