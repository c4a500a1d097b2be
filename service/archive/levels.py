"""The attributes that the index knows, by the level of DICOM's hierarchy: one table for storing and for searching.

Source: PS3.18 tables 10.6.1-5 (matching keys) and 10.6.3-3 to 10.6.3-5 (what a search returns).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.tag import Tag


class Level(StrEnum):
    """A level of the hierarchy."""

    STUDY = "study"
    SERIES = "series"
    INSTANCE = "instance"


@dataclass(frozen=True)
class Attribute:
    """One indexed attribute.

    Attributes:
        keyword: DICOM keyword; also the name of its column.
        level: Whose attribute it is.
        returned: Whether a search returns it without being asked to.
        matched: Whether a search may match on it; then it has a column.
    """

    keyword: str
    level: Level
    returned: bool = True
    matched: bool = True

    @cached_property
    def vr(self) -> str:
        """Value representation."""
        return dictionary_VR(self.keyword)

    @cached_property
    def tag(self) -> str:
        """Eight hexadecimal digits, as DICOM JSON writes tags."""
        return f"{tag_for_keyword(self.keyword):08X}"

    @property
    def is_number(self) -> bool:
        """Whether its column holds whole numbers."""
        return self.vr in ("IS", "US")


def _table(level: Level, returned: str, on_request: str = "", unmatched: str = "") -> list[Attribute]:
    return [
        *(Attribute(keyword, level) for keyword in returned.split()),
        *(Attribute(keyword, level, returned=False) for keyword in on_request.split()),
        *(Attribute(keyword, level, matched=False) for keyword in unmatched.split()),
    ]


ATTRIBUTES: tuple[Attribute, ...] = (
    *_table(
        Level.STUDY,
        "StudyInstanceUID StudyDate StudyTime AccessionNumber ReferringPhysicianName PatientName PatientID "
        "PatientBirthDate PatientSex StudyID StudyDescription",
        on_request="IssuerOfPatientID",
        unmatched="TimezoneOffsetFromUTC",
    ),
    *_table(
        Level.SERIES,
        "SeriesInstanceUID Modality SeriesNumber SeriesDescription PerformedProcedureStepStartDate "
        "PerformedProcedureStepStartTime",
        on_request="BodyPartExamined Laterality SeriesDate SeriesTime ProtocolName Manufacturer "
        "ManufacturerModelName FrameOfReferenceUID",
        unmatched="RequestAttributesSequence",
    ),
    *_table(
        Level.INSTANCE,
        "SOPInstanceUID SOPClassUID InstanceNumber Rows Columns BitsAllocated NumberOfFrames",
        on_request="ContentDate ContentTime AcquisitionNumber AcquisitionDate AcquisitionTime ContentLabel",
        unmatched="ImageType ConceptNameCodeSequence",
    ),
)
"""Every indexed attribute; the index is made anew from the files when this changes."""

BY_KEYWORD: Mapping[str, Attribute] = {attribute.keyword: attribute for attribute in ATTRIBUTES}
UID_OF_LEVEL: Mapping[Level, str] = {
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.INSTANCE: "SOPInstanceUID",
}


def keyword_of(name: str) -> str:
    """Return the keyword of an attribute that is named by its keyword or its eight hexadecimal digits; else empty."""
    if name in BY_KEYWORD or tag_for_keyword(name) is not None:
        return name
    try:
        return keyword_for_tag(Tag(int(name, 16))) if len(name) == 8 else ""
    except (ValueError, OverflowError):
        return ""
