"""What a file is, by its bytes; names and content types are not believed."""

import gzip
import struct
import zlib
from enum import StrEnum
from pathlib import Path

_NIFTI1_BYTES = 348
_NIFTI2_BYTES = 540
_NIFTI_MAGICS = {_NIFTI1_BYTES: (344, (b"n+1\0", b"ni1\0")), _NIFTI2_BYTES: (4, (b"n+2\0", b"ni2\0"))}


class FileKind(StrEnum):
    """What the bytes say."""

    DICOM = "dicom"
    NIFTI = "nifti"
    ZIP = "zip"
    EMPTY = "empty-file"
    UNKNOWN = "unknown-file"


def sniff(path: Path) -> FileKind:
    """Tell what a regular file is."""
    with path.open("rb") as file:
        head = file.read(_NIFTI2_BYTES)
    if not head:
        return FileKind.EMPTY
    if head[128:132] == b"DICM":
        return FileKind.DICOM
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return FileKind.ZIP
    if head[:2] == b"\x1f\x8b":
        head = _gunzipped_head(path)
    if _is_nifti(head):
        return FileKind.NIFTI
    return FileKind.DICOM if _starts_like_dicom(head) else FileKind.UNKNOWN


def _gunzipped_head(path: Path) -> bytes:
    try:
        with gzip.open(path, "rb") as file:
            return file.read(_NIFTI2_BYTES)
    except (OSError, EOFError, zlib.error):
        return b""


def _is_nifti(head: bytes) -> bool:
    if len(head) < _NIFTI1_BYTES:
        return False
    sizes = {struct.unpack(order + "i", head[:4])[0] for order in "<>"}
    return any(
        size in sizes and head[offset : offset + 4] in magics for size, (offset, magics) in _NIFTI_MAGICS.items()
    )


def _starts_like_dicom(head: bytes) -> bool:
    """Recognise data sets without preamble: a first element of group 2 or 8 (PS3.10 7.1 asks for the preamble)."""
    if len(head) < 16:
        return False
    for order in "<>":
        group, element = struct.unpack(order + "HH", head[:4])
        if group in (0x0002, 0x0008) and element <= 0x0100:
            explicit = head[4:6].isalpha() and head[4:6].isupper()
            (length,) = struct.unpack(order + "I", head[4:8])
            return explicit or length <= 0x1000
    return False
