"""``record(event)``: any room tells what happens, and need not know whether a trail is kept.

Ambient, as logs and traces are. Nothing is kept until :func:`open_trail`; until then, :func:`record` does nothing. It
never waits for a disk or a network and never raises: a thread of the trail's own writes.
"""

import contextlib
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from service.audit.event import Event
from service.audit.journal import Journal, open_journal
from service.audit.message import AuditSource, write_message
from service.audit.syslog import Receiver, Sender, dump
from service.audit.times import milliseconds, stamp
from service.observability.logs import describe_exception, get_logger

log = get_logger(__name__)
MAX_WAITING = 10_000
"""Events that wait for the disk; more are dropped, and counted."""
MAX_JOBS = 10_000
"""Jobs whose study is remembered, for what is told later of the job alone."""
MAX_CALLERS = 10_000
"""Callers that are known to repeat themselves, before those are forgotten who have stopped."""
_RETRY_SECONDS = 1.0

Count = Callable[[str, int], None]
"""Told of a number of events by their outcome: ``written``, ``dropped``, ``sent``, ``lost``."""


@dataclass(frozen=True)
class About:
    """What is known of the one for whom something is done, for events that do not say it themselves."""

    door: str = ""
    peer: str = ""
    address: str = ""
    job_id: str = ""


NOBODY = About()
_about: ContextVar[About] = ContextVar("audit_about", default=NOBODY)
_trail: "Trail | None" = None


def record(event: Event) -> None:
    """Tell the trail of an event; callable from any thread and task, at once done."""
    if _trail is not None:
        known = _about.get()
        said = {name: getattr(known, name) for name in ("door", "peer", "address", "job_id")}
        missing = {name: value for name, value in said.items() if value and not getattr(event, name)}
        _trail.put(replace(event, **missing))


def current() -> About:
    """Return what is known of the caller here, for work that goes on elsewhere."""
    return _about.get()


@contextlib.contextmanager
def about(known: About) -> Iterator[None]:
    """Have the events of this block, and of the tasks and threads it starts, name the caller or the job."""
    token = _about.set(known)
    try:
        yield
    finally:
        _about.reset(token)


class Trail:
    """Takes events from everybody and writes them down in one thread.

    Args:
        journal: Where to.
        source: Who reports.
        count: Told of what becomes of events.
        on_written: Told that there are new lines.
    """

    def __init__(self, journal: Journal, source: AuditSource, count: Count, on_written: Callable[[], None]) -> None:
        self._journal = journal
        self._source = source
        self._count = count
        self._on_written = on_written
        self._waiting: queue.Queue[Event | None] = queue.Queue(MAX_WAITING)
        self._studies: OrderedDict[str, str] = OrderedDict()
        self._quiet_until: dict[tuple[str, ...], float] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._write, name="audit-trail", daemon=True)
        self._thread.start()

    def put(self, event: Event) -> None:
        """Take an event."""
        try:
            self._waiting.put_nowait(event)
        except queue.Full:
            self._count("dropped", 1)

    def close(self) -> None:
        """Write what waits, and end."""
        self._ending.set()
        with contextlib.suppress(queue.Full):  # then the thread is awake anyway
            self._waiting.put_nowait(None)
        self._thread.join()

    def _write(self) -> None:
        while not (self._ending.is_set() and self._waiting.empty()):
            events = [self._waiting.get()]
            with contextlib.suppress(queue.Empty):
                while True:
                    events.append(self._waiting.get_nowait())
            lines = [dump(self._line(event)) for event in events if event is not None and not self._is_repeated(event)]
            while lines:
                try:
                    self._journal.append(lines)
                except OSError as error:
                    log.error("audit-trail-broke", **describe_exception(error))
                    if not self._ending.wait(_RETRY_SECONDS):
                        continue  # they wait, and those behind them, until there is room again
                    self._count("dropped", len(lines))
                else:
                    self._count("written", len(lines))
                    self._on_written()
                break

    def _is_repeated(self, event: Event) -> bool:
        """Tell whether an equal event was written a moment ago."""
        if not event.quiet_seconds:
            return False
        now = time.monotonic()
        key = (event.what, event.door, event.peer, event.address, event.study_uid, event.reason, str(event.outcome))
        if now < self._quiet_until.get(key, now):
            return True
        if len(self._quiet_until) > MAX_CALLERS:
            self._quiet_until = {one: until for one, until in self._quiet_until.items() if until > now}
        self._quiet_until[key] = now + event.quiet_seconds
        return False

    def _line(self, event: Event) -> dict[str, Any]:
        if event.job_id and event.study_uid:
            self._studies[event.job_id] = event.study_uid
            if len(self._studies) > MAX_JOBS:
                self._studies.popitem(last=False)
        elif event.job_id:
            event = replace(event, study_uid=self._studies.get(event.job_id, ""))
        line: dict[str, Any] = {
            "at": stamp(event.at),
            "event": event.what.value,
            "hop": event.hop.value if event.hop else None,
            "milliseconds": milliseconds(event.duration_seconds),
            "outcome": int(event.outcome),
            "reason": event.reason,
            "door": event.door,
            "peer": event.peer,
            "address": event.address,
            "study_uid": event.study_uid,
            "job_id": event.job_id,
            "instances": sum(event.sop_classes.values()) or None,
            "process_id": self._source.process_id,
            "message": write_message(event, self._source),
        }
        return {name: value for name, value in line.items() if value not in ("", None)}


@contextlib.contextmanager
def open_trail(
    folder: Path,
    *,
    source: AuditSource,
    count: Count,
    max_file_bytes: int,
    max_files: int,
    receiver: Receiver | None = None,
) -> Iterator[None]:
    """Keep a trail for the block; one in a process.

    Args:
        folder: Where the files lie.
        source: Who reports.
        count: Told of what becomes of events.
        max_file_bytes: Size from which a new file is begun.
        max_files: Files that are kept.
        receiver: Where messages are sent besides.

    Raises:
        InvalidInputError: The folder cannot be used, or another gateway uses it.
    """
    global _trail
    with open_journal(folder, max_file_bytes=max_file_bytes, max_files=max_files) as journal:
        sender = Sender(folder, receiver, source, count) if receiver else None
        trail = Trail(journal, source, count, sender.wake if sender else lambda: None)
        _trail = trail
        try:
            yield
        finally:
            _trail = None
            trail.close()
            if sender is not None:
                sender.stop()
