"""The order of a study's steps, and what follows when one fails."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from entrust.errors import CancelledError, DeadlineExceededError, InternalError
from service import audit
from service.delivery import Delivery, InstanceRef
from service.jobs.job import Failure
from service.observability.traces import span
from service.studies.engine import ENDED, Engine, Json, Retries, Workflow
from service.studies.failing import Again, as_error, is_transient
from service.studies.record import Sent, Step, StudyRecord, StudyState
from service.studies.records import StudyRecords
from service.studies.steps import DOOR, Steps
from service.studies.transitions import Move, Transition, Transitions

STUDY, DELIVERY = "study", "delivery"
"""Names of the workflows."""
Work = Callable[[StudyRecord], Awaitable[Any]]


class Workflows:
    """Studies as workflows.

    Args:
        engine: Runs them.
        records: Say where each stands.
        steps: What is done.
        delivery: Hands results over.
        transitions: Hears of every move.
        max_seconds: Longest duration of one attempt at a step.
        delivery_retries: How often the steps of a delivery are tried again; as all others when None.
    """

    def __init__(
        self,
        engine: Engine,
        records: StudyRecords,
        steps: Steps,
        delivery: Delivery,
        transitions: Transitions,
        *,
        max_seconds: float,
        delivery_retries: Retries | None = None,
    ) -> None:
        self._engine = engine
        self._records = records
        self._steps = steps
        self._delivery = delivery
        self._transitions = transitions
        self._max_seconds = max_seconds
        self._delivery_retries = delivery_retries or engine.retries
        self._targets = frozenset(delivery.targets)

    async def start(self, *, concurrency: int, deliveries: int) -> None:
        """Go on with what was interrupted; at most so many studies, and deliveries to one target, at a time.

        Raises:
            InvalidInputError: The database cannot be used.
        """

        async def study(record_id: str) -> None:
            await self._study(record_id)

        async def delivery(record_id: str, target: str) -> None:
            await self._deliver(record_id, target)

        workflows: dict[str, Workflow] = {STUDY: study, DELIVERY: delivery}
        active = await asyncio.to_thread(self._records.active)
        targets = {*self._delivery.targets, *(target for record in active for target in record.targets)}
        self._targets = frozenset(targets)
        queues = {STUDY: concurrency, DELIVERY: deliveries} | {self._queue(one): deliveries for one in sorted(targets)}
        await asyncio.to_thread(self._engine.start, asyncio.get_running_loop(), workflows, queues)

    def begin(self, record: StudyRecord) -> None:
        """Have a run's workflows begun; to call this again changes nothing. Blocks."""
        priority = record.priority.rank + 1
        pending = [target for target, sent in record.targets.items() if sent is Sent.PENDING]
        for target in pending:
            self._engine.enqueue(
                DELIVERY, f"{record.id}-{target}", record.id, target, queue=self._queue(target), priority=priority
            )
        if not pending:
            self._engine.enqueue(STUDY, record.id, record.id, queue=STUDY, priority=priority)

    def cancel(self, record: StudyRecord) -> bool:
        """End a run; False where it had ended already. Blocks."""
        failure = Failure.of(CancelledError("The study was cancelled before it ended."))
        if not self._records.end(record.id, StudyState.CANCELLED, failure):
            return False
        self._tell(record, Move.CANCELLED, failure=failure, seconds=_age(record))
        self._engine.cancel([record.id, *(f"{record.id}-{target}" for target in record.targets)])
        return True

    def repair(self) -> None:
        """Begin what was accepted and not begun, and end what the engine has given up. Blocks."""
        for record in self._records.active():
            pending = [t for t, sent in record.targets.items() if sent is Sent.PENDING]
            ids = [f"{record.id}-{target}" for target in pending] or [record.id]
            states = self._engine.states(ids)
            now = self._records.get(name=record.name)  # read after the workflows: a run ends before its workflow
            if now.id != record.id or not now.state.active or now.targets != record.targets:
                continue
            if len(states) < len(ids):
                self.begin(record)
            elif any(state in ENDED for state in states.values()):
                failure = Failure.of(
                    InternalError(
                        "The gateway ended again and again while it worked on this study.",
                        fix="Look for what ended it, memory for instance; then restart the study.",
                    )
                )
                if self._records.end(record.id, StudyState.FAILED, failure):
                    self._tell(record, Move.FAILED, failure=failure, seconds=_age(record))

    async def _study(self, record_id: str) -> None:
        steps: list[tuple[Step, Work]] = [
            (Step.RECEIVE, self._receive),
            (Step.SELECT, self._select),
            (Step.INFER, self._infer),
            (Step.ENCODE, self._steps.encode),
            (Step.KEEP, self._keep),
        ]
        outcome: Json = {}
        for step, work in steps:
            outcome = await self._step(step, record_id, work)
            if outcome["ended"]:
                break
        else:
            for target in outcome["made"]["targets"]:
                await self._engine.enqueue_within(
                    DELIVERY, f"{record_id}-{target}", record_id, target, queue=self._queue(target),
                    priority=outcome["made"]["priority"],
                )  # fmt: skip
        await asyncio.to_thread(self._steps.clear, record_id)

    async def _deliver(self, record_id: str, target: str) -> None:
        async def deliver(record: StudyRecord) -> None:
            paths = await asyncio.to_thread(self._steps.files, record)
            await self._delivery.deliver(record.study_uid, paths, target, record.attributes)

        async def confirm(record: StudyRecord) -> None:
            refs = await asyncio.to_thread(lambda: [InstanceRef.of(path) for path in self._steps.files(record)])
            await self._delivery.confirm(record.study_uid, refs, target)
            if await asyncio.to_thread(self._records.settle, record.id, target, Sent.CONFIRMED):
                await asyncio.to_thread(self._tell_end, record.id)

        for step, work in ((Step.DELIVER, deliver), (Step.CONFIRM, confirm)):
            if (await self._step(step, record_id, work, target))["ended"]:
                return

    def _queue(self, target: str) -> str:
        """Return where deliveries to a target wait: one that is down must not keep the others waiting."""
        return f"{DELIVERY}-{target}" if target in self._targets else DELIVERY  # taken from the settings long ago

    async def _receive(self, record: StudyRecord) -> float:
        considered_seconds = await self._steps.receive(record)
        await asyncio.to_thread(self._records.note, record.id, considered_seconds=considered_seconds)
        return considered_seconds

    async def _select(self, record: StudyRecord) -> str:
        task = await self._steps.select(record)
        await asyncio.to_thread(self._records.note, record.id, task=task)
        return task

    async def _infer(self, record: StudyRecord) -> float:
        review = await self._steps.infer(record)
        await asyncio.to_thread(self._records.note, record.id, review=review)
        return review.score

    async def _keep(self, record: StudyRecord) -> Json:
        results = await self._steps.keep(record)
        targets = self._delivery.targets
        await asyncio.to_thread(self._records.note, record.id, results=results, send_to=targets)
        if not targets and await asyncio.to_thread(self._records.end, record.id, StudyState.SUCCEEDED):
            self._tell(record, Move.SUCCEEDED, seconds=_age(record))
        return {"instances": len(results), "targets": list(targets), "priority": record.priority.rank + 1}

    async def _step(self, step: Step, record_id: str, work: Work, target: str = "") -> Json:
        """Do one step; ``ended`` in its outcome says that the run is over and nothing follows."""
        retries = self._delivery_retries if target else self._engine.retries

        async def attempt(number: int) -> Json:
            return await self._attempt(step, record_id, work, target, number, last=number > retries.times)

        return await self._engine.step(step, attempt, retries)

    async def _attempt(self, step: Step, record_id: str, work: Work, target: str, number: int, *, last: bool) -> Json:
        started = time.perf_counter()
        record: StudyRecord | None = None

        def tell(move: Move, failure: Failure | None = None) -> None:
            if record is not None:
                seconds = time.perf_counter() - started
                self._tell(record, move, step, target=target, attempt=number, failure=failure, seconds=seconds)

        try:
            record = await asyncio.to_thread(self._records.enter, record_id, step)
            if record is None:  # cancelled, for instance
                return {"ended": True}
            tell(Move.STARTED)
            async with asyncio.timeout(self._max_seconds):
                with span(step), audit.about(audit.About(DOOR, job_id=record.id)):
                    made = await work(record)
        except Exception as error:  # the boundary of a study's work
            late = isinstance(error, TimeoutError)
            told = as_error(_out_of_time(self._max_seconds) if late else error)
            failure = Failure.of(told)
            if (is_transient(told) or isinstance(error, SQLAlchemyError)) and not last:
                tell(Move.RETRIED, failure)
                raise Again from error
            if record is not None:
                tell(Move.FAILED, failure)
                await asyncio.to_thread(self._fail, record, target, failure)
            return {"ended": True}
        tell(Move.DONE)
        return {"ended": False, "made": made}

    def _fail(self, record: StudyRecord, target: str, failure: Failure) -> None:
        """Note that a step has failed for good: one target fails by itself, every other step fails the study."""
        if target:
            if self._records.settle(record.id, target, Sent.FAILED, failure):
                self._tell_end(record.id)
        elif self._records.end(record.id, StudyState.FAILED, failure):
            self._tell(record, Move.FAILED, failure=failure, seconds=_age(record))

    def _tell_end(self, record_id: str) -> None:
        record = self._records.get(name=record_id.rpartition("-")[0])
        move = Move.FAILED if record.state is StudyState.FAILED else Move.SUCCEEDED
        self._tell(record, move, failure=record.failure, seconds=_age(record))

    def _tell(
        self,
        record: StudyRecord,
        move: Move,
        step: str = "",
        *,
        target: str = "",
        attempt: int = 1,
        failure: Failure | None = None,
        seconds: float = 0.0,
    ) -> None:
        classes = Counter(
            ref.sop_class_uid for ref in record.results if not target or self._delivery.gives(target, ref.sop_class_uid)
        )
        self._transitions.tell(
            Transition(
                record.id, record.study_uid, move, step, record.task, target, attempt, seconds, failure,
                record.queued_seconds, classes,
            )
        )  # fmt: skip


def _age(record: StudyRecord) -> float:
    return max(time.time() - (record.queued_seconds or time.time()), 0.0)


def _out_of_time(seconds: float) -> DeadlineExceededError:
    return DeadlineExceededError(f"The step did not end within {seconds:g} seconds.")
