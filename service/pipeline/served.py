"""Which tasks can be served: what Triton has, held against the contract."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from entrust.contract import TASKS, ModelCard, Task, get_task
from entrust.errors import EnTrustError, ModelUnavailableError
from service.inference import TritonClient, is_deployed, load_card
from service.pipeline.run import Run

CARD_SECONDS = 1.0
"""How long an answer about the served models is believed: readiness is polled, Triton should not be."""
RECOVERY_SECONDS = 10.0
RETRY_SECONDS = 0.2


@dataclass(frozen=True)
class ModelState:
    """Whether a task can be served.

    Attributes:
        task: Task name.
        card: The weights; ``None`` when not ready.
        reason: Why not.
        deployed: Whether Triton was given models of the task. A deployment may serve some of the tasks.
    """

    task: str
    card: ModelCard | None
    reason: str = ""
    deployed: bool = True


def hindrances(states: Sequence[ModelState]) -> list[str]:
    """Return why a gateway cannot do its work: a deployed task is not ready, or none is deployed."""
    if not any(state.deployed for state in states):
        return ["Triton was given no models of any task."]
    return [state.reason for state in states if state.deployed and state.card is None]


class ServedModels:
    """The models behind a client, as they are now.

    Args:
        client: Triton.
    """

    def __init__(self, client: TritonClient) -> None:
        self._client = client
        self._states: tuple[ModelState, ...] = ()
        self._asked_at = float("-inf")
        self._asking = asyncio.Lock()

    async def states(self) -> tuple[ModelState, ...]:
        """Say of every task whether it is served as the contract promises."""
        async with self._asking:
            if time.monotonic() - self._asked_at > CARD_SECONDS:
                self._states = tuple([await self._state(name) for name in TASKS])
                self._asked_at = time.monotonic()
        return self._states

    async def card(self, task: Task, run: Run) -> ModelCard:
        """Return what is served; a Triton that is just being repaired gets the time to come back.

        Raises:
            ModelUnavailableError: It does not, or serves other models than the contract says.
            CancelledError: The run was cancelled meanwhile.
        """
        give_up_at = time.monotonic() + RECOVERY_SECONDS
        while True:
            try:
                return await load_card(self._client, task)
            except ModelUnavailableError as error:
                if "differences" in error.details or time.monotonic() >= give_up_at:
                    raise  # the wrong models stay wrong
            await asyncio.sleep(RETRY_SECONDS)
            run.check()

    async def check_deployed(self, task: Task) -> None:
        """Tell before the long work that a task is not served here; a Triton that is away is waited for when needed.

        Raises:
            ModelUnavailableError: It is not.
        """
        states = await self.states()
        if any(state.task == task.name and not state.deployed for state in states):
            deployed = ", ".join(state.task for state in states if state.deployed) or "none"
            raise ModelUnavailableError(
                f"The task {task.name!r} is not served here: Triton was given no models of it.",
                fix=f"Served here: {deployed}. An operator can add it: python -m export --task {task.name}.",
            )

    async def _state(self, name: str) -> ModelState:
        try:
            if not await is_deployed(self._client, get_task(name)):
                return ModelState(name, None, f"{name}: Triton was given no models of it.", deployed=False)
            return ModelState(name, await load_card(self._client, get_task(name), patient=False))
        except EnTrustError as error:
            return ModelState(name, None, f"{name}: {error.message}")
