"""The performer: looks for workitems, claims what it may, and hands each to its work.

A search is the truth, and happens every so many seconds; an event only makes it happen sooner. A claim is written down
before it is made, so that a performer that dies in the middle goes on, or gives up with a reason, when it is back.
"""

import asyncio
import contextlib
import uuid
from collections import Counter
from dataclasses import dataclass, replace

from entrust.errors import ConflictError, EnTrustError, ErrorKind, NotFoundError, SourceUnavailableError
from service.observability.logs import describe_exception, get_logger
from service.observability.metrics import Metrics
from service.worklist.channel import follow_events
from service.worklist.claims import Claim, Claims
from service.worklist.guards import Capabilities, Refusal, refusal
from service.worklist.inputs import Inputs
from service.worklist.performance import Performance
from service.worklist.studies import Studies
from service.worklist.task_manager import TaskManager
from service.worklist.workitem import State, Workitem

log = get_logger(__name__)


@dataclass(frozen=True)
class PerformerSettings:
    """How a performer behaves.

    Attributes:
        ae_title: As whom events are asked for.
        poll_seconds: Between two searches.
        retry_seconds: Between two attempts to reach a task manager that is away.
        concurrency: Workitems at a time; no more are claimed.
        max_attempts: How many times the input of one workitem is fetched, when its performer dies in the middle.
        events: Whether events are asked for.
        events_url: Address of the event channel; what the manager says when empty.
        results_root: Where WADO-RS has the results.
    """

    ae_title: str
    poll_seconds: float = 15.0
    retry_seconds: float = 5.0
    concurrency: int = 1
    max_attempts: int = 3
    events: bool = True
    events_url: str = ""
    results_root: str = ""


