"""How large a compressed image says it is, read before a decoder believes it."""

import struct

_SIZE_MARKERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # start of frame; 0xF7 is JPEG-LS


def declared_pixels(codestream: bytes) -> int | None:
    """Return rows × columns that a JPEG, JPEG-LS, JPEG 2000 or HTJ2K codestream declares; None when it does not."""
    if codestream[:2] == b"\xff\xd8":
        return _jpeg(codestream)
    start = codestream[:512].find(b"\xff\x4f\xff\x51")  # SOC, SIZ (ISO/IEC 15444-1 A.5.1); boxes may come before
    if start < 0 or len(codestream) < start + 24:
        return None
    right, bottom, left, top = struct.unpack(">4I", codestream[start + 8 : start + 24])
    return int(max(right - left, 0) * max(bottom - top, 0))


def _jpeg(codestream: bytes) -> int | None:
    at = 2
    while at + 9 <= len(codestream) and codestream[at] == 0xFF:
        marker = codestream[at + 1]
        if marker in _SIZE_MARKERS:
            rows, columns = struct.unpack(">2H", codestream[at + 5 : at + 9])
            return int(rows * columns)
        (length,) = struct.unpack(">H", codestream[at + 2 : at + 4])
        at += 2 + max(length, 2)
    return None
