"""The body of a request, in pieces and within limits."""

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import Request

from service.intake.upload import UploadLimits

_BATCH_BYTES = 1024 * 1024
_DRAIN_BYTES = 64 * 1024 * 1024
_DRAIN_SECONDS = 5.0


async def batches(request: Request, limits: UploadLimits) -> AsyncIterator[bytes]:
    """Yield the body in pieces of about a mebibyte, counting.

    Raises:
        TooLargeError: It passes the limit.
        DeadlineExceededError: The sender fell silent.
        ClientDisconnect: The sender left.
    """
    received, batch = 0, bytearray()
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(limits.timeout_seconds):
                chunk = await anext(stream, None)
        except TimeoutError:
            raise limits.silence() from None
        if chunk is None:
            break
        received += len(chunk)
        limits.check_size(received)
        batch += chunk
        if len(batch) >= _BATCH_BYTES:
            yield bytes(batch)
            batch.clear()
    if batch:
        yield bytes(batch)


async def drain(request: Request) -> None:
    """Read what is left of a refused body, within reason: a client that is still sending would miss the answer."""
    left = _DRAIN_BYTES
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            while left > 0:
                message = await request.receive()
                left -= len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return
