"""Data sets as DICOM JSON (PS3.18 F): read what a peer sent without trusting its shape, write what is sent."""

from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]
"""Attributes by tag, eight hexadecimal digits: ``{"00080018": {"vr": "UI", "Value": ["1.2.3"]}}``."""


def values(ds: object, tag: str) -> list[Any]:
    """Return the values of an attribute; none where it is absent, empty, or not written as the standard says."""
    element = ds.get(tag) if isinstance(ds, Mapping) else None
    found = element.get("Value") if isinstance(element, Mapping) else None
    return found if isinstance(found, list) else []


def text(ds: object, tag: str) -> str:
    """Return the first value as text without padding; empty where there is none."""
    found = values(ds, tag)
    return str(found[0]).strip() if found and isinstance(found[0], str | int | float) else ""


def items(ds: object, tag: str) -> list[Json]:
    """Return the items of a sequence."""
    return [item for item in values(ds, tag) if isinstance(item, dict)]


def element(vr: str, *given: object) -> Json:
    """Return an attribute; one without values is empty."""
    return {"vr": vr, "Value": list(given)} if given else {"vr": vr}


def sequence(entries: Sequence[Json]) -> Json:
    """Return a sequence."""
    return element("SQ", *entries)
