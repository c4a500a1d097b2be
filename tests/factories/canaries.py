"""A study in which everything that tells of the patient is a canary: a word that is found nowhere else."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset

SONG = "KANARI"
BIRTH_DATE = "19010203"
TEXTS = (
    "PatientName", "PatientID", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName", "PatientAddress",
    "PatientTelephoneNumbers", "PatientComments", "IssuerOfPatientID", "AdditionalPatientHistory", "Occupation",
    "EthnicGroup", "MilitaryRank", "AdmissionID", "CurrentPatientLocation", "AccessionNumber", "StudyID",
    "StudyDescription", "SeriesDescription", "ProtocolName", "RequestedProcedureDescription", "ImageComments",
    "ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName", "PhysiciansOfRecord", "RequestingPhysician",
    "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "StationName", "DeviceSerialNumber",
)  # fmt: skip
"""Attributes of text that name the patient or lead to them (after PS3.15 table E.1-1)."""
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{12,}={0,2}")


def canary_of(keyword: str) -> str:
    """Return the canary of an attribute; it fits the shortest kind of text (SH, 16 characters)."""
    return f"{SONG}{TEXTS.index(keyword):02d}" + ("^SINGS" if dictionary_VR(keyword) == "PN" else "")


def canary_tags() -> Mapping[str, Any]:
    """Return the attributes with their canaries; those of the request stand in a sequence, too."""
    request, other = Dataset(), Dataset()
    request.RequestedProcedureID = request.ScheduledProcedureStepID = f"{SONG}80"
    request.ScheduledProcedureStepDescription = f"{SONG}81"
    other.PatientID, other.TypeOfPatientID = f"{SONG}82", "TEXT"
    return {keyword: canary_of(keyword) for keyword in TEXTS} | {
        "PatientBirthDate": BIRTH_DATE,
        "RequestAttributesSequence": [request],
        "OtherPatientIDsSequence": [other],
    }


def with_private_canaries(datasets: list[Dataset]) -> list[Dataset]:
    """Add a private element with a canary to each data set."""
    for ds in datasets:
        block = ds.private_block(0x0031, "SONGBIRD 1.0", create=True)
        block.add_new(0x01, "LO", f"{SONG}90")
    return datasets


def heard(content: bytes | str) -> list[str]:
    """Return the canaries in something, plain, in UTF-16 or in base64, in any case; none is what is hoped for."""
    raw = content.encode() if isinstance(content, str) else content
    hidden = [raw, raw.replace(b"\0", b"")]
    for match in _BASE64.finditer(raw):
        try:
            hidden.append(base64.b64decode(match[0]))
        except binascii.Error:
            continue
    pattern = re.compile(rb"%s\d*|%s|1901-02-03" % (SONG.encode(), BIRTH_DATE.encode()), re.IGNORECASE)
    return sorted({found.decode() for one in hidden for found in pattern.findall(one)})
