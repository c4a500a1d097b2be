"""DBOS behind a few words: workflows whose finished steps are in a database, and which go on after a kill.

DBOS is one to a process, and runs here on an event loop and threads of its own, so that the gateway's are as they
were. What it writes are our step names and the few numbers that steps hand on, as JSON; its own log loses its words as
every library's does.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetEnqueueOptions, SetWorkflowID, StepOptions, error
from sqlalchemy.exc import SQLAlchemyError

from entrust.errors import InternalError, InvalidInputError
from service.studies.failing import Again

VERSION = "1"
"""Of the workflows: raised when the order of steps changes, for then what is under way cannot go on."""
POLL_SECONDS = 0.2
ENDED = frozenset({"SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"})
Json = dict[str, Any]
Workflow = Callable[..., Coroutine[Any, Any, None]]
_only_one = threading.Lock()


@dataclass(frozen=True)
class Retries:
    """How often a step is tried again, and when.

    Attributes:
        times: How often.
        pause_seconds: Before the first time.
        growth: By how much longer each further pause is than the one before it; an hour is the longest.
    """

    times: int
    pause_seconds: float
    growth: float = 2.0


@dataclass(frozen=True)
class EngineSettings:
    """How work is done again.

    Attributes:
        retries: How often a step is tried again.
        retry_seconds: Before the first time; each further time after twice as long, an hour at most.
        max_interruptions: How often a workflow may be interrupted by the end of its process.
    """

    retries: int = 8
    retry_seconds: float = 2.0
    max_interruptions: int = 20


class Engine:
    """Runs workflows. Methods block, but for :meth:`step` and :meth:`enqueue_within`, which workflows call.

    Args:
        url: The database.
        owner: Whose workflows these are; a database has one owner.
        settings: How work is done again.
    """

    def __init__(self, url: str, owner: str, settings: EngineSettings) -> None:
        self._url = url
        self._owner = owner
        self._settings = settings
        self._workflows: dict[str, Workflow] = {}
        self._gateway: asyncio.AbstractEventLoop | None = None

    def start(
        self, gateway: asyncio.AbstractEventLoop, workflows: Mapping[str, Workflow], queues: Mapping[str, int]
    ) -> None:
        """Take up what was interrupted, and go on.

        Args:
            gateway: The loop on which steps run; this method must not be called on it.
            workflows: Coroutine functions of names by name.
            queues: How many workflows of a queue run at a time.

        Raises:
            InvalidInputError: The database cannot be used, or belongs to another archive.
            InternalError: Another engine runs in this process.
        """
        if not _only_one.acquire(blocking=False):
            raise InternalError("Studies are worked on by one gateway of a process.", fix="Start another process.")
        self._gateway = gateway
        logger = logging.getLogger("dbos")
        logger.handlers[:] = [logging.NullHandler()]  # else it would write to standard error by itself
        logger.propagate = True
        try:
            DBOS(config=self._config())
            for name, function in workflows.items():
                register = DBOS.workflow(name=name, max_recovery_attempts=self._settings.max_interruptions)
                self._workflows[name] = register(function)
            DBOS.launch()
            for queue, concurrency in queues.items():
                DBOS.register_queue(
                    f"{self._owner}-{queue}",
                    worker_concurrency=concurrency,
                    polling_interval_sec=POLL_SECONDS,
                    on_conflict="always_update",
                )
        except (error.DBOSException, SQLAlchemyError) as problem:
            self.stop()
            raise InvalidInputError(
                f"The database cannot be used for this archive's studies ({type(problem).__name__}).",
                fix="Set ENTRUST_DATABASE__URL to a database that no other archive uses.",
            ) from None
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Leave what is under way to the next start."""
        if self._gateway is not None:
            self._gateway = None
            DBOS.destroy(destroy_registry=True)
            _only_one.release()

    def enqueue(self, workflow: str, workflow_id: str, *arguments: str, queue: str, priority: int) -> None:
        """Have a workflow begun, once: another call of the same id changes nothing.

        Args:
            workflow: Name of the workflow.
            workflow_id: Of this run of it.
            arguments: What it is given.
            queue: Where it waits.
            priority: Smaller goes first; from 1.
        """
        with SetWorkflowID(workflow_id), SetEnqueueOptions(priority=priority):
            DBOS.enqueue_workflow(f"{self._owner}-{queue}", self._workflows[workflow], *arguments)

    def states(self, workflow_ids: Sequence[str]) -> dict[str, str]:
        """Return the states of workflows by id, of those that there are."""
        if not workflow_ids:
            return {}
        found = DBOS.list_workflows(workflow_ids=list(workflow_ids), load_input=False, load_output=False)
        return {one.workflow_id: one.status for one in found}

    def cancel(self, workflow_ids: Iterable[str]) -> None:
        """Have workflows end at once."""
        DBOS.cancel_workflows(list(workflow_ids))

    def forget(self, prefix: str) -> None:
        """Remove what is kept of the workflows whose ids begin so."""
        found = DBOS.list_workflows(workflow_id_prefix=prefix, load_input=False, load_output=False)
        DBOS.delete_workflows([one.workflow_id for one in found])

    async def step(self, name: str, work: Callable[[int], Awaitable[Json]], retries: Retries) -> Json:
        """Do one step of the workflow that calls this; its outcome is in the database when this returns.

        Args:
            name: Of the step.
            work: Called on the gateway's loop with the number of the attempt, from 1. Raises :class:`Again` to be
                called again, later; its outcome says everything else.
            retries: How often it may ask for that.
        """

        async def attempt() -> Json:
            status = DBOS.step_status
            number = (status.current_attempt or 0) + 1 if status is not None else 1
            gateway = self._gateway
            if gateway is None:
                raise asyncio.CancelledError
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_call(work, number), gateway))

        options = StepOptions(
            name=name,
            retries_allowed=True,
            interval_seconds=retries.pause_seconds,
            max_attempts=retries.times + 1,
            backoff_rate=retries.growth,
            should_retry=lambda problem: isinstance(problem, Again),
            preemptible=True,
        )
        return await DBOS.run_step_async(options, attempt)

    async def enqueue_within(self, workflow: str, workflow_id: str, *arguments: str, queue: str, priority: int) -> None:
        """Do as :meth:`enqueue` does, from a workflow."""
        with SetWorkflowID(workflow_id), SetEnqueueOptions(priority=priority):
            await DBOS.enqueue_workflow_async(f"{self._owner}-{queue}", self._workflows[workflow], *arguments)

    @property
    def retries(self) -> Retries:
        """How often a step is tried again, where nothing else is said."""
        return Retries(self._settings.retries, self._settings.retry_seconds)

    def _config(self) -> DBOSConfig:
        return {
            "name": self._owner,
            "system_database_url": self._url,
            "executor_id": self._owner,
            "application_version": f"{self._owner}-{VERSION}",
            "serializer": DBOSPortableJSONSerializer(),
            "log_level": "ERROR",
            "max_executor_threads": 32,
            "enable_otlp": False,
            "use_listen_notify": False,  # nothing here waits for messages; a pooler in between may not pass them on
        }


async def _call(work: Callable[[int], Awaitable[Json]], number: int) -> Json:
    return await work(number)
