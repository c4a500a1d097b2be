"""Looks at what arrives, and begins a study when it is complete.

The archive is the only source: whatever a door has told a sender is stored lies there, with the time at which it came.
A gateway that was killed finds there all that it had not begun, and no door needs to know of studies.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from entrust.contract import TASKS
from entrust.errors import EnTrustError, OverloadedError
from service.archive import Archive
from service.ingest import IngestLimits, inspect_study
from service.jobs.job import Priority
from service.observability.logs import describe_exception, get_logger
from service.selection import Arrival, Completeness, Rules, completeness
from service.selection.completeness import StudyState as Judged
from service.studies.record import StudyRecord, StudyState
from service.studies.records import StudyRecords
from service.studies.steps import link_study

log = get_logger(__name__)
LOOK_SECONDS = 0.5
_FIRST_LOOK_SECONDS = 1.0
"""From an arrival to the first look at the study: while instances come one upon the other, looking is in vain."""
_BUSY_RATIO = 5.0
"""A study that takes a second to look at is left alone for five."""
_OVERLAP_SECONDS = 30.0
"""The index is written in batches: what came a little earlier may be seen a little later."""
_LATER_SECONDS = 5.0
_UNREADABLE_SECONDS = 60.0
_BROKEN_SECONDS = 60.0
Begin = Callable[[StudyRecord, Priority], object]


@dataclass
class _Watched:
    received_seconds: float
    look_at_seconds: float


class Watcher:
    """Watches the archive.

    Args:
        archive: Where instances arrive.
        records: Say what has been made of them so far.
        rules: When a study is complete, and for what.
        limits: Bounds on what is read.
        folder: For links to what is looked at.
        begin: Begins a study that is complete; called on a thread.
    """

    def __init__(
        self, archive: Archive, records: StudyRecords, rules: Rules, limits: IngestLimits, folder: Path, begin: Begin
    ) -> None:
        self._archive = archive
        self._records = records
        self._rules = rules
        self._limits = limits
        self._folder = folder
        self._begin = begin
        self._watched: dict[str, _Watched] = {}
        self._noticed: dict[str, float] = {}
        self._seen_seconds = 0.0

    def look(self, now: float | None = None) -> None:
        """Look once: at what has arrived, and at the studies that are due."""
        now = time.time() if now is None else now
        complete = self._archive.reconciled  # asked first: until then older instances may yet come to light
        since = self._seen_seconds - _OVERLAP_SECONDS
        for study_uid, received_seconds in self._archive.index.received_since(since):
            if self._noticed.get(study_uid) != received_seconds:
                self._notice(study_uid, received_seconds, now)
                self._noticed[study_uid] = received_seconds
        if complete:
            self._seen_seconds = max((self._seen_seconds, *self._noticed.values()))
            horizon = self._seen_seconds - _OVERLAP_SECONDS
            self._noticed = {uid: seconds for uid, seconds in self._noticed.items() if seconds > horizon}
        for study_uid, watched in list(self._watched.items()):
            if watched.look_at_seconds > now:
                continue
            try:
                self._assess(study_uid, watched, now)
            except Exception as error:  # a boundary: one study that breaks us must not keep out the others
                log.error("study-look-broke", **describe_exception(error))
                watched.look_at_seconds = now + _BROKEN_SECONDS

    def _notice(self, study_uid: str, received_seconds: float, now: float) -> None:
        watched = self._watched.get(study_uid)
        if watched is not None and watched.received_seconds >= received_seconds:
            return
        _, is_news = self._records.see(study_uid, self._archive.files.name(study_uid), received_seconds)
        if not is_news:
            return
        if watched is None:
            self._watched[study_uid] = _Watched(received_seconds, now + _FIRST_LOOK_SECONDS)
        else:  # a look that is due stays due: a stream that never ends must not put it off
            watched.received_seconds = received_seconds

    def _assess(self, study_uid: str, watched: _Watched, now: float) -> None:
        name = self._archive.files.name(study_uid)
        record, is_news = self._records.see(study_uid, name, watched.received_seconds)
        if record.state.active or record.order:  # what has come meanwhile is looked at when that is over
            watched.look_at_seconds = now + _LATER_SECONDS
            return
        if not is_news:
            self._watched.pop(study_uid, None)
            return
        started, received_seconds = time.perf_counter(), watched.received_seconds
        try:
            self._archive.check_space()
            found = self._judge(record, now)
        except OverloadedError as error:
            self._wait(record, watched, now + _LATER_SECONDS, error.message)
            return
        except EnTrustError as error:
            due_seconds = received_seconds + _UNREADABLE_SECONDS
            if due_seconds > now:
                self._wait(record, watched, due_seconds, error.message)
            else:
                self._leave(record, error.message, received_seconds)
            return
        soonest = now + max(_FIRST_LOOK_SECONDS, (time.perf_counter() - started) * _BUSY_RATIO)
        if found.state is Judged.COMPLETE:
            self._begin(record, Priority(found.selection.priority))
            self._watched.pop(study_uid, None)
        elif found.state is Judged.NOTHING_TO_DO:
            self._leave(record, found.reason, received_seconds)
        elif found.look_again_at_seconds is None:  # only an arrival can change it, and will bring it back
            self._records.assess(record.name, StudyState.RECEIVING, found.reason, assessed_seconds=received_seconds)
            self._watched.pop(study_uid, None)
        else:
            self._wait(record, watched, max(found.look_again_at_seconds, soonest), found.reason)

    def _judge(self, record: StudyRecord, now: float) -> Completeness:
        # Times first: a series without one has come since, for one that is purged meanwhile still has its own.
        self._archive.flush()
        received = self._archive.index.series_received(record.study_uid)
        folder = self._folder / f"look-{record.name}"
        link_study(self._archive, record.study_uid, folder)
        series = inspect_study(folder, limits=self._limits)
        arrivals: Sequence[Arrival] = [Arrival(one, received.get(one.uid, now)) for one in series]
        return completeness(
            arrivals, self._rules, TASKS, now_seconds=now,
            done_at_seconds=record.considered_seconds if record.run else None,
        )  # fmt: skip

    def _wait(self, record: StudyRecord, watched: _Watched, until_seconds: float, reason: str) -> None:
        self._records.assess(record.name, StudyState.RECEIVING, reason)
        watched.look_at_seconds = until_seconds

    def _leave(self, record: StudyRecord, reason: str, received_seconds: float) -> None:
        self._records.assess(record.name, StudyState.IGNORED, reason, assessed_seconds=received_seconds)
        self._watched.pop(record.study_uid, None)
