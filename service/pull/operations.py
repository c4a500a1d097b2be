"""Retrievals that run behind a request: so many at a time, each with a value to look at."""

import asyncio
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from entrust.errors import (
    CancelledError,
    ConflictError,
    EnTrustError,
    InternalError,
    NotFoundError,
    OverloadedError,
)
from service.archive import Archive
from service.jobs.job import Failure as JobFailure
from service.jobs.job import JobState
from service.observability.logs import describe_exception, get_logger
from service.observability.metrics import Metrics
from service.pull.retrieval import retrieve
from service.pull.source import Source
from service.pull.wanted import Report, Wanted

log = get_logger(__name__)


@dataclass(frozen=True)
class Retrieval:
    """One state of one retrieval.

    Attributes:
        id: Random, unguessable, meaningless.
        source: Name of the source.
        created_at_seconds: Unix time of acceptance.
        state: Where it stands, in the words of a job.
        finished_at_seconds: Unix time of the end.
        here: Instances that the archive holds of what is wanted.
        of: Instances that are wanted; 0 before the source has said.
        report: What became of it; ``None`` where it did not come to its end.
        failure: Why not.
    """

    id: str
    source: str
    created_at_seconds: float
    state: JobState = JobState.QUEUED
    finished_at_seconds: float | None = None
    here: int = 0
    of: int = 0
    report: Report | None = None
    failure: JobFailure | None = None


