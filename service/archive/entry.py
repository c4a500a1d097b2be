"""What the index says of one instance, read from its header as it comes in."""

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info, read_partial
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from entrust.errors import InvalidInputError
from service.archive.levels import ATTRIBUTES, Attribute, Level
from service.ingest.headers import PARSE_FAILURES, check_deflated, deviations
from service.ingest.limits import IngestLimits

_UID = re.compile(r"[0-9.]{1,64}")
_PREAMBLE_AND_FIRST_ELEMENT = 128 + 4 + 12
"""Bytes before the file meta information that (0002,0000) counts (PS3.10 7.1)."""
_LAST_GROUP = 0x0070
"""No indexed attribute lies behind this group: functional groups of many frames need not be parsed."""
_WANTED: list[BaseTag | int] = [
    Tag(tag) for tag in ("SpecificCharacterSet", *(attribute.keyword for attribute in ATTRIBUTES))
]

_NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")

Json = dict[str, Any]
"""Attributes as DICOM JSON (PS3.18 F)."""
Columns = Mapping[Level, Mapping[str, str | int | None]]
"""Values by level and keyword, as :func:`normalised` makes them."""


@dataclass(frozen=True, eq=False)
class Entry:
    """One instance.

    Attributes:
        study_uid: StudyInstanceUID.
        series_uid: SeriesInstanceUID.
        sop_uid: SOPInstanceUID.
        sop_class_uid: SOPClassUID.
        transfer_syntax_uid: How the data set is encoded.
        offset_bytes: Where the data set begins in its file; 0 where the file does not say.
        header: The indexed attributes, not decoded yet: who sends need not wait for that.
    """

    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    offset_bytes: int
    header: Dataset

    def decoded(self) -> tuple[Columns, Mapping[Level, Json]]:
        """Return values to match on by level and keyword, and all indexed attributes by level as DICOM JSON.

        An unreadable attribute is as good as absent.
        """
        columns: dict[Level, dict[str, str | int | None]] = {level: {} for level in Level}
        attributes: dict[Level, Json] = {level: {} for level in Level}
        with deviations():
            for attribute in ATTRIBUTES:
                _decode(self.header, attribute, columns[attribute.level], attributes[attribute.level])
        return columns, attributes


def read_entry(path: Path, limits: IngestLimits) -> Entry:
    """Read what the index needs of a file in the DICOM File Format.

    Raises:
        InvalidInputError: It is no such file, or lacks a UID without which it cannot be kept.
        TooLargeError: A deflated file unpacks to more than is allowed.
    """
    try:
        with path.open("rb") as file, deviations():
            if read_file_meta_info(path).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
                check_deflated(path, limits)
            ds = read_partial(file, stop_when=_behind_the_last, specific_tags=_WANTED)
            length = ds.file_meta.get("FileMetaInformationGroupLength")
            uids = [_uid(ds, keyword) for keyword in _NEEDED]
            syntax = _uid(ds.file_meta, "TransferSyntaxUID")
    except PARSE_FAILURES as error:
        raise InvalidInputError(
            "An instance cannot be read as a DICOM file.", fix="Send the DICOM File Format (PS3.10), as stored."
        ) from error
    if not all(_UID.fullmatch(uid) for uid in (*uids, syntax)):
        raise InvalidInputError(
            "An instance lacks a UID of its study, series, instance, class or transfer syntax.",
            fix="Export the study again from its source.",
        )
    offset_bytes = _PREAMBLE_AND_FIRST_ELEMENT + int(length) if length else 0
    study_uid, series_uid, sop_uid, sop_class_uid = uids
    return Entry(study_uid, series_uid, sop_uid, sop_class_uid, syntax, offset_bytes, ds)


def normalised(attribute: Attribute, value: str) -> str | int | None:
    """Return a value as its column holds it: names without case, numbers as numbers, no padding.

    Args:
        attribute: Whose value it is.
        value: The value as text; several are separated by a backslash.
    """
    value = value.strip().rstrip("\0").strip()
    if attribute.is_number:
        try:
            return int(value)
        except ValueError:
            return None
    if attribute.vr == "PN":
        return value.rstrip("^=").casefold()
    return value


def element_json(ds: Dataset, tag: BaseTag | str) -> Json | None:
    """Return one element as DICOM JSON; None where its value cannot be read or written as such."""
    try:
        found: Json = ds[tag].to_json_dict(None, sys.maxsize)
        json.dumps(found, allow_nan=False)
    except PARSE_FAILURES:
        return None
    return found


def _decode(ds: Dataset, attribute: Attribute, columns: dict[str, str | int | None], attributes: Json) -> None:
    """Take one attribute over."""
    if attribute.keyword not in ds:
        return
    try:
        value = ds[attribute.keyword].value
        if attribute.matched and value is not None:
            text = "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value)
            columns[attribute.keyword] = normalised(attribute, text)
    except PARSE_FAILURES:
        return
    found = element_json(ds, attribute.keyword)
    if found is not None:
        attributes[attribute.tag] = found


def _uid(ds: Dataset, keyword: str) -> str:
    """Return a UID as it was sent."""
    element = ds.get_item(keyword)
    value = element.value if element is not None else None
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")
    return text.strip("\0 ")


def _behind_the_last(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag.group > _LAST_GROUP
