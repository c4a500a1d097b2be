"""A workitem as its manager wrote it, and what of it a performer needs (PS3.3 B.26, PS3.4 table CC.2.5-3)."""

from dataclasses import dataclass
from enum import StrEnum

from service.dicom_json import Json, element, items, sequence, text

SOP_CLASS_UID = "1.2.840.10008.5.1.4.34.6.1"
"""Unified Procedure Step - Push: the class of every workitem, however it is reached."""
GLOBAL_WORKLIST = "1.2.840.10008.5.1.4.34.5"

PATIENT = (
    "00100010", "00100020", "00100021", "00100024", "00100030", "00100040", "00101002", "00380010",
)  # fmt: skip
"""Name, ID, issuer and its qualifiers, birth date, sex, other IDs; admission ID."""
_ACCESSION = ("00080050", "00080051")
_REQUEST = ("0020000D", *_ACCESSION, "00401001", "00321060", "00321064", "00401002", "0040100A")
"""Of a request, what Request Attributes (0040,0275) hold, too: study, accession number and issuer, procedure's ID,
description and code, reason and its code (PS3.3 table 10-9)."""
_EMPTY_IN_REPORT = {
    "00080050": "SH", "00081110": "SQ", "00321060": "LO", "00321064": "SQ", "00401001": "SH", "00402016": "LO",
    "00402017": "LO",
}  # fmt: skip
"""Type 2 attributes of Referenced Request (0040,A370) in a report (PS3.3 table C.17-2)."""


class State(StrEnum):
    """Procedure Step State (PS3.4 table CC.1.1-1)."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"

    @property
    def final(self) -> bool:
        """Whether nothing comes after it."""
        return self in (State.COMPLETED, State.CANCELED)


@dataclass(frozen=True)
class Code:
    """A coded concept; two are the same whatever their meaning's words.

    Attributes:
        value: CodeValue.
        scheme: CodingSchemeDesignator.
        meaning: CodeMeaning.
    """

    value: str
    scheme: str
    meaning: str = ""

    @classmethod
    def of(cls, item: Json) -> "Code":
        """Read an item of a code sequence."""
        value = text(item, "00080100") or text(item, "00080119") or text(item, "00080120")
        return cls(value, text(item, "00080102"), text(item, "00080104"))

    @property
    def key(self) -> str:
        """What it is compared by: ``value^scheme``."""
        return f"{self.value}^{self.scheme}"

    def item(self) -> Json:
        """Return it as an item of a code sequence."""
        return {
            "00080100": element("SH", self.value),
            "00080102": element("SH", self.scheme),
            "00080104": element("LO", self.meaning or self.value),
        }


@dataclass(frozen=True)
class Input:
    """Images to work on: one item of Input Information (0040,4021). Never logged.

    Attributes:
        study_uid: StudyInstanceUID.
        series_uid: SeriesInstanceUID; empty where the whole study is meant.
        sop_uids: Instances; none where all are meant.
        retrieve_url: Where WADO-RS has them; empty where that is not said.
        ae_title: Of the PACS that has them; empty where that is not said.
    """

    study_uid: str
    series_uid: str = ""
    sop_uids: frozenset[str] = frozenset()
    retrieve_url: str = ""
    ae_title: str = ""

    @classmethod
    def of(cls, item: Json) -> "Input":
        """Read an item."""
        web, dimse = items(item, "0040E025"), items(item, "0040E021")
        named = [text(one, "00081155") for one in items(item, "00081199")]
        return cls(
            study_uid=text(item, "0020000D"),
            series_uid=text(item, "0020000E"),
            sop_uids=frozenset(uid for uid in named if uid),
            retrieve_url=text(web[0], "00081190") if web else "",
            ae_title=text(dimse[0], "00080054") if dimse else "",
        )


@dataclass(frozen=True, eq=False)
class Workitem:
    """One workitem. Never logged.

    Attributes:
        attributes: All of it, as DICOM JSON.
    """

    attributes: Json

    @property
    def uid(self) -> str:
        """SOPInstanceUID."""
        return text(self.attributes, "00080018")

    @property
    def state(self) -> str:
        """Procedure Step State."""
        return text(self.attributes, "00741000")

    @property
    def is_ready(self) -> bool:
        """Whether its input is all there."""
        return text(self.attributes, "00404041") == "READY"

    @property
    def priority(self) -> str:
        """``stat`` or ``routine``."""
        return "stat" if text(self.attributes, "00741200") == "HIGH" else "routine"

    @property
    def scheduled_for(self) -> str:
        """When it is to begin, as DICOM writes it; empty where that is not said."""
        return text(self.attributes, "00404005")

    @property
    def procedure(self) -> Code:
        """What is to be done."""
        found = items(self.attributes, "00404018")
        return Code.of(found[0]) if found else Code("", "")

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What it is to be done with."""
        return tuple(Input.of(item) for item in items(self.attributes, "00404021"))

    def codes(self, tag: str) -> list[Code]:
        """Return the codes of a sequence of it."""
        return [Code.of(item) for item in items(self.attributes, tag)]

    @property
    def organizations(self) -> list[str]:
        """Who is to do it: Human Performer's Organization of each that is named."""
        named = [text(item, "00404036") for item in items(self.attributes, "00404034")]
        return [name for name in named if name]

    def result_attributes(self) -> Json:
        """Return what results take from it before what they take from the images; what is empty stays empty.

        Source: IHE RAD AIW-I, attributes that a Task Performer copies.
        """
        own = self.attributes
        found = {tag: own[tag] for tag in PATIENT if tag in own}
        requests = items(own, "0040A370")
        if not requests:
            return found
        if len(requests) == 1:
            found |= {tag: requests[0][tag] for tag in _ACCESSION if tag in requests[0]}
        found["00400275"] = sequence([_asked(one) for one in requests])
        found["0040A370"] = sequence([{t: element(vr) for t, vr in _EMPTY_IN_REPORT.items()} | one for one in requests])
        return found


def _asked(request: Json) -> Json:
    """Return what an image says of a request; a sequence without items is left out, which images may not have there."""
    found = {tag: request[tag] for tag in _REQUEST if tag in request}
    return {tag: one for tag, one in found.items() if items(found, tag) or not _is_sequence(one)}


def _is_sequence(attribute: object) -> bool:
    return isinstance(attribute, dict) and attribute.get("vr") == "SQ"
