"""A TCP line to a server that can be cut, made silent or made slow, and counts who calls."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Literal

import pytest

State = Literal["through", "cut", "silent", "slow"]
SLOW_BYTES, SLOW_SECONDS = 64 * 1024, 0.02


class Line:
    """One line.

    Attributes:
        state: ``through``; ``cut``: calls end at once; ``silent``: they are taken and nothing comes; ``slow``: it
            trickles.
        calls: How many there were, by state.
    """

    def __init__(self, port: int) -> None:
        self.state: State = "through"
        self.calls: dict[State, int] = {"through": 0, "cut": 0, "silent": 0, "slow": 0}
        self.port = 0
        self._behind = port

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        state = self.state
        self.calls[state] += 1
        with contextlib.suppress(OSError):
            try:
                if state == "silent":
                    await reader.read()  # to its end, when the caller gives up
                if state in ("through", "slow"):
                    there, back = await asyncio.open_connection("127.0.0.1", self._behind)
                    try:
                        await asyncio.gather(_pump(reader, back, state), _pump(there, writer, state))
                    finally:
                        back.close()
            finally:
                writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, state: State) -> None:
    with contextlib.suppress(OSError):
        while piece := await source.read(SLOW_BYTES):
            if state == "slow":
                await asyncio.sleep(SLOW_SECONDS)
            sink.write(piece)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
        else:  # TLS has no half of a line
            sink.close()


OpenLine = Callable[..., AbstractAsyncContextManager[Line]]
"""``open_line(port)``, or ``open_line(port, tls)`` for a line that is encrypted on this side of the server."""


@pytest.fixture(scope="session")
def open_line() -> OpenLine:
    """Open lines to ports of this machine: ``async with open_line(port) as line``."""

    @contextlib.asynccontextmanager
    async def line_to(port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Line]:
        line = Line(port)
        server = await asyncio.start_server(line.serve, "127.0.0.1", 0, ssl=tls)
        line.port = int(server.sockets[0].getsockname()[1])
        async with server:
            yield line

    return line_to