class Performer:
    """Performs workitems of one task manager.

    Args:
        manager: Whose worklist.
        capabilities: Who the performer is, and what it can do.
        settings: How it behaves.
        claims: What it has claimed.
        inputs: Fetches what a workitem is about.
        studies: Does the work.
        metrics: Hears of it.
    """

    def __init__(
        self,
        manager: TaskManager,
        capabilities: Capabilities,
        settings: PerformerSettings,
        claims: Claims,
        inputs: Inputs,
        studies: Studies,
        metrics: Metrics,
    ) -> None:
        self._manager = manager
        self._own = capabilities
        self._settings = settings
        self._claims = claims
        self._inputs = inputs
        self._studies = studies
        self._metrics = metrics
        self._wake = asyncio.Event()
        self._working: dict[str, asyncio.Task[None]] = {}
        self._performances: dict[str, Performance] = {}

    async def run(self) -> None:
        """Perform until cancelled; work that is going on then is left to the next start."""
        settings, channel = self._settings, None
        if settings.events:
            following = follow_events(
                self._manager,
                settings.ae_title,
                self._on_event,
                self._metrics,
                retry_seconds=settings.retry_seconds,
                address=settings.events_url,
            )
            channel = asyncio.create_task(following, name="worklist-events")
        try:
            claims = self._claims.all()
            await self._studies.retain({claim.order for claim in claims})
            for claim in claims:
                self._begin(claim)
            while True:
                await self._look()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(settings.poll_seconds):
                        await self._wake.wait()
                self._wake.clear()
        finally:
            tasks = [*self._working.values(), *([channel] if channel else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if channel is not None:
                with contextlib.suppress(EnTrustError):
                    await self._manager.unsubscribe(settings.ae_title)

    def _has_room(self) -> bool:
        return len(self._working) < self._settings.concurrency

    def _on_event(self, workitem_uid: str, cancellation: bool) -> None:
        """Hear of an event: look sooner, or take back what is being done."""
        performance = self._performances.get(workitem_uid)
        if performance is None:
            self._wake.set()
        elif cancellation:
            performance.cancel()

    async def _look(self) -> None:
        """Search once, and claim what may be claimed, the urgent first, while there is room."""
        if not self._has_room():
            return
        passed_over: Counter[str] = Counter({reason.value: 0 for reason in Refusal})
        eligible = []
        try:
            async for workitem in self._manager.search():
                reason = refusal(workitem, self._own, knows_source=self._inputs.knows)
                if reason is not None:
                    passed_over[reason] += 1
                elif workitem.uid not in self._working:
                    eligible.append(workitem)
        except EnTrustError as error:
            self._metrics.worklist_searched(succeeded=False)
            log.warning("worklist-search-failed", kind=error.kind, cause=error.message)
            return
        self._metrics.worklist_searched(succeeded=True, passed_over=passed_over)
        for workitem in sorted(eligible, key=lambda one: (one.priority != "stat", one.scheduled_for)):
            if not self._has_room():
                return
            await self._claim(workitem, Claim(workitem.uid, f"2.25.{uuid.uuid4().int}"))

    async def _claim(self, workitem: Workitem, claim: Claim) -> None:
        """Claim a workitem; to be too late is no error."""
        self._claims.keep(claim)
        try:
            await self._manager.change_state(workitem.uid, claim.transaction_uid, State.IN_PROGRESS)
        except (ConflictError, NotFoundError):
            self._claims.forget(workitem.uid)
            self._metrics.workitem("lost")
            log.info("workitem-lost")
            return
        except SourceUnavailableError:
            pass  # nobody knows whether it is ours; that is found out when the manager is back
        else:
            self._metrics.workitem("claimed")
        self._begin(claim)

    def _begin(self, claim: Claim) -> None:
        """Work on what is claimed, beside everything else."""
        task = asyncio.create_task(self._work(claim), name="workitem")
        self._working[claim.workitem_uid] = task
        self._metrics.workitems_in_progress(len(self._working))

    async def _work(self, claim: Claim) -> None:
        """Make sure that a workitem is ours, perform it, and forget it when its state is final."""
        uid = claim.workitem_uid
        try:
            workitem = await self._own_workitem(claim)
            if workitem is not None:
                claim = replace(claim, attempts=claim.attempts + 1)
                self._claims.keep(claim)
                performance = Performance(
                    workitem,
                    claim,
                    self._manager,
                    self._own,
                    self._inputs,
                    self._studies,
                    self._metrics,
                    retry_seconds=self._settings.retry_seconds,
                    max_attempts=self._settings.max_attempts,
                    results_root=self._settings.results_root,
                )
                self._performances[uid] = performance
                await performance.run()
            await self._studies.release(claim.order)  # before the claim, which is what knows of the order
            self._claims.forget(uid)
        except EnTrustError as error:
            log.error("workitem-broke", kind=error.kind, cause=error.message)
        except Exception as error:  # the boundary of a workitem: no other one may suffer
            log.error("workitem-broke", **describe_exception(error))
        finally:
            self._performances.pop(uid, None)
            self._working.pop(uid, None)
            self._metrics.workitems_in_progress(len(self._working))
            self._wake.set()

    async def _own_workitem(self, claim: Claim) -> Workitem | None:
        """Return the workitem of a claim once it is certain that it is ours; None where it is not, or has ended.

        The manager never tells whose a workitem is. That an update with our key is taken says so.
        """
        while True:
            try:
                workitem = await self._manager.get(claim.workitem_uid)
                if workitem.state == State.SCHEDULED:
                    # The claim never arrived, or is still on its way: made again with the same key it is the same one.
                    if refusal(workitem, self._own, knows_source=self._inputs.knows) is not None:
                        return None
                    await self._manager.change_state(workitem.uid, claim.transaction_uid, State.IN_PROGRESS)
                    self._metrics.workitem("claimed")
                elif workitem.state != State.IN_PROGRESS:
                    return None
                await self._manager.update(workitem.uid, claim.transaction_uid, Performance.beginning())
                return workitem
            except (ConflictError, NotFoundError) as error:
                kind = ErrorKind.CONFLICT if isinstance(error, ConflictError) else ErrorKind.NOT_FOUND
                self._metrics.workitem("abandoned" if claim.attempts else "lost")
                log.info("workitem-not-ours", kind=kind)
                return None
            except SourceUnavailableError as error:
                log.warning("task-manager-away", kind=error.kind, cause=error.message)
                await asyncio.sleep(self._settings.retry_seconds)
