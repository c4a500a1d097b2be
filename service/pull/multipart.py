"""A multipart answer of WADO-RS, part by part into the archive: no instance is held in memory."""

import contextlib
from collections.abc import Iterable
from typing import IO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from entrust.errors import SourceUnavailableError, TooLargeError
from service.pull.keeping import Keeper

DICOM = "application/dicom"


def keep_parts(content_type: str, pieces: Iterable[bytes], keeper: Keeper) -> None:
    """Keep every instance of an answer.

    Args:
        content_type: Of the answer: ``multipart/related``, or one DICOM file.
        pieces: Its body.
        keeper: Takes the instances.

    Raises:
        SourceUnavailableError: The answer is neither, is malformed, or ends too early.
        TooLargeError: An instance passes the limit.
        OverloadedError: The disk is full.
    """
    media_type, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if media_type.lower() == DICOM.encode():
        with keeper.receiving() as file:
            for piece in pieces:
                _write(file, piece, keeper)
        return
    if media_type.lower() != b"multipart/related" or not boundary:
        raise SourceUnavailableError("The source answers with another media type than was asked for.")
    parts = _Parts(keeper)
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": parts.begin,
                "on_part_data": parts.data,
                "on_part_end": parts.end,
                "on_end": parts.finish,
            },
        )
        for piece in pieces:
            parser.write(piece)
        parser.finalize()
    except FormParserError:
        raise SourceUnavailableError("The source's multipart answer is malformed.") from None
    finally:
        parts.drop()
    if not parts.complete:
        raise SourceUnavailableError("The source's answer ends too early.")


def _write(file: IO[bytes], piece: bytes | memoryview, keeper: Keeper) -> None:
    if file.tell() + len(piece) > keeper.max_instance_bytes:
        raise TooLargeError(
            "The source sends an instance that is larger than this gateway takes.",
            details={"limit_bytes": keeper.max_instance_bytes},
        )
    file.write(piece)


class _Parts:
    """Takes the multipart parser's callbacks."""

    def __init__(self, keeper: Keeper) -> None:
        self.complete = False
        self._keeper = keeper
        self._open = contextlib.ExitStack()
        self._file: IO[bytes] | None = None

    def begin(self) -> None:
        self._file = self._open.enter_context(self._keeper.receiving())

    def data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            _write(self._file, memoryview(data)[start:end], self._keeper)

    def end(self) -> None:
        self._file = None
        self._open.close()

    def finish(self) -> None:
        self.complete = True

    def drop(self) -> None:
        """Leave a part that did not come to its end: what came of it is no instance, and is not kept."""
        if self._file is not None:
            with contextlib.suppress(_Incomplete):
                self._open.__exit__(_Incomplete, _Incomplete(), None)


class _Incomplete(Exception):  # noqa: N818 - never seen outside
    """Ends a part's block without keeping it."""
