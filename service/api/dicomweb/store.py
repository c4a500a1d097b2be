"""STOW-RS: ``POST /studies[/{study}]`` (PS3.18 10.5)."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO

from fastapi import APIRouter, Request
from python_multipart.multipart import parse_options_header
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from entrust.errors import EnTrustError, InvalidInputError, TooLargeError, UnsupportedMediaError
from service import audit
from service.api.dicomweb.behind import Behind, Kept, Root
from service.api.http.body import batches, drain
from service.api.http.doors import DICOMWEB, DICOMWEB_ROOT
from service.api.http.multipart import Parts
from service.api.http.negotiation import negotiate
from service.archive import Archive, Entry
from service.archive.status import NOT_AS_ANNOUNCED, STATUSES
from service.intake.gateway import Gateway
from service.intake.upload import UploadLimits
from service.observability.logs import get_logger

log = get_logger(__name__)
router = APIRouter(prefix=DICOMWEB_ROOT)
PART_TYPE = "application/dicom"
ANSWER_TYPES = ("application/dicom+json", "application/json")
_FIX = 'Send multipart/related; type="application/dicom", one DICOM file in each part.'


@dataclass
class Answer:
    """What the store response says of each instance (PS3.18 I.2).

    Attributes:
        stored: Kept now or before.
        failed: Refused, with the reason.
        unread: Reasons of parts that could not even be read.
    """

    stored: list[Entry] = field(default_factory=list)
    failed: list[tuple[Entry, int]] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)

    @property
    def status(self) -> int:
        """HTTP status (PS3.18 table 10.5.3-1)."""
        if not self.failed and not self.unread:
            return 200
        return 202 if self.stored else 409

    def body(self, root: str, study_uid: str) -> dict[str, object]:
        """Return the response module as DICOM JSON; sequences without items are left out."""
        studies = {entry.study_uid for entry in self.stored} | ({study_uid} if study_uid else set())
        body: dict[str, object] = {}
        if len(studies) == 1:
            body["00081190"] = {"vr": "UR", "Value": [f"{root}/studies/{studies.pop()}"]}
        if self.failed:
            items = [_reference(entry) | _reason(reason) for entry, reason in self.failed]
            body["00081198"] = {"vr": "SQ", "Value": items}
        if self.stored:
            items = [_reference(entry) | {"00081190": _address(root, entry)} for entry in self.stored]
            body["00081199"] = {"vr": "SQ", "Value": items}
        if self.unread:
            body["0008119A"] = {"vr": "SQ", "Value": [_reason(reason) for reason in self.unread]}
        return body


@router.post("/studies")
async def store(request: Request, gateway: Behind, archive: Kept, root: Root) -> JSONResponse:
    """Store instances of any study."""
    return await _store(request, gateway, archive, root, "")


@router.post("/studies/{study}")
async def store_in_study(study: str, request: Request, gateway: Behind, archive: Kept, root: Root) -> JSONResponse:
    """Store instances of one study; those of another are refused."""
    return await _store(request, gateway, archive, root, study)


async def _store(request: Request, gateway: Gateway, archive: Archive, root: str, study_uid: str) -> JSONResponse:
    media_type, options = parse_options_header(request.headers.get("content-type", ""))
    inner = options.get(b"type", PART_TYPE.encode()).decode("latin-1").lower()
    answer_type = negotiate(request.headers.get("accept", ""), ANSWER_TYPES)
    limits = gateway.uploads
    try:
        if answer_type is None:
            raise HTTPException(406, "A store response is application/dicom+json.")
        if media_type.lower() != b"multipart/related" or inner != PART_TYPE:
            raise UnsupportedMediaError("The body's media type is not taken here.", fix=_FIX)
        if request.headers.get("content-length", "").isdigit():
            limits.check_size(int(request.headers["content-length"]))
        archive.check_space()
        answer = await _receive(request, gateway, archive, options.get(b"boundary", b""), study_uid, limits)
    except (EnTrustError, HTTPException):
        await drain(request)
        raise
    return JSONResponse(answer.body(root, study_uid), answer.status, media_type=answer_type)


async def _receive(
    request: Request, gateway: Gateway, archive: Archive, boundary: bytes, study_uid: str, limits: UploadLimits
) -> Answer:
    answer = Answer()

    def record(outcome: str, size_bytes: int, seconds: float) -> None:
        gateway.metrics.instance_received(
            door=DICOMWEB, outcome=outcome, size_bytes=size_bytes, duration_seconds=seconds
        )

    received = audit.Reception()
    parts = _Instances(archive, study_uid, limits.max_files, answer, record, received)
    try:
        await parts.take(batches(request, limits), boundary, fix=_FIX)
    finally:
        received.end()
    if not parts.count:
        raise InvalidInputError("The request holds no instance.", fix=_FIX)
    refused = len(answer.failed) + len(answer.unread)
    log.info("instances-received", door=DICOMWEB, count=len(answer.stored), refused=refused)
    return answer


class _Instances(Parts):
    """Each part becomes a file, and is kept or refused by itself."""

    def __init__(
        self,
        archive: Archive,
        study_uid: str,
        max_parts: int,
        answer: Answer,
        record: Callable[[str, int, float], None],
        received: audit.Reception,
    ) -> None:
        super().__init__()
        self.count = 0
        self._archive = archive
        self._study_uid = study_uid
        self._max_parts = max_parts
        self._answer = answer
        self._record = record
        self._received = received
        self._open = contextlib.ExitStack()
        self._file: IO[bytes] | None = None
        self._started = 0.0

    def begin(self) -> None:
        if self.count >= self._max_parts:
            raise TooLargeError(
                f"The request holds more than {self._max_parts} instances.",
                fix="Send them in several requests.",
                details={"limit_files": self._max_parts},
            )
        self.count += 1
        self._started = time.perf_counter()
        self._file = self._open.enter_context(self._archive.incoming())

    def data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(memoryview(data)[start:end])

    def end(self) -> None:
        if self._file is None:
            return
        size_bytes, outcome = self._file.tell(), "stored"
        entry: Entry | None = None
        try:
            media_type, _ = parse_options_header(self.headers.get(b"content-type", PART_TYPE.encode()))
            if media_type.lower() != PART_TYPE.encode():
                raise UnsupportedMediaError("A part is no DICOM file.", fix=_FIX)
            entry = self._archive.read(self._file)
            if self._study_uid and entry.study_uid != self._study_uid:
                outcome = "refused"
                self._answer.failed.append((entry, NOT_AS_ANNOUNCED))
                self._received.refused(entry.study_uid, "not-as-announced")
            else:
                outcome = "duplicate" if self._archive.keep(self._file, entry).duplicate else "stored"
                self._answer.stored.append(entry)
                self._received.stored(entry.study_uid, entry.sop_class_uid, duplicate=outcome == "duplicate")
        except EnTrustError as error:
            outcome, reason = "refused", STATUSES[error.kind]
            self._received.refused(entry.study_uid if entry else "", error.kind.value)
            if entry is None:
                self._answer.unread.append(reason)
            else:
                self._answer.failed.append((entry, reason))
        finally:
            self.close()
            self._record(outcome, size_bytes, time.perf_counter() - self._started)

    def close(self) -> None:
        self._open.close()
        self._file = None


def _reference(entry: Entry) -> dict[str, object]:
    return {
        "00081150": {"vr": "UI", "Value": [entry.sop_class_uid]},
        "00081155": {"vr": "UI", "Value": [entry.sop_uid]},
    }


def _reason(reason: int) -> dict[str, object]:
    return {"00081197": {"vr": "US", "Value": [reason]}}


def _address(root: str, entry: Entry) -> dict[str, object]:
    path = f"studies/{entry.study_uid}/series/{entry.series_uid}/instances/{entry.sop_uid}"
    return {"vr": "UR", "Value": [f"{root}/{path}"]}
