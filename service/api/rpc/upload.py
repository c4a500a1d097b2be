"""Receives a study over gRPC: in one message, or streamed to a private folder, within limits."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import IO

from entrust.errors import InvalidInputError
from service.api.rpc.v1 import segmentation_pb2 as pb
from service.intake.upload import STUDY, Upload, UploadLimits

_DRAIN_BYTES = 64 * 1024 * 1024
_DRAIN_SECONDS = 5.0
NO_FILE = "The request holds no image file."
NO_FILE_FIX = "Send a DICOM zip or files without a modality, or one NIfTI file per modality."


async def receive_files(files: Sequence[pb.InputFile], limits: UploadLimits, *, work_folder: Path) -> Upload:
    """Write the files of one message to a private folder, which the caller owns.

    Raises:
        TooLargeError: Size or number of the files passes a limit.
        InvalidInputError: There is no file, or one is empty.
    """
    limits.check_size(sum(len(file.content) for file in files))
    upload = await Upload.begin(work_folder)
    try:
        for file in files:
            if not file.content:
                raise InvalidInputError("A file is empty.", fix="Send its bytes.")
            with upload.add(file.modality or STUDY, limits) as out:
                await asyncio.to_thread(out.write, file.content)
        if not upload.files:
            raise InvalidInputError(NO_FILE, fix=NO_FILE_FIX)
    except BaseException:
        await upload.wipe()
        raise
    return upload


async def next_message(
    requests: AsyncIterator[pb.SegmentStreamRequest], limits: UploadLimits
) -> pb.SegmentStreamRequest | None:
    """Return the next message of a stream, or None at its end.

    Raises:
        DeadlineExceededError: The sender fell silent.
    """
    try:
        async with asyncio.timeout(limits.timeout_seconds):
            return await anext(requests, None)
    except TimeoutError:
        raise limits.silence() from None


async def drain(requests: AsyncIterator[pb.SegmentStreamRequest]) -> None:
    """Read what is left of a refused stream, within reason: a client that is still sending would miss the answer."""
    left = _DRAIN_BYTES
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            while left > 0 and (message := await anext(requests, None)) is not None:
                left -= message.ByteSize()
    except TimeoutError:
        return


async def receive_stream(
    requests: AsyncIterator[pb.SegmentStreamRequest], limits: UploadLimits, *, work_folder: Path
) -> Upload:
    """Write the files of a stream, after its start, to a private folder, which the caller owns.

    Raises:
        TooLargeError: Size or number of the files passes a limit.
        InvalidInputError: The pieces are out of order, or there is no file, or one is empty.
        DeadlineExceededError: The sender fell silent.
    """
    upload = await Upload.begin(work_folder)
    out: IO[bytes] | None = None
    received = in_file = 0
    try:
        while (message := await next_message(requests, limits)) is not None:
            piece = message.WhichOneof("content")
            if piece == "file":
                _end(out, in_file)
                out, in_file = upload.add(message.file.modality or STUDY, limits), 0
            elif piece == "data" and out is not None:
                received += len(message.data)
                in_file += len(message.data)
                limits.check_size(received)
                await asyncio.to_thread(out.write, message.data)
            else:
                raise InvalidInputError(
                    "The pieces of the study are out of order.",
                    fix="Send the start once, then each file before its bytes.",
                )
        _end(out, in_file)
        if out is None:
            raise InvalidInputError(NO_FILE, fix=NO_FILE_FIX)
    except BaseException:
        if out is not None:
            out.close()
        await upload.wipe()
        raise
    return upload


def _end(out: IO[bytes] | None, size_bytes: int) -> None:
    if out is None:
        return
    out.close()
    if not size_bytes:
        raise InvalidInputError("A file is empty.", fix="Send its bytes.")
