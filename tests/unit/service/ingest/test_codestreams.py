import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.ingest.codestreams import declared_pixels

APP0 = b"\xff\xe0" + struct.pack(">H", 16) + bytes(14)


def _jpeg(marker: int, rows: int, columns: int, before: bytes = b"") -> bytes:
    return b"\xff\xd8" + before + bytes([0xFF, marker]) + struct.pack(">HBHHB", 11, 12, rows, columns, 1) + bytes(3)


def _jpeg2000(left: int, top: int, right: int, bottom: int) -> bytes:
    return b"\xff\x4f\xff\x51" + struct.pack(">HH4I", 41, 0, right, bottom, left, top) + bytes(20)


@pytest.mark.parametrize("marker", [0xC0, 0xC1, 0xC2, 0xC3, 0xF7])
def test_jpeg_says_its_size_in_its_frame_header(marker: int) -> None:
    assert declared_pixels(_jpeg(marker, 60_000, 50_000)) == 3_000_000_000
    assert declared_pixels(_jpeg(marker, 10, 20, before=APP0)) == 200


def test_huffman_tables_are_no_frame_header() -> None:
    table = b"\xff\xc4" + struct.pack(">H", 7) + b"\xff" * 5
    assert declared_pixels(_jpeg(0xC0, 3, 4, before=table)) == 12


def test_jpeg_2000_says_its_size_also_inside_boxes() -> None:
    assert declared_pixels(_jpeg2000(10, 0, 110, 50)) == 5000
    assert declared_pixels(b"\0\0\0\x0cjP  \r\n\x87\n" + _jpeg2000(0, 0, 7, 9)) == 63


@given(st.sampled_from([b"", b"\xff\xd8", b"\xff\x4f\xff\x51"]), st.binary(max_size=60))
def test_anything_else_says_nothing_or_a_number(magic: bytes, content: bytes) -> None:
    pixels = declared_pixels(magic + content)
    assert pixels is None or pixels >= 0
