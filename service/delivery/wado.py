"""Reading back by WADO-RS: what a receiver gives back is what it was sent.

Source: PS3.18 10.4 (Retrieve Transaction).
"""

import asyncio
from collections.abc import Sequence
from io import BytesIO

import httpx
from python_multipart.multipart import parse_options_header

from service.delivery.copies import MISSING, compare_copy
from service.delivery.http import ask, open_client, refusal
from service.delivery.instances import InstanceRef
from service.delivery.outcomes import Outcome, Outcomes
from service.delivery.targets import StowTarget

_ACCEPT = 'multipart/related; type="application/dicom"'
_MIN_LIMIT_BYTES = 16 << 20


class WadoConfirmer:
    """Reads instances back from a target.

    Args:
        target: The receiver.
    """

    def __init__(self, target: StowTarget) -> None:
        self._target = target

    async def confirm(self, study_uid: str, refs: Sequence[InstanceRef]) -> Outcomes:
        """Return for each instance whether the target gives back the same.

        Raises:
            DeliveryFailedError: The target cannot be reached, or cannot answer now.
            DeliveryRefusedError: It does not let us in.
            InvalidInputError: Credentials or certificates cannot be used.
        """
        async with open_client(self._target) as client:
            return {ref.sop_instance_uid: await self._read(client, study_uid, ref) for ref in refs}

    async def _read(self, client: httpx.AsyncClient, study_uid: str, ref: InstanceRef) -> Outcome:
        address = f"studies/{study_uid}/series/{ref.series_uid}/instances/{ref.sop_instance_uid}"
        request = client.build_request("GET", address, headers={"Accept": _ACCEPT})
        limit_bytes = max(4 * ref.path.stat().st_size, _MIN_LIMIT_BYTES)
        answer = await ask(client, request, self._target.name, limit_bytes)
        if answer.status_code in (404, 410):
            return MISSING
        if answer.status_code != 200:
            raise refusal(answer.status_code, self._target.name)
        return await asyncio.to_thread(compare_copy, ref, BytesIO(_only_part(answer)))


def _only_part(answer: httpx.Response) -> bytes:
    """Return the one part of a multipart answer, or the body where it is not multipart (RFC 2046 5.1)."""
    media_type, options = parse_options_header(answer.headers.get("Content-Type", ""))
    boundary = options.get(b"boundary", b"")
    if not media_type.startswith(b"multipart/") or not boundary:
        return answer.content
    _, _, behind = answer.content.partition(b"--" + boundary)
    _, _, content = behind.partition(b"\r\n\r\n")
    return content.rpartition(b"\r\n--" + boundary + b"--")[0]
