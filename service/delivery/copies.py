"""What a receiver gives back is compared with what it was sent, whatever way it came."""

from io import BytesIO

from pydicom import dcmread
from pydicom.dataset import Dataset

from service.delivery.instances import InstanceRef
from service.delivery.outcomes import NO_SUCH_INSTANCE, STORED, Outcome, Verdict, words_for
from service.ingest.headers import PARSE_FAILURES, deviations

_RECEIVERS_OWN = frozenset(
    {
        "SpecificCharacterSet", "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex",
        "PatientAge", "PatientSize", "PatientWeight", "OtherPatientIDs", "OtherPatientIDsSequence", "AccessionNumber",
        "IssuerOfAccessionNumberSequence", "StudyDate", "StudyTime", "StudyID", "StudyDescription",
        "ReferringPhysicianName", "InstanceCreationDate", "InstanceCreationTime", "TimezoneOffsetFromUTC",
    }
)  # fmt: skip
"""What a receiver may put right by what it knows of the patient and the study (PS3.4 B.4.1.3)."""
MISSING = Outcome(Verdict.POSTPONED, words_for(NO_SUCH_INSTANCE))
"""A receiver that does not have an instance may have it in a moment."""
_NAMED = 5


def compare_copy(ref: InstanceRef, copy: BytesIO | Dataset) -> Outcome:
    """Compare an instance with its copy.

    Args:
        ref: The instance.
        copy: A file in the DICOM File Format, or a data set; uncompressed.
    """
    try:
        with deviations():
            found = differences(dcmread(ref.path), copy if isinstance(copy, Dataset) else dcmread(copy))
    except PARSE_FAILURES:
        return Outcome(Verdict.REFUSED, "what came back cannot be read")
    if found:
        return Outcome(Verdict.REFUSED, f"what came back differs in {', '.join(found[:_NAMED])}")
    return STORED


def differences(ours: Dataset, theirs: Dataset) -> list[str]:
    """Return the keywords of attributes that a copy does not have as the original has them.

    What a receiver adds is not looked at, nor what it may put right. Pixels are compared byte by byte.

    Args:
        ours: The original.
        theirs: The copy.
    """
    return [
        element.keyword or "a private attribute"
        for element in ours
        if element.keyword not in _RECEIVERS_OWN
        and (element.tag not in theirs or not _same(element.value, theirs[element.tag].value))
    ]


def _even(value: bytes) -> bytes:
    return value + b"\0" * (len(value) % 2)  # as it is written (PS3.5 7.1.1)


def _same(ours: object, theirs: object) -> bool:
    if isinstance(ours, bytes) and isinstance(theirs, bytes):
        return _even(ours) == _even(theirs)
    return ours == theirs or (ours in (None, "") and theirs in (None, ""))
