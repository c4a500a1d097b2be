"""Workitems as a task manager would make them."""

from typing import Any

from pydicom.uid import generate_uid

PROCEDURE = ("GTV", "99HOSPITAL")
STATION = ("ENTRUST", "99ENTRUST")


def code(value: str, scheme: str) -> dict[str, Any]:
    return {
        "00080100": {"vr": "SH", "Value": [value]},
        "00080102": {"vr": "SH", "Value": [scheme]},
        "00080104": {"vr": "LO", "Value": [value.lower()]},
    }


def sequence(*items: dict[str, Any]) -> dict[str, Any]:
    return {"vr": "SQ", "Value": list(items)}


def one(vr: str, *values: object) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def build_input(
    study_uid: str, *, series_uid: str = "", url: str = "", ae_title: str = "", sop_uids: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return an item of Input Information."""
    found = {"0040E020": one("CS", "DICOM"), "0020000D": one("UI", study_uid)}
    if series_uid:
        found["0020000E"] = one("UI", series_uid)
    if sop_uids:
        found["00081199"] = sequence(*({"00081155": one("UI", uid)} for uid in sop_uids))
    if url:
        found["0040E025"] = sequence({"00081190": one("UR", url)})
    if ae_title:
        found["0040E021"] = sequence({"00080054": one("AE", ae_title)})
    return found


def build_workitem(*inputs: dict[str, Any], **changes: dict[str, Any] | None) -> dict[str, Any]:
    """Return a scheduled workitem.

    Args:
        inputs: Items of Input Information; a study that nobody has by default.
        changes: Attributes by ``tXXXXXXXX``; None takes one away.
    """
    found: dict[str, Any] = {
        "00080016": one("UI", "1.2.840.10008.5.1.4.34.6.1"),
        "00080018": one("UI", generate_uid()),
        "00741000": one("CS", "SCHEDULED"),
        "00404041": one("CS", "READY"),
        "00741200": one("CS", "MEDIUM"),
        "00404018": sequence(code(*PROCEDURE)),
        "00404005": one("DT", "20300101120000"),
        "00404021": sequence(*(inputs or (build_input(generate_uid()),))),
    }
    for name, value in changes.items():
        tag = name.removeprefix("t")
        if value is None:
            found.pop(tag, None)
        else:
            found[tag] = value
    return found
