"""What a performer writes into a workitem: progress, results, and why there are none (PS3.4 table CC.2.5-3)."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from entrust.errors import ErrorKind
from service.dicom_json import Json, element, sequence
from service.studies.record import Step
from service.worklist.studies import ResultInstance
from service.worklist.workitem import Code

MAX_REASON_CHARACTERS = 1024
"""Of Reason for Cancellation (0074,1238), VR LT."""
DISCONTINUED = Code("110513", "DCM", "Discontinued for unspecified reason")
_FAILED = Code("110501", "DCM", "Equipment failure")
_INCOMPLETE = Code("110523", "DCM", "Object Set incomplete")
_INADEQUATE = Code("110527", "DCM", "Resource inadequate")
REASONS: Mapping[ErrorKind, Code] = {
    ErrorKind.INVALID_INPUT: Code("110521", "DCM", "Objects incorrectly formatted"),
    ErrorKind.GEOMETRY_CONFLICT: Code("110521", "DCM", "Objects incorrectly formatted"),
    ErrorKind.UNSUPPORTED_MEDIA: Code("110522", "DCM", "Object Types not supported"),
    ErrorKind.MISSING_MODALITY: _INCOMPLETE,
    ErrorKind.NOT_FOUND: _INCOMPLETE,
    ErrorKind.CONFLICT: _INCOMPLETE,
    ErrorKind.SOURCE_UNAVAILABLE: _INCOMPLETE,
    ErrorKind.TOO_LARGE: _INADEQUATE,
    ErrorKind.OVERLOADED: _INADEQUATE,
    ErrorKind.DEADLINE_EXCEEDED: _INADEQUATE,
    ErrorKind.CANCELLED: DISCONTINUED,
}
"""Discontinuation reasons of CID 9300; every other kind is a failure of this equipment."""


STEPS: Mapping[str, tuple[int, str]] = {
    Step.RECEIVE: (25, "segmenting"),
    Step.SELECT: (30, "segmenting"),
    Step.INFER: (35, "segmenting"),
    Step.ENCODE: (75, "writing results"),
    Step.KEEP: (85, "writing results"),
    Step.DELIVER: (90, "delivering results"),
    Step.CONFIRM: (95, "delivering results"),
}
"""How far the work is when a step of the study begins, in percent and in words."""


def progress(percent: int, description: str) -> Json:
    """Return an update that says how far the work is.

    Args:
        percent: 0 to 100.
        description: What is being done, in a few words.
    """
    return {"00741002": sequence([{"00741004": element("DS", percent), "00741006": element("ST", description)}])}


def performed(
    station: Code, procedure: Code, began: datetime, ended: datetime, results: Iterable[ResultInstance], root: str
) -> Json:
    """Return the update that must precede COMPLETED: who did what, when, and every instance that was made.

    Args:
        station: This performer.
        procedure: What was done.
        began: When the work began.
        ended: When it ended.
        results: What was made.
        root: Where WADO-RS has it.
    """
    by_series: dict[tuple[str, str], list[ResultInstance]] = {}
    for one in results:
        by_series.setdefault((one.study_uid, one.series_uid), []).append(one)
    step = {
        "00404028": sequence([station.item()]),
        "00404019": sequence([procedure.item()]),
        "00404050": element("DT", moment(began)),
        "00404051": element("DT", moment(ended)),
        "00404033": sequence([_output(study, series, made, root) for (study, series), made in by_series.items()]),
    }
    return {**progress(100, "done"), "00741216": sequence([step])}


def discontinued(kind: ErrorKind | None, reason: str, now: datetime) -> Json:
    """Return the update that must precede CANCELED: when and why.

    Args:
        kind: Kind of the error.
        reason: The cause in words, free of patient data.
        now: The time.
    """
    code = REASONS.get(kind, _FAILED) if kind else DISCONTINUED
    item = {
        "00404052": element("DT", moment(now)),
        "00741238": element("LT", reason[:MAX_REASON_CHARACTERS]),
        "0074100E": sequence([code.item()]),
    }
    return {"00741002": sequence([item])}


def moment(time: datetime) -> str:
    """Return a time as VR DT, with its offset from UTC."""
    return time.astimezone(UTC).strftime("%Y%m%d%H%M%S.%f+0000")


def _output(study_uid: str, series_uid: str, made: list[ResultInstance], root: str) -> Json:
    """Return one item of Output Information: a series, its instances, and where they are (PS3.3 table 10-3)."""
    references = [
        {"00081150": element("UI", one.sop_class_uid), "00081155": element("UI", one.sop_uid)} for one in made
    ]
    return {
        "0040E020": element("CS", "DICOM"),
        "0020000D": element("UI", study_uid),
        "0020000E": element("UI", series_uid),
        "00081199": sequence(references),
        "0040E025": sequence([{"00081190": element("UR", f"{root}/studies/{study_uid}/series/{series_uid}")}]),
    }
