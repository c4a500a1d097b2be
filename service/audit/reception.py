"""What one association or request brings into the archive, told study by study when it ends."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from service.audit.event import Action, Event, Hop, Outcome, What
from service.audit.recording import About, about, current, record


@dataclass
class _Brought:
    """What has come of one study."""

    started: float
    new: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


class Reception:
    """Counts instances as they come; callable from any thread.

    Args:
        sender: Who sends; who is known here when absent.
    """

    def __init__(self, sender: About | None = None) -> None:
        self._sender = sender or current()
        self._studies: dict[str, _Brought] = {}
        self._lock = threading.Lock()

    def stored(self, study_uid: str, sop_class_uid: str, *, duplicate: bool) -> None:
        """Count an instance that is kept."""
        brought = self._of(study_uid)
        with self._lock:
            (brought.known if duplicate else brought.new)[sop_class_uid] += 1

    def refused(self, study_uid: str, reason: str) -> None:
        """Count an instance that is not.

        Args:
            study_uid: Its study; empty where it cannot be read.
            reason: Why: the error's kind.
        """
        brought = self._of(study_uid)
        with self._lock:
            brought.refused[reason] += 1

    def end(self) -> None:
        """Tell of every study (DICOM Instances Transferred, PS3.15 A.5.3.7); a second call tells nothing."""
        with self._lock:
            studies, self._studies = self._studies, {}
        with about(self._sender):
            for study_uid, brought in studies.items():
                record(_transferred(study_uid, brought))

    def _of(self, study_uid: str) -> _Brought:
        with self._lock:
            first = study_uid not in self._studies
            brought = self._studies.setdefault(study_uid, _Brought(time.perf_counter()))
        if first and study_uid:
            with about(self._sender):
                record(Event(What.BEGIN_TRANSFERRING, study_uid=study_uid))
        return brought


def _transferred(study_uid: str, brought: _Brought) -> Event:
    return Event(
        What.TRANSFERRED,
        hop=Hop.RECEIVED,
        action=Action.CREATE if brought.new else Action.READ,
        outcome=Outcome.MINOR_FAILURE if brought.refused else Outcome.SUCCESS,
        reason=",".join(sorted(brought.refused)),
        study_uid=study_uid,
        sop_classes=brought.new + brought.known,
        duration_seconds=time.perf_counter() - brought.started,
    )
