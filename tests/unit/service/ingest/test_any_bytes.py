"""The law of the door: any bytes end as a study or as an EnTrustError."""

import tempfile
import zipfile
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrust.errors import EnTrustError
from entrust.volume import Grid
from service.ingest import IngestLimits, read_study
from tests.factories.dicom_series import build_series

LIMITS = IngestLimits(max_files=50, max_bytes=1 << 22, max_uncompressed_bytes=1 << 22, max_voxels=1 << 20)
BYTES = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _slice_bytes() -> bytes:
    grid = Grid.axial((2, 6, 5), (3.0, 2.0, 2.0), (0.0, 0.0, 0.0))
    (first, _) = build_series(np.arange(60.0).reshape(grid.shape), grid, "CT")
    buffer = BytesIO()
    first.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


SLICE = _slice_bytes()
PLACE = st.integers(0, len(SLICE) - 1)
MAGICS = [b"\0" * 128 + b"DICM", b"PK\x03\x04", b"\x1f\x8b\x08", b"\x5c\x01\0\0"]


def _read(*contents: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number, content in enumerate(contents):
            (Path(folder) / str(number)).write_bytes(content)
        with suppress(EnTrustError):
            assert read_study(Path(folder), limits=LIMITS).series


@BYTES
@given(st.binary(max_size=2000))
def test_random_bytes(content: bytes) -> None:
    _read(content)


@BYTES
@given(
    st.sampled_from([b"\0" * 128 + b"DICM", b"PK\x03\x04", b"\x1f\x8b\x08", b"\x5c\x01\0\0"]), st.binary(max_size=2000)
)
def test_random_bytes_behind_a_true_magic(magic: bytes, content: bytes) -> None:
    _read(magic + content)


@BYTES
@given(
    st.lists(st.tuples(st.integers(0, len(SLICE) - 1), st.integers(0, 255)), max_size=30), st.integers(0, len(SLICE))
)
def test_a_damaged_slice_beside_a_sound_one(flips: list[tuple[int, int]], cut: int) -> None:
    damaged = bytearray(SLICE)
    for at, value in flips:
        damaged[at] = value
    _read(bytes(damaged), SLICE)
    _read(SLICE[:cut])


@BYTES
@given(st.dictionaries(st.text(min_size=1, max_size=20), st.binary(max_size=300), max_size=5), st.integers(0, 400))
def test_zips_of_anything_under_any_name_damaged_anywhere(entries: dict[str, bytes], at: int) -> None:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, content in entries.items():
            try:
                opened.writestr(name, content)
            except (UnicodeEncodeError, IndexError):  # lone surrogates and NUL are no names in a zip
                continue
    data = bytearray(buffer.getvalue())
    _read(bytes(data))
    data[at % len(data)] ^= 0x55
    _read(bytes(data))


@pytest.mark.parametrize("content", [b"", b"\0", b"PK\x05\x06" + bytes(18), b"\x1f\x8b", SLICE[:132], SLICE[:140]])
def test_stumps(content: bytes) -> None:
    _read(content)
