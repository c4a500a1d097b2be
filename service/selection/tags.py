"""Which tags a rule may name, and what may be shown of their values.

Values are shown by an allowlist: numbers, coded strings that look like code strings, and a few attributes of machines.
Of all others only the class is told ("text of 14 characters"), for people write names of patients anywhere.
"""

import difflib
import re
from typing import Any

from pydicom.datadict import dictionary_VR, keyword_dict, keyword_for_tag, tag_for_keyword

TagValue = str | int | float | tuple[Any, ...] | None

_PATIENT_GROUP = 0x0010
_ABOUT_THE_PATIENT = frozenset(
    {"PatientSex", "PatientAge", "PatientSize", "PatientWeight", "PregnancyStatus", "SmokingStatus"}
)
"""Of group 0010, what may decide elsewhere than in an exclusion: it does not name anyone. Never shown."""
_NAMING = frozenset(
    {
        "AccessionNumber", "StudyID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID",
        "MediaStorageSOPInstanceUID", "RequestedProcedureID", "ScheduledProcedureStepID", "PerformedProcedureStepID",
        "AdmissionID", "ServiceEpisodeID", "FillerOrderNumberImagingServiceRequest",
        "PlacerOrderNumberImagingServiceRequest", "ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID",
        "InstitutionName", "InstitutionAddress", "IssueDateOfImagingServiceRequest",
    }
)  # fmt: skip
"""Outside of group 0010, what leads to one person (PS3.15 table E.1-1)."""
_PERSON_VR = "PN"
_TEXT_VRS = frozenset({"AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"})
_NUMBER_VRS = frozenset({"DS", "IS", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV", "US or SS"})
_CODE = re.compile(r"[A-Z0-9_ ./+\-]{1,24}")
_MACHINE = frozenset(
    {
        "SOPClassUID", "Manufacturer", "ManufacturerModelName", "SequenceName", "PulseSequenceName",
        "ConvolutionKernel", "RequestedProcedurePriority", "TransferSyntaxUID",
    }
)  # fmt: skip
_MACHINE_WORDS = re.compile(r"[A-Za-z0-9_ ./+*,:&()\-]{1,64}")
_HEXADECIMAL = re.compile(r"\(?([0-9A-Fa-f]{4}),([0-9A-Fa-f]{4})\)?")


def keyword_of(name: str) -> str:
    """Return the keyword of a tag that a rule names by keyword or as ``(gggg,eeee)``.

    Raises:
        ValueError: The standard has no such attribute, or none that holds text or numbers.
    """
    if written := _HEXADECIMAL.fullmatch(name):
        keyword = keyword_for_tag(int(written[1] + written[2], 16))
        if not keyword:
            raise ValueError("the standard has no attribute with this tag")
    else:
        keyword = name
    tag = tag_for_keyword(keyword)
    if tag is None:
        near = [k for k in keyword_dict if k.casefold() == keyword.casefold()]
        near = near or difflib.get_close_matches(keyword[:64], keyword_dict, n=1)
        raise ValueError("the standard has no attribute of this name" + (f" (did you mean {near[0]}?)" if near else ""))
    if dictionary_VR(tag) not in _TEXT_VRS | _NUMBER_VRS:
        raise ValueError("the attribute holds neither text nor numbers")
    return keyword


def is_identifying(keyword: str) -> bool:
    """Tell whether an attribute names a person, or leads to one."""
    tag = tag_for_keyword(keyword) or 0
    if tag >> 16 == _PATIENT_GROUP:
        return keyword not in _ABOUT_THE_PATIENT
    return keyword in _NAMING or dictionary_VR(tag) == _PERSON_VR


def is_numeric(keyword: str) -> bool:
    """Tell whether an attribute holds numbers."""
    return dictionary_VR(tag_for_keyword(keyword) or 0) in _NUMBER_VRS


def shown(keyword: str, value: TagValue) -> str:
    """Return what may be told of a value: itself where it is about the machine, else its class."""
    if value is None or value == ():
        return "absent"
    if is_identifying(keyword) or (tag_for_keyword(keyword) or 0) >> 16 == _PATIENT_GROUP:
        return "present, not shown"
    if isinstance(value, tuple):
        return "\\".join(shown(keyword, part) for part in value[:8]) + ("\\…" if len(value) > 8 else "")
    if isinstance(value, int | float):
        return f"{value:g}"
    vr = dictionary_VR(tag_for_keyword(keyword) or 0)
    if (keyword in _MACHINE and _MACHINE_WORDS.fullmatch(value)) or (vr == "CS" and _CODE.fullmatch(value)):
        return value
    kinds = {"DA": "a date", "DT": "a date and time", "TM": "a time", "UI": "a UID"}
    return kinds.get(vr, f"text of {len(value)} characters")


def texts(value: TagValue) -> tuple[str, ...]:
    """Return a value as the texts it consists of."""
    parts = value if isinstance(value, tuple) else () if value is None else (value,)
    return tuple(f"{part:g}" if isinstance(part, float) else str(part) for part in parts)


def numbers(value: TagValue) -> tuple[float, ...]:
    """Return a value as the numbers it consists of; text that is none is left out."""
    found = []
    for part in value if isinstance(value, tuple) else (value,):
        try:
            found.append(float(part))
        except (TypeError, ValueError):
            continue
    return tuple(found)
