"""The event channel: hints that it is worth looking, and requests to cancel (PS3.18 8.10, 11.13; IHE RAD-109).

Whatever is lost here is found by the next search: a search is the truth. The one thing that no search tells is that
somebody asked for a cancellation.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from entrust.errors import EnTrustError
from service.dicom_json import text
from service.observability.logs import describe_exception, get_logger
from service.observability.metrics import Metrics
from service.worklist.task_manager import TaskManager

log = get_logger(__name__)
CANCEL_REQUESTED = 2
"""Event type ID of a cancellation request; 1 is a state, 3 progress, 4 the manager's own state, 5 an assignment."""
_MAX_MESSAGE_BYTES = 1 << 20
_CLOSE_SECONDS = 1.0

OnEvent = Callable[[str, bool], None]
"""Told of a workitem's UID, and whether its cancellation is asked for."""


async def follow_events(
    manager: TaskManager, ae_title: str, on_event: OnEvent, metrics: Metrics, *, retry_seconds: float, address: str = ""
) -> None:
    """Subscribe and listen, again and again, until cancelled.

    Args:
        manager: The task manager.
        ae_title: As whom events are asked for.
        on_event: Told of each; also with an empty UID whenever a channel opens, since events before it were lost.
        metrics: Hears of events, and whether the channel is open.
        retry_seconds: How long to wait after a channel broke.
        address: Of the channel; what the manager says with the subscription when empty.
    """
    while True:
        try:
            said = await manager.subscribe(ae_title)
            await _listen(manager, _address(address or said, manager.url, ae_title), on_event, metrics)
        except (EnTrustError, OSError, TimeoutError, WebSocketException, ValueError) as error:
            log.warning("worklist-channel-broke", **describe_exception(error))
        metrics.worklist_channel(is_open=False)
        await asyncio.sleep(retry_seconds)


async def _listen(manager: TaskManager, address: str, on_event: OnEvent, metrics: Metrics) -> None:
    """Listen until the channel breaks."""
    tls: Any = {"ssl": manager.tls} if address.startswith("wss:") and manager.tls else {}
    async with connect(
        address,
        additional_headers=manager.headers,
        origin=None,
        proxy=None,
        max_size=_MAX_MESSAGE_BYTES,
        close_timeout=_CLOSE_SECONDS,
        **tls,
    ) as connection:
        metrics.worklist_channel(is_open=True)
        on_event("", False)
        async for message in connection:
            metrics.worklist_event()
            try:
                event = json.loads(message)
            except ValueError:
                continue  # no event, and no reason to lose those that follow
            on_event(text(event, "00001000"), text(event, "00001002") == str(CANCEL_REQUESTED))


def _address(said: str, root: str, ae_title: str) -> str:
    """Return the channel's address; where a manager names only the service, or nothing, it is the usual one below."""
    address = said or f"ws{root.removeprefix('http')}/ws"
    return address if "/subscribers/" in address else f"{address.rstrip('/')}/subscribers/{ae_title}"
