"""A task manager, spoken to by UPS-RS (PS3.18 11; IHE RAD-81 to 86)."""

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

from entrust.errors import ConflictError, NotFoundError, SourceUnavailableError
from service.dicom_json import Json, element
from service.worklist.workitem import GLOBAL_WORKLIST, State, Workitem

MEDIA_TYPE = "application/dicom+json"
PAGE = 100
_LOST = (httpx.codes.BAD_REQUEST, httpx.codes.CONFLICT)
"""Both say that the workitem's state, or its key, is another: 409 by PS3.18 tables 11.6.3-1 and 11.7.3-1, 400 where
the Transaction UID is wrong, and with some managers for either."""


class TaskManager:
    """A UPS-RS origin server.

    Args:
        url: Root under which ``/workitems`` lies.
        headers: Sent with every request: credentials.
        tls: How its certificate is checked; the public authorities when not given.
        timeout_seconds: Longest silence.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        timeout_seconds: float = 30.0,
    ) -> None:
        self.url = url.rstrip("/")
        self.headers = dict(headers or {})
        self.tls = tls
        self._client = httpx.AsyncClient(
            headers={**self.headers, "Accept": MEDIA_TYPE},
            verify=tls or True,
            timeout=timeout_seconds,
            trust_env=False,
        )

    async def search(self) -> AsyncIterator[Workitem]:
        """Yield the scheduled workitems, page by page, each once [RAD-81].

        Raises:
            SourceUnavailableError: The manager is away, or refuses.
        """
        seen: set[str] = set()
        while True:
            query = {
                "ProcedureStepState": State.SCHEDULED.value,
                "includefield": "all",
                "limit": str(PAGE),
                "offset": str(len(seen)),
            }
            answer = await self._send("GET", "/workitems", params=query)
            found = [Workitem(one) for one in _list(answer)]
            new = [one for one in found if one.uid and one.uid not in seen]
            seen.update(one.uid for one in new)
            for one in new:
                yield one
            if len(found) < PAGE or not new:
                return

    async def get(self, workitem_uid: str) -> Workitem:
        """Return a workitem [RAD-83].

        Raises:
            NotFoundError: There is none.
            SourceUnavailableError: The manager is away, or refuses.
        """
        found = _list(await self._send("GET", f"/workitems/{workitem_uid}"))
        if not found:
            raise NotFoundError("The task manager has no such workitem.")
        # the UID is the address, and some managers do not repeat it
        return Workitem({"00080018": element("UI", workitem_uid)} | found[0])

    async def change_state(self, workitem_uid: str, transaction_uid: str, state: State) -> None:
        """Claim, complete or cancel [RAD-82, RAD-85].

        Raises:
            ConflictError: The workitem's state or key is another: somebody else has it.
            NotFoundError: There is no such workitem.
            SourceUnavailableError: The manager is away, or refuses; whether the state is changed is not known.
        """
        body = {"00081195": element("UI", transaction_uid), "00741000": element("CS", state.value)}
        await self._send("PUT", f"/workitems/{workitem_uid}/state", body=body)

    async def update(self, workitem_uid: str, transaction_uid: str, changes: Json) -> None:
        """Change attributes of a workitem that is ours [RAD-84].

        Raises:
            ConflictError: It is not ours.
            NotFoundError: There is no such workitem.
            SourceUnavailableError: The manager is away, or refuses.
        """
        query = {"transaction-uid": transaction_uid}
        await self._send("POST", f"/workitems/{workitem_uid}", params=query, body=changes)

    async def subscribe(self, ae_title: str) -> str:
        """Ask for events of all workitems [RAD-86]; return where they are told, empty where the manager does not say.

        Raises:
            SourceUnavailableError: The manager is away, or refuses.
        """
        answer = await self._send("POST", f"/workitems/{GLOBAL_WORKLIST}/subscribers/{ae_title}")
        address: str = answer.headers.get("content-location", "")
        return address if address.startswith(("ws://", "wss://")) else ""

    async def unsubscribe(self, ae_title: str) -> None:
        """Ask for no more events.

        Raises:
            SourceUnavailableError: The manager is away, or refuses.
        """
        await self._send("DELETE", f"/workitems/{GLOBAL_WORKLIST}/subscribers/{ae_title}")

    async def close(self) -> None:
        """Let connections go."""
        await self._client.aclose()

    async def _send(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: Json | None = None
    ) -> httpx.Response:
        content = None if body is None else json.dumps([body]).encode()
        headers = {"Content-Type": MEDIA_TYPE} if content is not None else {}
        try:
            answer = await self._client.request(
                method, self.url + path, params=params, content=content, headers=headers
            )
        except httpx.TransportError as error:
            raise SourceUnavailableError(
                f"The task manager cannot be reached ({type(error).__name__}).", fix="See ENTRUST_WORKLIST__URL."
            ) from error
        status = answer.status_code
        if answer.is_success:
            return answer
        if status in _LOST and method != "GET":
            raise ConflictError("The workitem is in another state, or somebody else's.", details={"status": status})
        if status in (httpx.codes.NOT_FOUND, httpx.codes.GONE):
            raise NotFoundError("The task manager has no such workitem.", details={"status": status})
        raise SourceUnavailableError(
            "The task manager refuses this gateway.", fix="See its own log.", details={"status": status}
        )


def _list(answer: httpx.Response) -> list[Json]:
    """Return the data sets of an answer: one, several, or none."""
    if answer.status_code == httpx.codes.NO_CONTENT or not answer.content:
        return []
    try:
        found: Any = answer.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise SourceUnavailableError("The task manager answers with something that is no DICOM JSON.") from None
    return [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, dict)]
