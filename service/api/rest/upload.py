"""Receives a study over HTTP: streamed to a private folder, within limits."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from entrust.errors import InvalidInputError, TooLargeError, UnsupportedMediaError
from service.api.http.body import batches, drain
from service.api.http.multipart import Parts
from service.intake.upload import FIELD_NAME, STUDY, Upload, UploadLimits

RAW_MEDIA_TYPES = ("application/zip", "application/dicom")
MULTIPART_MEDIA_TYPES = ("multipart/form-data", "multipart/related")
MAX_FIELDS = 32
MAX_FIELD_BYTES = 16 * 1024


async def receive(request: Request, limits: UploadLimits, *, text_fields: frozenset[str], work_folder: Path) -> Upload:
    """Receive the body of a request; the caller owns the folder of the returned upload and wipes it.

    Args:
        request: The request; its body has not been read.
        limits: Bounds on it.
        text_fields: Fields of a form that are parameters; every other field is a file.
        work_folder: Where the private folder is made.

    Raises:
        TooLargeError: The body, a field or the number of files passes a limit.
        UnsupportedMediaError: The body's media type is not taken here.
        InvalidInputError: The body is not what its media type says, or holds no file.
        DeadlineExceededError: The sender fell silent.
    """
    media_type, options = parse_options_header(request.headers.get("content-type", ""))
    kind = media_type.decode("latin-1").lower()
    upload: Upload | None = None
    try:
        if request.headers.get("content-length", "").isdigit():
            limits.check_size(int(request.headers["content-length"]))
        upload = await Upload.begin(work_folder)
        chunks = batches(request, limits)
        if kind in RAW_MEDIA_TYPES:
            await _receive_raw(chunks, upload, limits)
        elif kind in MULTIPART_MEDIA_TYPES:
            form = _Form(upload, text_fields, limits)
            await form.take(chunks, options.get(b"boundary", b""), fix="Let your HTTP library build body and header.")
        else:
            raise UnsupportedMediaError(
                "The body's media type is not taken here.",
                fix=f"Send multipart/form-data, or one of {', '.join(RAW_MEDIA_TYPES)} as the body itself.",
            )
        if not upload.files:
            raise InvalidInputError(
                "The request holds no image file.", fix="Send a file as the field study, or one per modality."
            )
    except BaseException as error:
        if upload is not None:
            await upload.wipe()
        if not isinstance(error, ClientDisconnect | asyncio.CancelledError):
            await drain(request)
        raise
    return upload


async def _receive_raw(chunks: AsyncIterator[bytes], upload: Upload, limits: UploadLimits) -> None:
    received = 0
    file = upload.add(STUDY, limits)
    with file:
        async for chunk in chunks:
            received += len(chunk)
            await asyncio.to_thread(file.write, chunk)
    if not received:
        raise InvalidInputError("The body is empty.", fix="Send the study as the body, or use multipart/form-data.")


class _Form(Parts):
    """Text fields go to memory, files to the folder."""

    def __init__(self, upload: Upload, text_fields: frozenset[str], limits: UploadLimits) -> None:
        super().__init__()
        self._upload = upload
        self._text_fields = text_fields
        self._limits = limits
        self._name = ""
        self._text = bytearray()
        self._file: IO[bytes] | None = None

    def begin(self) -> None:
        self._name = ""
        self._text.clear()

    def headers_finished(self) -> None:
        disposition, options = parse_options_header(self.headers.get(b"content-disposition", b""))
        # A part of multipart/related has no name; it can only be a piece of the study.
        name = options.get(b"name", b"" if disposition == b"form-data" else STUDY.encode()).decode("latin-1")
        if not FIELD_NAME.fullmatch(name):
            raise InvalidInputError(
                "The form has a field that is not known here.",
                fix=f"Known fields: {STUDY}, the task's modalities, {', '.join(sorted(self._text_fields))}.",
            )
        self._name = name
        if name in self._text_fields:
            if len(self._upload.fields) >= MAX_FIELDS or name in self._upload.fields:
                raise InvalidInputError("The form names a parameter twice.", fix="Send each parameter once.")
        else:
            self._file = self._upload.add(name, self._limits)

    def data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])
        elif len(self._text) + end - start > MAX_FIELD_BYTES:
            raise TooLargeError(
                f"A parameter is longer than {MAX_FIELD_BYTES} bytes.", details={"limit_bytes": MAX_FIELD_BYTES}
            )
        else:
            self._text += data[start:end]

    def end(self) -> None:
        if self._file is not None:
            self.close()
        else:
            try:
                self._upload.fields[self._name] = self._text.decode()
            except UnicodeDecodeError:
                raise InvalidInputError("A parameter is not UTF-8 text.") from None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
