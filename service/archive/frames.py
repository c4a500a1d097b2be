"""Frames of a kept instance: as they are stored, or decoded to little-endian bytes."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from pydicom import dcmread
from pydicom.encaps import generate_frames, get_frame
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian

from entrust.errors import EnTrustError, InvalidInputError, NotFoundError, UnsupportedMediaError
from service.archive.part10 import Opened, opened
from service.ingest.codestreams import declared_pixels
from service.ingest.headers import PARSE_FAILURES, deviations

MEDIA_TYPES = {
    "1.2.840.10008.1.2.5": "image/dicom-rle",
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg",
    "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.92": "image/jpx",
    "1.2.840.10008.1.2.4.93": "image/jpx",
    "1.2.840.10008.1.2.4.201": "image/jphc",
    "1.2.840.10008.1.2.4.202": "image/jphc",
    "1.2.840.10008.1.2.4.203": "image/jphc",
}
"""Media types of compressed frames (PS3.18 table 8.7.3-5)."""
OCTET_STREAM = "application/octet-stream"


@dataclass(frozen=True)
class FrameBytes:
    """One frame.

    Attributes:
        content: Its bytes.
        media_type: What they are.
        transfer_syntax_uid: How they are encoded.
    """

    content: bytes
    media_type: str
    transfer_syntax_uid: str


def read_frames(path: Path, numbers: list[int], *, decoded: bool) -> list[FrameBytes]:
    """Return frames by their numbers.

    Args:
        path: The file.
        numbers: From 1.
        decoded: Whether compressed frames are wanted as plain bytes.

    Raises:
        NotFoundError: There is no such frame.
        UnsupportedMediaError: The frames cannot be decoded.
    """
    with opened(path) as file, deviations():
        if not file.pixel_tag or not numbers or min(numbers) < 1 or max(numbers) > file.num_frames:
            raise NotFoundError("There is no such frame.")
        if file.syntax.is_encapsulated and not decoded:
            media_type = MEDIA_TYPES.get(file.syntax, OCTET_STREAM)
            return [FrameBytes(_stored(file, number), media_type, file.syntax) for number in numbers]
        return [FrameBytes(_plain(file, n), OCTET_STREAM, ExplicitVRLittleEndian) for n in numbers]


def native_pixels(path: Path) -> bytes:
    """Return all pixels of an instance as little-endian bytes.

    Raises:
        NotFoundError: It has none.
        UnsupportedMediaError: They cannot be decoded.
    """
    with opened(path) as file, deviations():
        if not file.pixel_tag:
            raise NotFoundError("The instance has no pixels.")
        if not file.syntax.is_encapsulated and file.syntax != ExplicitVRBigEndian:
            file.file.seek(file.pixel_offset)
            return file.file.read(file.pixel_length)
        return b"".join(_plain(file, number) for number in range(1, file.num_frames + 1))


def explicit_little_endian(path: Path) -> bytes:
    """Return a whole instance uncompressed, in the transfer syntax that every reader knows.

    Raises:
        UnsupportedMediaError: Its pixels cannot be decoded, or it is big endian.
    """
    try:
        with deviations():
            ds = dcmread(path)
            syntax = UID(ds.file_meta.TransferSyntaxUID)
            if syntax.is_encapsulated and "PixelData" in ds:
                for frame in generate_frames(ds.PixelData, number_of_frames=int(ds.get("NumberOfFrames") or 1)):
                    _check_size(frame, ds.Rows * ds.Columns)
                ds.decompress(generate_instance_uid=False)
            ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            out = BytesIO()
            ds.save_as(out, implicit_vr=False, little_endian=True, enforce_file_format=True)
    except EnTrustError:
        raise
    except (*PARSE_FAILURES, MemoryError) as error:
        raise _not_decoded() from error
    return out.getvalue()


def decoded_frame(file: Opened, number: int, *, raw: bool) -> Shaped[np.ndarray, "..."]:
    """Return a frame as an array (row, column[, sample]); colours as they are stored where ``raw``, else RGB.

    Raises:
        InvalidInputError: The codestream is larger than its header says.
        UnsupportedMediaError: It cannot be decoded.
    """
    if file.syntax.is_encapsulated:
        _check_size(_stored(file, number), file.header.Rows * file.header.Columns)
    try:
        file.file.seek(0)
        return np.ascontiguousarray(pixel_array(file.file, index=number - 1, raw=raw))
    except (*PARSE_FAILURES, MemoryError) as error:
        raise _not_decoded() from error


def _stored(file: Opened, number: int) -> bytes:
    """Return a compressed frame as it is."""
    file.file.seek(file.pixel_offset)
    offsets = None
    if "ExtendedOffsetTable" in file.header:
        offsets = (file.header.ExtendedOffsetTable, file.header.ExtendedOffsetTableLengths)
    try:
        return get_frame(file.file, number - 1, number_of_frames=file.num_frames, extended_offsets=offsets)
    except PARSE_FAILURES as error:
        raise InvalidInputError("The instance's frames are damaged.", fix="Send it again from its source.") from error


def _plain(file: Opened, number: int) -> bytes:
    """Return a frame as little-endian bytes, bits packed from the lowest where a pixel is a bit (PS3.5 8.1.1)."""
    ds = file.header
    try:
        bits = int(ds.Rows) * int(ds.Columns) * int(ds.get("SamplesPerPixel") or 1) * int(ds.BitsAllocated)
        if file.syntax.is_encapsulated:
            return decoded_frame(file, number, raw=True).tobytes()
        first, last = (number - 1) * bits, number * bits
        start, end = first // 8, -(-last // 8)
        if end > file.pixel_length:
            raise InvalidInputError("The instance's pixels are truncated.", fix="Send it again from its source.")
        file.file.seek(file.pixel_offset + start)
        content = file.file.read(end - start)
        if first % 8 or bits % 8:  # frames of single bits follow each other without a gap
            single = np.unpackbits(np.frombuffer(content, np.uint8), bitorder="little")[first % 8 :][:bits]
            content = np.packbits(single, bitorder="little").tobytes()
        if file.syntax == ExplicitVRBigEndian and int(ds.BitsAllocated) > 8:
            content = np.frombuffer(content, f">u{int(ds.BitsAllocated) // 8}").byteswap().tobytes()
    except EnTrustError:
        raise
    except (*PARSE_FAILURES, MemoryError) as error:
        raise _not_decoded() from error
    return content


def _check_size(frame: bytes, pixels: int) -> None:
    """Refuse a codestream that is larger than the header says, before a decoder reserves memory for it."""
    declared = declared_pixels(frame)
    if declared is not None and declared > pixels:
        raise InvalidInputError("A compressed image is larger than its header says.", fix="Send it again.")


def _not_decoded() -> UnsupportedMediaError:
    return UnsupportedMediaError(
        "The instance's pixels cannot be decoded here.", fix="Ask for them as they are stored: transfer-syntax=*."
    )
