"""A kept file opened for reading: its attributes without pixels, and where its pixels begin."""

import contextlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from entrust.errors import InternalError
from service.ingest.headers import PARSE_FAILURES, deviations

PIXEL_TAGS = {0x7FE00010: "PixelData", 0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData"}
_UNDEFINED = 0xFFFFFFFF


@dataclass(frozen=True)
class Opened:
    """A file of the archive.

    Attributes:
        header: Every attribute before the pixels.
        syntax: Transfer syntax.
        pixel_tag: Tag of the pixel data element; 0 where there is none.
        pixel_vr: Its value representation.
        pixel_offset: Where its value begins in ``file``.
        pixel_length: Length of its value in bytes; for encapsulated pixels up to the end of the file.
        file: The data; for a deflated file, inflated.
    """

    header: Dataset
    syntax: UID
    pixel_tag: int
    pixel_vr: str
    pixel_offset: int
    pixel_length: int
    file: BinaryIO

    @property
    def num_frames(self) -> int:
        """Number of frames; 0 without pixels."""
        if not self.pixel_tag:
            return 0
        try:
            return max(1, int(self.header.get("NumberOfFrames") or 1))
        except PARSE_FAILURES:
            return 1


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Open a kept file.

    Raises:
        InternalError: It cannot be read any more.
    """
    try:
        with path.open("rb") as file:
            yield _open(file)
    except OSError as error:
        raise InternalError("An instance cannot be read from the disk.", fix="See the archive's disk.") from error


def _open(file: BinaryIO) -> Opened:
    try:
        with deviations():
            ds: Dataset = dcmread(file, stop_before_pixels=True)
            syntax = UID(ds.file_meta.TransferSyntaxUID)
            if syntax == DeflatedExplicitVRLittleEndian:
                file, ds = _inflated(file)
            tag, vr, length = _pixel_element(file, syntax)
    except PARSE_FAILURES as error:
        raise InternalError("An instance in the archive is damaged.", fix="Send it again.") from error
    if length == _UNDEFINED:
        here = file.tell()
        length = file.seek(0, 2) - here
        file.seek(here)
    return Opened(ds, syntax, tag, vr, file.tell(), length, file)


def _pixel_element(file: BinaryIO, syntax: UID) -> tuple[int, str, int]:
    """Read the element at which the header's reader stopped; (0, "", 0) where it is no pixel data."""
    endian = ">" if syntax == ExplicitVRBigEndian else "<"
    head = file.read(8)
    if len(head) < 8:
        return 0, "", 0
    group, element = struct.unpack(endian + "HH", head[:4])
    tag = group << 16 | element
    if tag not in PIXEL_TAGS:
        return 0, "", 0
    if syntax.is_implicit_VR:
        (length,) = struct.unpack(endian + "I", head[4:])
        return tag, "OW", length
    (length,) = struct.unpack(endian + "I", file.read(4))
    return tag, head[4:6].decode("ascii"), length


def _inflated(file: BinaryIO) -> tuple[BinaryIO, Dataset]:
    """Return a deflated data set as an explicit little endian file in memory; its size was bounded when it came in."""
    file.seek(0)
    ds: Dataset = dcmread(file)
    inflated = BytesIO()
    ds.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.1")
    ds.save_as(inflated, implicit_vr=False, little_endian=True, enforce_file_format=True)
    inflated.seek(0)
    header = dcmread(inflated, stop_before_pixels=True)
    return inflated, header
