"""STOW-RS as its user: instances in one request, and an answer that is read instance by instance.

Source: PS3.18 10.5 (Store Transaction).
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import httpx

from service.delivery.http import ask, open_client, refusal
from service.delivery.instances import InstanceRef
from service.delivery.outcomes import STORED, Outcome, Outcomes, Verdict, outcome_of
from service.delivery.targets import StowTarget

_PIECE_BYTES = 1 << 20
_MAX_ANSWER_BYTES = 16 << 20
_OF_THE_WHOLE = frozenset({400, 409, 413, 415, 422})
"""Refusals of a request for which one instance in it may be the reason."""
Json = Mapping[str, Any]


class StowSender:
    """Sends instances to a target.

    Args:
        target: The receiver.
    """

    def __init__(self, target: StowTarget) -> None:
        self._target = target

    async def send(self, study_uid: str, refs: Sequence[InstanceRef]) -> Outcomes:
        """Send instances and return what became of each.

        Raises:
            DeliveryFailedError: The target cannot be reached, or cannot take anything now.
            DeliveryRefusedError: It does not let us in, or knows no such service.
            InvalidInputError: Credentials or certificates cannot be used.
        """
        async with open_client(self._target) as client:
            return await self._store(client, study_uid, refs)

    async def _store(self, client: httpx.AsyncClient, study_uid: str, refs: Sequence[InstanceRef]) -> Outcomes:
        boundary = secrets.token_hex(16)
        parts = [(_head(boundary), ref) for ref in refs]
        size = sum(len(head) + ref.path.stat().st_size + 2 for head, ref in parts) + len(boundary) + 6
        # a connection that breaks leaves a body half read, and the file it is reading open
        async with contextlib.aclosing(_body(parts, boundary)) as content:
            request = client.build_request(
                "POST",
                f"studies/{study_uid}",
                content=content,
                headers={
                    "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
                    "Content-Length": str(size),
                    "Accept": "application/dicom+json",
                },
            )
            answer = await ask(client, request, self._target.name, _MAX_ANSWER_BYTES)
        status, body = answer.status_code, _parse(answer)
        if status in (200, 202) or (status == 409 and body is not None):
            return {ref.sop_instance_uid: _outcome(ref.sop_instance_uid, status, body) for ref in refs}
        if status in _OF_THE_WHOLE:
            if len(refs) == 1:
                return {refs[0].sop_instance_uid: Outcome(Verdict.REFUSED, f"HTTP status {status}")}
            outcomes: dict[str, Outcome] = {}
            for ref in refs:  # one of them may be to blame: none shall suffer for another
                outcomes.update(await self._store(client, study_uid, [ref]))
            return outcomes
        raise refusal(status, self._target.name)


def _head(boundary: str) -> bytes:
    return f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()


async def _body(parts: Sequence[tuple[bytes, InstanceRef]], boundary: str) -> AsyncGenerator[bytes, None]:
    for head, ref in parts:
        yield head
        with ref.path.open("rb") as file:
            while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
                yield piece
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def _parse(answer: httpx.Response) -> Json | None:
    """Return a store response; None where it is none in DICOM JSON."""
    try:
        found: Any = answer.json()
    except ValueError:
        return None
    if isinstance(found, list):
        found = found[0] if found else None
    return found if isinstance(found, dict) else None


def _outcome(uid: str, status: int, body: Json | None) -> Outcome:
    """Read what a response says of one instance (PS3.18 table 10.5.3-2)."""
    if body is None:
        if status == 200:
            return STORED
        return Outcome(Verdict.POSTPONED, f"HTTP status {status} without a word about it")
    for item in _items(body, "00081198"):  # FailedSOPSequence; Orthanc sends an empty one with a success
        if _first(item, "00081155") == uid:
            return outcome_of(_code(item, "00081197", 0x0110))
    for item in _items(body, "00081199"):  # ReferencedSOPSequence
        if _first(item, "00081155") == uid:
            return Outcome(Verdict.STORED, warned=_code(item, "00081196", 0) != 0)
    for item in _items(body, "0008119A"):  # OtherFailuresSequence: it could not tell whose these are
        return outcome_of(_code(item, "00081197", 0xC000))
    return Outcome(Verdict.POSTPONED, "the response does not name it")


def _items(body: Json, tag: str) -> list[Json]:
    element = body.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return [item for item in values if isinstance(item, dict)] if isinstance(values, list) else []


def _first(item: Json, tag: str) -> object:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None


def _code(item: Json, tag: str, absent: int) -> int:
    value = _first(item, tag)
    return value if isinstance(value, int) else absent
