"""Multipart answers, written as they are sent."""

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from starlette.responses import StreamingResponse


@dataclass(frozen=True)
class Part:
    """One part.

    Attributes:
        media_type: Its Content-Type, parameters included.
        content: Its bytes, in pieces.
    """

    media_type: str
    content: Iterable[bytes]


def multipart(parts: Iterable[Part], media_type: str) -> StreamingResponse:
    """Return ``multipart/related`` with parts of one media type."""
    boundary = secrets.token_hex(16)

    def pieces() -> Iterator[bytes]:
        for part in parts:
            yield f"--{boundary}\r\nContent-Type: {part.media_type}\r\n\r\n".encode("latin-1")
            yield from part.content
            yield b"\r\n"
        yield f"--{boundary}--\r\n".encode()

    return StreamingResponse(pieces(), media_type=f'multipart/related; type="{media_type}"; boundary={boundary}')
