"""One workitem that is ours, from its input to its final state."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from entrust.errors import (
    CancelledError,
    ConflictError,
    DeliveryFailedError,
    EnTrustError,
    ErrorKind,
    InternalError,
    NotFoundError,
    OverloadedError,
    SourceUnavailableError,
)
from service.dicom_json import Json
from service.jobs.job import JobState
from service.observability.logs import describe_exception, get_logger
from service.observability.metrics import Metrics
from service.worklist.claims import Claim
from service.worklist.guards import Capabilities
from service.worklist.inputs import Inputs
from service.worklist.reporting import STEPS, discontinued, performed, progress
from service.worklist.studies import Studies, StudyEnd
from service.worklist.task_manager import TaskManager
from service.worklist.workitem import Input, State, Workitem

log = get_logger(__name__)
RETRIEVING, WAITING = "retrieving images", "waiting for its turn"


class _NotOursError(Exception):
    """The workitem was taken from us, by whatever means its manager has for that."""


class Performance:
    """Performs a workitem.

    Args:
        workitem: The workitem, in progress and ours.
        claim: The key to it.
        manager: Whose it is.
        capabilities: Who performs it.
        retry_seconds: Between two attempts to reach a task manager that is away.
        max_attempts: How many times its input is fetched anew after a kill, and each part asked for.
        results_root: Where WADO-RS has the results.
        inputs: Fetches what it is about.
        studies: Does the work.
        metrics: Hears of it.
    """

    def __init__(
        self,
        workitem: Workitem,
        claim: Claim,
        manager: TaskManager,
        capabilities: Capabilities,
        inputs: Inputs,
        studies: Studies,
        metrics: Metrics,
        *,
        retry_seconds: float,
        max_attempts: int,
        results_root: str,
    ) -> None:
        self._workitem = workitem
        self._claim = claim
        self._manager = manager
        self._own = capabilities
        self._inputs = inputs
        self._studies = studies
        self._metrics = metrics
        self._retry_seconds = retry_seconds
        self._max_attempts = max_attempts
        self._results_root = results_root
        self._taken_back = asyncio.Event()
        self._submitted = False
        self._percent = 0

    @staticmethod
    def beginning() -> Json:
        """Return the first update, which also shows whose a workitem is."""
        return progress(0, RETRIEVING)

    def cancel(self) -> None:
        """Take it back, as somebody asked the manager to."""
        self._taken_back.set()

    async def run(self) -> None:
        """Bring the workitem to a final state, however long its manager is away; stop where it is lost."""
        began, started = datetime.now(UTC), time.perf_counter()
        working = asyncio.create_task(self._work(), name="workitem-work")
        taken_back = asyncio.create_task(self._taken_back.wait(), name="workitem-cancellation")
        try:
            await asyncio.wait({working, taken_back}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                await self._stop(working)
            end = await self._end_of(working)
            await self._finish(end, began)
            state = State.COMPLETED if end.state is JobState.SUCCEEDED else State.CANCELED
            self._metrics.workitem(state.value.lower(), duration_seconds=time.perf_counter() - started)
            log.info("workitem-ended", state=state.value, kind=end.kind, cause=end.reason)
        except _NotOursError:
            self._metrics.workitem("abandoned")
            log.warning("workitem-not-ours")  # whoever performed it releases the study, which takes back the work
        finally:
            for task in (working, taken_back):
                task.cancel()
            await asyncio.gather(working, taken_back, return_exceptions=True)

    async def _work(self) -> StudyEnd:
        """Fetch the input, and have it segmented; what was begun before a kill is only waited for."""
        order, workitem = self._claim.order, self._workitem
        self._submitted = await self._studies.hold(order, workitem.inputs[0].study_uid)
        if not self._submitted:
            await self._begin(order)
        return await self._studies.await_end(order, self._on_step)

    async def _begin(self, order: str) -> None:
        if self._claim.attempts > self._max_attempts:
            raise InternalError(f"The performer ended {self._max_attempts} times in the middle of this.")
        workitem = self._workitem
        for number, wanted in enumerate(workitem.inputs):
            await self._tell(progress(number * 20 // len(workitem.inputs), RETRIEVING))
            await self._fetch(wanted)
        await self._tell(progress(20, WAITING))
        self._submitted = True  # from here on it is taken back by a cancellation of the study
        await self._studies.submit(
            order,
            task=self._own.procedures[workitem.procedure.key],
            priority=workitem.priority,
            attributes=workitem.result_attributes(),
        )
        if self._taken_back.is_set():  # while it was submitted, and could not be cancelled yet
            await self._studies.cancel(order)

    async def _on_step(self, step: str) -> None:
        percent, words = STEPS[step]
        if percent > self._percent:  # one target may be sent to while another one confirms
            self._percent = percent
            await self._tell(progress(percent, words))

    async def _fetch(self, wanted: Input) -> None:
        """Fetch an input; a PACS that is away for a moment is no reason to cancel."""
        for attempt in range(1, self._max_attempts + 1):
            try:
                await self._inputs.fetch(wanted)
                return
            except (SourceUnavailableError, OverloadedError, DeliveryFailedError) as error:
                if attempt == self._max_attempts:
                    raise
                log.warning("input-not-fetched", kind=error.kind, cause=error.message, attempt=attempt)
                await asyncio.sleep(self._retry_seconds)

    async def _end_of(self, working: "asyncio.Task[StudyEnd]") -> StudyEnd:
        """Return how the work ended; an error is an end."""
        try:
            return await working
        except asyncio.CancelledError:
            if not self._taken_back.is_set():
                raise
            error: EnTrustError = CancelledError("The cancellation of the workitem was asked for.")
        except EnTrustError as failed:
            error = failed
        except _NotOursError:
            raise
        except Exception as broke:  # a defect of ours must not leave a workitem in progress for ever
            log.error("workitem-broke", **describe_exception(broke))
            return StudyEnd(JobState.FAILED, "The performer failed in a way it should not.", ErrorKind.INTERNAL)
        return StudyEnd(JobState.FAILED, error.message, error.kind)

    async def _stop(self, working: "asyncio.Task[StudyEnd]") -> None:
        """Take the work back: what has begun ends by itself, what has not is not begun."""
        if self._submitted:
            await self._studies.cancel(self._claim.order)
            await asyncio.wait({working})
        else:
            working.cancel()

    async def _finish(self, end: StudyEnd, began: datetime) -> None:
        """Say what was made, or why nothing, and then that the workitem has ended."""
        if end.state is JobState.SUCCEEDED:
            now = datetime.now(UTC)
            last = performed(self._own.station, self._workitem.procedure, began, now, end.results, self._results_root)
            state = State.COMPLETED
        else:
            last, state = discontinued(end.kind, end.reason, datetime.now(UTC)), State.CANCELED
        uid, key = self._workitem.uid, self._claim.transaction_uid
        await self._insist(lambda: self._manager.update(uid, key, last))
        await self._insist(lambda: self._manager.change_state(uid, key, state))

    async def _insist(self, call: Callable[[], Awaitable[None]]) -> None:
        """Ask until the manager answers.

        Raises:
            _NotOursError: It answers that the workitem is not ours.
        """
        while True:
            try:
                await call()
                return
            except SourceUnavailableError as error:
                log.warning("task-manager-away", kind=error.kind, cause=error.message)
                await asyncio.sleep(self._retry_seconds)
            except (ConflictError, NotFoundError):
                if await self._has_ended():
                    return  # an earlier call was taken, and its answer lost
                raise _NotOursError from None

    async def _has_ended(self) -> bool:
        """Tell whether the workitem has a final state; only its owner could give it one."""
        try:
            return (await self._manager.get(self._workitem.uid)).state in (State.COMPLETED, State.CANCELED)
        except EnTrustError:
            return False

    async def _tell(self, changes: Json) -> None:
        """Tell of progress, once: if the manager is away, the next report says more.

        Raises:
            _NotOursError: The workitem is not ours.
        """
        try:
            await self._manager.update(self._workitem.uid, self._claim.transaction_uid, changes)
        except SourceUnavailableError as error:
            log.warning("task-manager-away", kind=error.kind, cause=error.message)
        except (ConflictError, NotFoundError):
            raise _NotOursError from None
