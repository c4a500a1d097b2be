"""C-ECHO and C-STORE: what a peer sends is on the disk before it is told so."""

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from pynetdicom import evt

from entrust.errors import EnTrustError, OverloadedError
from service import audit
from service.archive import Archive
from service.archive.status import NOT_AS_ANNOUNCED, PROCESSING_FAILURE, STATUSES, SUCCESS
from service.observability.logs import describe_exception, get_logger
from service.observability.metrics import Metrics

log = get_logger(__name__)
DOOR = "dimse"
REJECTED_TRANSIENT, BY_PRESENTATION_PROVIDER, LOCAL_LIMIT_EXCEEDED = 0x02, 0x03, 0x02
"""Result, source and reason of a rejection that may be tried again later (PS3.8 table 9-21)."""


@dataclass
class _Received:
    """What one association brought."""

    reception: audit.Reception = field(default_factory=audit.Reception)
    stored: int = 0
    refused: int = 0


class StorageService:
    """The handlers of a storage SCP.

    Args:
        archive: Keeps what is sent.
        metrics: Hears of it.
    """

    def __init__(self, archive: Archive, metrics: Metrics) -> None:
        self._archive = archive
        self._metrics = metrics
        self._open: dict[int, _Received] = {}
        self._lock = threading.Lock()

    def handlers(self) -> list[tuple[Any, ...]]:
        """Return what pynetdicom is to call, and when."""
        return [
            (evt.EVT_REQUESTED, self.on_requested),
            (evt.EVT_ESTABLISHED, self.on_established),
            (evt.EVT_REJECTED, self.on_rejected),
            (evt.EVT_RELEASED, self.on_ended, ["released"]),
            (evt.EVT_ABORTED, self.on_ended, ["aborted"]),
            (evt.EVT_CONN_CLOSE, self.on_ended, ["aborted"]),
            (evt.EVT_C_ECHO, self.on_echo),
            (evt.EVT_C_STORE, self.on_store),
        ]

    def on_requested(self, event: evt.Event) -> None:
        """Reject an association while the disk is too full: a peer then tries later, and loses nothing."""
        try:
            self._archive.check_space()
        except OverloadedError:
            self._metrics.association_ended("no-space", was_open=False)
            log.warning("association-rejected", door=DOOR, reason="no-space")
            event.assoc.acse.send_reject(REJECTED_TRANSIENT, BY_PRESENTATION_PROVIDER, LOCAL_LIMIT_EXCEEDED)
            event.assoc.kill()

    def on_established(self, event: evt.Event) -> None:
        """Count an association."""
        with self._lock:
            self._open[id(event.assoc)] = _Received(audit.Reception(caller(event)))
        self._metrics.association_opened()

    def on_rejected(self, event: evt.Event) -> None:
        """Count an association that was refused for its AE titles, or because there are too many."""
        self._metrics.association_ended("rejected", was_open=False)
        log.warning("association-rejected", door=DOOR, reason="not-allowed")
        answer: Any = event.assoc.acceptor.primitive
        if answer is None or answer.result != REJECTED_TRANSIENT:  # too many at a time is no matter of security
            with audit.about(caller(event)):
                audit.record(audit.refused_caller("ae-title"))

    def on_ended(self, event: evt.Event, outcome: str) -> None:
        """Count the end of an association once, whatever events tell of it."""
        with self._lock:
            received = self._open.pop(id(event.assoc), None)
        if received is not None:
            received.reception.end()
            self._metrics.association_ended(outcome, was_open=True)
            log.info("association-ended", door=DOOR, outcome=outcome, count=received.stored, refused=received.refused)

    def on_echo(self, _event: evt.Event) -> int:
        """Answer a C-ECHO."""
        self._metrics.door_request(door=DOOR, outcome="ok", duration_seconds=0.0)
        return SUCCESS

    def on_store(self, event: evt.Event) -> int:
        """Answer a C-STORE: keep the data set as it came, or say why not."""
        started = time.perf_counter()
        outcome, blame, size_bytes, status = "refused", "refused", 0, PROCESSING_FAILURE
        study_uid, reason = "", "internal"
        with self._lock:
            received = self._open.get(id(event.assoc), _Received())
        try:
            self._archive.check_space()
            content = event.encoded_dataset()
            size_bytes = len(content)
            with self._archive.incoming() as file:
                file.write(content)
                entry = self._archive.read(file)
                study_uid = entry.study_uid
                request: Any = event.request
                announced = (str(request.AffectedSOPInstanceUID), str(request.AffectedSOPClassUID))
                if announced == (entry.sop_uid, entry.sop_class_uid):
                    outcome = "duplicate" if self._archive.keep(file, entry).duplicate else "stored"
                    blame, status = "ok", SUCCESS
                    received.reception.stored(study_uid, entry.sop_class_uid, duplicate=outcome == "duplicate")
                else:
                    status, reason = NOT_AS_ANNOUNCED, "not-as-announced"
        except EnTrustError as error:
            status, reason = STATUSES[error.kind], error.kind.value
            blame = "overloaded" if isinstance(error, OverloadedError) else "refused"
            log.warning("instance-refused", door=DOOR, kind=error.kind, cause=error.message)
        except Exception as error:  # the boundary of the DIMSE face
            blame = "failed"
            log.error("request-broke", door=DOOR, **describe_exception(error))
        seconds = time.perf_counter() - started
        if status != SUCCESS:
            received.reception.refused(study_uid, reason)
        with self._lock:
            received.stored += status == SUCCESS
            received.refused += status != SUCCESS
        self._metrics.instance_received(door=DOOR, outcome=outcome, size_bytes=size_bytes, duration_seconds=seconds)
        self._metrics.door_request(door=DOOR, outcome=blame, duration_seconds=seconds)
        return status


def caller(event: evt.Event) -> audit.About:
    """Return who asks for an association, as it says itself, and from where."""
    requestor = event.assoc.requestor
    return audit.About(DOOR, str(requestor.ae_title).strip(), str(requestor.address or ""))
