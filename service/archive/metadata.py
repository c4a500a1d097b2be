"""Attributes of a kept instance as DICOM JSON, large values left aside under addresses (PS3.18 F.2.6)."""

import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from entrust.errors import NotFoundError
from service.archive.entry import Json, element_json
from service.archive.frames import native_pixels
from service.archive.part10 import PIXEL_TAGS, opened
from service.ingest.headers import PARSE_FAILURES, deviations

BULK_BYTES = 1024
"""Binary values from this size on get an address of their own."""
_BINARY = {"OB", "OD", "OF", "OL", "OV", "OW", "UN"}
_PATH = re.compile(r"[0-9A-F]{8}(/\d{1,6}/[0-9A-F]{8})*")


def instance_metadata(path: Path, address: Callable[[str], str]) -> Json:
    """Return all attributes of an instance.

    Args:
        path: The file.
        address: Gives the URI of a large value by its place: a tag, or tags and item numbers (from 1) joined by
            slashes.

    Raises:
        InternalError: The file is damaged.
    """
    with opened(path) as file, deviations():
        found = _json(file.header, "", address)
        if file.pixel_tag:
            tag = f"{file.pixel_tag:08X}"
            found[tag] = {"vr": file.pixel_vr, "BulkDataURI": address(tag)}
    return found


def bulk_value(path: Path, place: str) -> bytes:
    """Return a large value, by the place that its address names; pixels come as one piece, decoded.

    Raises:
        NotFoundError: There is no binary value at that place.
        UnsupportedMediaError: The pixels are compressed in a way that is not decoded here.
    """
    place = place.upper()
    if not _PATH.fullmatch(place):
        raise NotFoundError("There is no such value.")
    if place in {f"{tag:08X}" for tag in PIXEL_TAGS}:
        return native_pixels(path)
    parts = place.split("/")
    try:
        with path.open("rb") as file, deviations():
            ds: Dataset = dcmread(BytesIO(file.read()), stop_before_pixels=True)
            for sequence, item in zip(parts[:-1:2], parts[1::2], strict=True):
                ds = ds[Tag(int(sequence, 16))].value[int(item) - 1]
            element = ds[Tag(int(parts[-1], 16))]
            if element.VR in _BINARY and isinstance(element.value, bytes):
                return element.value
    except PARSE_FAILURES:
        pass
    raise NotFoundError("There is no such value.")


def _json(ds: Dataset, prefix: str, address: Callable[[str], str]) -> Json:
    found: Json = {}
    for tag in sorted(ds.keys()):
        name = f"{tag:08X}"
        if tag.group <= 0x0002 or tag.element == 0:
            continue
        try:
            element = ds[tag]
            if element.VR == "SQ":
                items = [_json(item, f"{prefix}{name}/{n}/", address) for n, item in enumerate(element.value, 1)]
                found[name] = {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
                continue
            if element.VR in _BINARY and isinstance(element.value, bytes) and len(element.value) >= BULK_BYTES:
                found[name] = {"vr": element.VR, "BulkDataURI": address(f"{prefix}{name}")}
                continue
        except PARSE_FAILURES:
            continue
        value = element_json(ds, tag)
        if value is not None:
            found[name] = value
    return found
