"""What is wanted from a PACS, what it has of that, and what became of each instance."""

import re
from dataclasses import dataclass
from enum import StrEnum

from entrust.errors import InvalidInputError

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_ACCESSION_NUMBER = re.compile(r"[^\\*?\x00-\x1f\x7f]{1,16}")
"""VR SH without wildcards: they would match studies that nobody asked for (PS3.4 C.2.2.2.4)."""
_MODALITY = re.compile(r"[A-Z0-9_ ]{1,16}")


class Reason(StrEnum):
    """Why an instance did not come."""

    NOT_SENT = "not-sent"
    NOT_THERE = "not-there"
    SOP_CLASS_REFUSED = "sop-class-refused"
    NOT_AS_ASKED = "not-as-asked"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too-large"
    ANOTHER_KEPT = "another-kept"
    NO_ROOM = "no-room"
    SOURCE_FAILED = "source-failed"


@dataclass(frozen=True)
class Wanted:
    """One study, or a part of it.

    Attributes:
        study_uid: StudyInstanceUID; empty where the accession number says which study.
        accession_number: AccessionNumber; empty where the UID says which study.
        series_uids: These series alone; all when empty.
        modalities: Series of these values of (0008,0060) alone; all when empty.
        sop_uids: These instances alone; all when empty.
    """

    study_uid: str = ""
    accession_number: str = ""
    series_uids: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    sop_uids: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not self.study_uid and not self.accession_number:
            raise InvalidInputError(
                "Nothing says which study is wanted.", fix="Name a StudyInstanceUID or an AccessionNumber."
            )
        uids = [uid for uid in (self.study_uid, *self.series_uids, *self.sop_uids) if uid]
        if not all(is_uid(uid) for uid in uids):
            raise InvalidInputError("A UID is not written as PS3.5 9.1 says.", fix="Send digits and dots, 64 at most.")
        if self.accession_number and not _ACCESSION_NUMBER.fullmatch(self.accession_number):
            raise InvalidInputError(
                "The accession number cannot be one.", fix="Send up to 16 characters, without wildcards."
            )
        if not all(_MODALITY.fullmatch(modality) for modality in self.modalities):
            raise InvalidInputError("A modality cannot be one.", fix="Send values of (0008,0060), such as CT.")


@dataclass(frozen=True)
class Found:
    """An instance that a source has.

    Attributes:
        study_uid: StudyInstanceUID.
        series_uid: SeriesInstanceUID.
        sop_uid: SOPInstanceUID.
        sop_class_uid: SOPClassUID; empty where the source does not say.
    """

    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class_uid: str = ""


@dataclass(frozen=True)
class Failure:
    """An instance that did not come. Never logged.

    Attributes:
        sop_uid: SOPInstanceUID; empty where what came could not even be read.
        reason: Why.
    """

    sop_uid: str
    reason: Reason


@dataclass(frozen=True)
class Report:
    """What became of a retrieval.

    Attributes:
        study_uid: StudyInstanceUID. Never logged.
        found: Instances that the source has of what is wanted.
        present: Those that the archive held before.
        retrieved: Those that came now.
        failures: Those that did not come.
    """

    study_uid: str
    found: int
    present: int
    retrieved: int
    failures: tuple[Failure, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the archive holds all of it now."""
        return self.present + self.retrieved == self.found


def is_uid(text: str) -> bool:
    """Tell whether a text is a UID (PS3.5 9.1)."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None
