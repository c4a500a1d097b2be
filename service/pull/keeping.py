"""From a source into the archive, by the same way as whatever is pushed to it."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO

from entrust.errors import EnTrustError, ErrorKind, OverloadedError
from service.archive import Archive
from service.observability.metrics import Metrics
from service.pull.wanted import Failure, Found, Reason

DOOR = "pull"
_LOOK_SECONDS = 0.5
_REASONS: Mapping[ErrorKind, Reason] = {
    ErrorKind.CONFLICT: Reason.ANOTHER_KEPT,
    ErrorKind.TOO_LARGE: Reason.TOO_LARGE,
    ErrorKind.OVERLOADED: Reason.NO_ROOM,
}


class Keeper:
    """Keeps what one retrieval brings, and remembers what did not come.

    Args:
        archive: Where it goes.
        metrics: Hears of it.
        expected: What was asked for; anything else is refused.
        max_instance_bytes: Largest instance that is taken.
        on_progress: Told how many of them the archive holds.
    """

    def __init__(
        self,
        archive: Archive,
        metrics: Metrics,
        expected: Iterable[Found],
        *,
        max_instance_bytes: int,
        on_progress: Callable[[int], None] = lambda _here: None,
    ) -> None:
        self.max_instance_bytes = max_instance_bytes
        self._archive = archive
        self._metrics = metrics
        self._expected = {one.sop_uid: one for one in expected}
        self._on_progress = on_progress
        self._left = {uid for uid in self._expected if not archive.has(uid)}
        self._looked_at = time.monotonic()
        self._failed: dict[str, Reason] = {}
        self._unread: list[Reason] = []

    @contextlib.contextmanager
    def receiving(self) -> Iterator[IO[bytes]]:
        """Open a file for one instance; at the end of the block it is kept, or refused with its reason.

        Raises:
            OverloadedError: The disk is full: nothing more can be taken.
        """
        started, outcome, size_bytes = time.perf_counter(), "refused", 0
        self._archive.check_space()
        with self._archive.incoming() as file:
            yield file
            size_bytes = file.tell()
            sop_uid = ""
            try:
                entry = self._archive.read(file)
                known = self._expected.get(entry.sop_uid)
                if known is None or (known.study_uid, known.series_uid) != (entry.study_uid, entry.series_uid):
                    self.fail(entry.sop_uid if known else "", Reason.NOT_AS_ASKED)
                else:
                    sop_uid = entry.sop_uid
                    outcome = "duplicate" if self._archive.keep(file, entry).duplicate else "stored"
                    self._left.discard(sop_uid)
                    self._on_progress(len(self._expected) - len(self._left))
            except OverloadedError:
                self.fail(sop_uid, Reason.NO_ROOM)
                raise
            except EnTrustError as error:
                self.fail(sop_uid, _REASONS.get(error.kind, Reason.UNREADABLE))
            finally:
                seconds = time.perf_counter() - started
                self._metrics.instance_received(
                    door=DOOR, outcome=outcome, size_bytes=size_bytes, duration_seconds=seconds
                )

    def look(self) -> None:
        """See what has come by another door, as with a C-MOVE, and tell of it; often asked, it looks now and then."""
        if time.monotonic() - self._looked_at > _LOOK_SECONDS:
            self._left -= {uid for uid in self._left if self.holds(uid)}
            self._looked_at = time.monotonic()
            self._on_progress(len(self._expected) - len(self._left))

    def fail(self, sop_uid: str, reason: Reason) -> None:
        """Note why an instance does not come; without its UID, that something came which nobody can use."""
        if sop_uid in self._expected:
            self._failed[sop_uid] = reason
        else:
            self._unread.append(reason)

    def fail_if_missing(self, sop_uid: str, reason: Reason) -> None:
        """Note a failure that a source tells of; it is none where the instance is here all the same."""
        if sop_uid in self._expected and not self.holds(sop_uid):
            self._failed.setdefault(sop_uid, reason)

    def holds(self, sop_uid: str) -> bool:
        """Tell whether the archive has an instance now."""
        return self._archive.has(sop_uid)

    def missing(self, among: Iterable[Found]) -> list[Found]:
        """Return what the archive does not hold, by whatever way it may have come."""
        return [one for one in among if not self.holds(one.sop_uid)]

    def failures(self) -> tuple[Failure, ...]:
        """Return what the archive does not hold of what was asked for, each with its reason."""
        missing = self.missing(self._expected.values())
        failures = [Failure(one.sop_uid, self._failed.get(one.sop_uid, Reason.NOT_SENT)) for one in missing]
        return (*failures, *(Failure("", reason) for reason in self._unread))
