"""A multipart body that comes in pieces, taken part by part; nothing of it is held but the headers of one part."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from entrust.errors import InvalidInputError


class Parts(ABC):
    """Takes the parts of one body, in a thread apart from the event loop.

    Attributes:
        headers: Of the part that is being taken, with names in lower case (RFC 2046 5.1).
    """

    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self._field = self._value = b""
        self._complete = False

    def begin(self) -> None:  # noqa: B027  (not everybody wants to know)
        """Hear that a part begins."""

    def headers_finished(self) -> None:  # noqa: B027
        """Hear that its headers are known."""

    @abstractmethod
    def data(self, data: bytes, start: int, end: int) -> None:
        """Take ``data[start:end]`` of its content."""

    @abstractmethod
    def end(self) -> None:
        """Hear that it is whole."""

    @abstractmethod
    def close(self) -> None:
        """Let go of a part that has not come to its end."""

    async def take(self, pieces: AsyncIterator[bytes], boundary: bytes, *, fix: str) -> None:
        """Take a body to its end.

        Args:
            pieces: The body.
            boundary: What stands between its parts.
            fix: What a sender is told whose body is malformed.

        Raises:
            InvalidInputError: It names no boundary, is malformed, or ends too early.
        """
        if not boundary:
            raise InvalidInputError("The multipart body names no boundary.", fix=fix)
        try:
            parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._header_field,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self.headers_finished,
                    "on_part_data": self.data,
                    "on_part_end": self.end,
                    "on_end": self._finish,
                },
            )
            async for piece in pieces:
                await asyncio.to_thread(parser.write, piece)
            parser.finalize()
        except FormParserError:
            raise InvalidInputError("The multipart body is malformed.", fix=fix) from None
        finally:
            self.close()
        if not self._complete:
            raise InvalidInputError("The multipart body ends too early.", fix="Send it again, to the last boundary.")

    def _begin(self) -> None:
        self.headers = {}
        self.begin()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self.headers[self._field.lower()] = self._value
        self._field = self._value = b""

    def _finish(self) -> None:
        self._complete = True