class Retrievals:
    """Retrieves from the sources that a deployment knows.

    What is remembered is lost with the process, and nothing else: asked again, a retrieval goes on where it was.

    Args:
        sources: By name.
        archive: Where everything goes.
        metrics: Hears of it.
        concurrency: Retrievals at a time.
        max_waiting: How many more may wait; one more is refused.
        max_instances: Largest number of instances of one.
        max_instance_bytes: Largest instance.
        retained: How many that have ended are remembered.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        archive: Archive,
        metrics: Metrics,
        *,
        concurrency: int = 2,
        max_waiting: int = 64,
        max_instances: int = 20_000,
        max_instance_bytes: int = 2**31,
        retained: int = 1000,
    ) -> None:
        self.sources = dict(sources)
        self._archive = archive
        self._metrics = metrics
        self._max_open = concurrency + max_waiting
        self._max_instances = max_instances
        self._max_instance_bytes = max_instance_bytes
        self._retained = retained
        self._threads = ThreadPoolExecutor(concurrency, "pull")
        self._known: OrderedDict[str, Retrieval] = OrderedDict()
        self._stops: dict[str, threading.Event] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        metrics.sources(self.sources)

    async def submit(self, source: str, wanted: Wanted) -> Retrieval:
        """Accept a retrieval.

        Raises:
            NotFoundError: There is no source of that name.
            OverloadedError: Too many wait already.
        """
        self.check_source(source)
        if len(self._running) >= self._max_open:
            raise OverloadedError("Too many retrievals wait already.", retry_after_seconds=10.0)
        retrieval = Retrieval(secrets.token_hex(16), source, time.time())
        self._known[retrieval.id] = retrieval
        self._stops[retrieval.id] = threading.Event()
        self._running[retrieval.id] = asyncio.create_task(self._run(retrieval.id, wanted), name="retrieval")
        return retrieval

    async def finished(self, retrieval_id: str) -> Retrieval:
        """Wait for the end; a caller who is cancelled leaves the retrieval alone.

        Raises:
            NotFoundError: There is no such retrieval.
        """
        self.get(retrieval_id)
        task = self._running.get(retrieval_id)
        if task is not None:
            await asyncio.wait({task})
        return self.get(retrieval_id)

    def get(self, retrieval_id: str) -> Retrieval:
        """Return where a retrieval stands.

        Raises:
            NotFoundError: There is no such retrieval, or it is forgotten.
        """
        found = self._known.get(retrieval_id)
        if found is None:
            raise NotFoundError("There is no such retrieval.", fix="Ask for it again: what has come is kept.")
        return found

    def cancel(self, retrieval_id: str) -> Retrieval:
        """Take a retrieval back; it ends after its present instance.

        Raises:
            NotFoundError: There is no such retrieval.
            ConflictError: It has ended already.
        """
        retrieval = self.get(retrieval_id)
        if retrieval.state.final:
            raise ConflictError(f"The retrieval has {retrieval.state} already.")
        self._stops[retrieval_id].set()
        return retrieval

    def check_source(self, name: str) -> Source:
        """Return a source by its name.

        Raises:
            NotFoundError: There is none of that name.
        """
        if name not in self.sources:
            names = ", ".join(sorted(self.sources))
            raise NotFoundError(
                "There is no source of that name.", fix=f"Known are: {names}." if names else "None is set."
            )
        return self.sources[name]

    async def close(self) -> None:
        """Stop what runs, and let the sources' connections go."""
        for stop in self._stops.values():
            stop.set()
        await asyncio.gather(*self._running.values())
        await asyncio.to_thread(self._threads.shutdown)
        for source in self.sources.values():
            source.close()

    async def _run(self, retrieval_id: str, wanted: Wanted) -> None:
        """Run one retrieval to its end, whatever that is."""
        started, loop = time.perf_counter(), asyncio.get_running_loop()
        report, failure, state = None, None, JobState.FAILED
        try:
            report = await loop.run_in_executor(self._threads, self._retrieve, retrieval_id, wanted, loop)
            state = JobState.SUCCEEDED
        except EnTrustError as error:
            state = JobState.CANCELLED if isinstance(error, CancelledError) else JobState.FAILED
            failure = JobFailure.of(error)
        except Exception as error:  # the boundary of a retrieval
            log.error("retrieval-broke", **describe_exception(error))
            failure = JobFailure.of(InternalError("The retrieval failed in a way it should not."))
        source = self.get(retrieval_id).source
        outcome = failure.kind.value if failure else "succeeded" if report and report.complete else "partial"
        self._change(retrieval_id, state=state, report=report, failure=failure, finished_at_seconds=time.time())
        seconds = time.perf_counter() - started
        self._metrics.retrieval(
            source=source,
            outcome=outcome,
            duration_seconds=seconds,
            present=report.present if report else 0,
            retrieved=report.retrieved if report else 0,
            failed=report.found - report.present - report.retrieved if report else 0,
        )
        count = report.retrieved if report else 0
        log.info("retrieval-ended", outcome=outcome, count=count, duration_seconds=round(seconds, 3))
        self._forget(retrieval_id)

    def _retrieve(self, retrieval_id: str, wanted: Wanted, loop: asyncio.AbstractEventLoop) -> Report:
        """Do the work, in a thread."""

        def tell(here: int, of: int) -> None:
            loop.call_soon_threadsafe(lambda: self._change(retrieval_id, here=here, of=of))

        loop.call_soon_threadsafe(lambda: self._change(retrieval_id, state=JobState.RUNNING))
        return retrieve(
            self.sources[self._known[retrieval_id].source],
            wanted,
            self._archive,
            self._metrics,
            max_instances=self._max_instances,
            max_instance_bytes=self._max_instance_bytes,
            on_progress=tell,
            stop=self._stops[retrieval_id],
        )

    def _change(self, retrieval_id: str, **changes: object) -> None:
        """Put the next value in place; what a thread still says of one that has ended is not heard."""
        known = self._known[retrieval_id]
        if not known.state.final:
            self._known[retrieval_id] = replace(known, **changes)  # type: ignore[arg-type]

    def _forget(self, retrieval_id: str) -> None:
        """Let go of what is needed while it runs, and of the oldest that have ended."""
        del self._running[retrieval_id], self._stops[retrieval_id]
        ended = [one.id for one in self._known.values() if one.state.final]
        for old in ended[: max(0, len(ended) - self._retained)]:
            del self._known[old]
