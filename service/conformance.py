"""Write the tables of the DICOM conformance statement from the code that they are about.

``python -m service.conformance`` puts them between the marks of ``docs/conformance.md``; the words around them are the
document's own.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from pydicom.uid import UID

from service.api.dicomweb.retrieve import EXPLICIT_LITTLE_ENDIAN
from service.archive import Level
from service.archive.frames import MEDIA_TYPES, OCTET_STREAM
from service.archive.levels import ATTRIBUTES
from service.archive.status import STATUSES, SUCCESS
from service.audit.message import EVENT_IDS, EVENT_TYPES
from service.ingest.dicom import VOLUME_CLASSES
from service.ingest.pixels import SOUND_SYNTAXES

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "conformance.md"


def _table(head: str, rows: Iterable[tuple[str, ...]]) -> str:
    columns = head.count("|") + 1
    lines = [f"| {head} |", "|" + "---|" * columns, *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)


def _named(uid: str) -> tuple[str, str]:
    return UID(uid).name, f"`{uid}`"


def _input_classes() -> str:
    rows = ((*_named(uid), modality) for uid, modality in VOLUME_CLASSES.items())
    return _table("SOP class | UID | read as", rows)


def _input_syntaxes() -> str:
    return _table("transfer syntax | UID | pixels", ((*_named(uid), kind) for uid, kind in SOUND_SYNTAXES.items()))


def _frame_types() -> str:
    rows = [("uncompressed, and everything that is decoded", f"`{EXPLICIT_LITTLE_ENDIAN}`", OCTET_STREAM)]
    rows += [(*_named(uid), media_type) for uid, media_type in MEDIA_TYPES.items()]
    return _table("frames stored as | UID | retrieved as", rows)


def _attributes() -> str:
    rows = [
        (
            level.value,
            attribute.keyword,
            f"({attribute.tag[:4]},{attribute.tag[4:]})",
            "yes" if attribute.matched else "no",
            "always" if attribute.returned else "on request",
        )
        for level in Level
        for attribute in ATTRIBUTES
        if attribute.level is level
    ]
    return _table("level | attribute | tag | matched | returned", rows)


def _statuses() -> str:
    rows = [(f"{SUCCESS:04X}", "kept, or there already")]
    by_code: dict[int, list[str]] = {}
    for kind, code in STATUSES.items():
        by_code.setdefault(code, []).append(f"`{kind.value}`")
    rows += [(f"{code:04X}", ", ".join(kinds)) for code, kinds in sorted(by_code.items())]
    return _table("status, failure reason | kinds of error ([problems.md](problems.md))", rows)


def _audit_messages() -> str:
    rows = []
    for what, (code, scheme, meaning) in EVENT_IDS.items():
        kind = EVENT_TYPES.get(what)
        rows.append((what.value, f"({code}, {scheme}, {meaning})", f"({', '.join(kind)})" if kind else ""))
    return _table("event | EventID | EventTypeCode", rows)


TABLES = {
    "input-classes": _input_classes,
    "input-syntaxes": _input_syntaxes,
    "frame-types": _frame_types,
    "attributes": _attributes,
    "statuses": _statuses,
    "audit-messages": _audit_messages,
}
"""The tables by the names of their marks."""


def rewrite(text: str) -> str:
    """Return the document with its tables made anew.

    Raises:
        ValueError: A table has no place, or a place no table.
    """
    marks = re.findall(r"<!-- table: ([a-z-]+) -->", text)
    if sorted(marks) != sorted(TABLES):
        raise ValueError("the document's marks are not the tables")

    def fill(match: re.Match[str]) -> str:
        return f"<!-- table: {match[1]} -->\n{TABLES[match[1]]()}\n<!-- end -->"

    return re.sub(r"<!-- table: ([a-z-]+) -->\n.*?<!-- end -->", fill, text, flags=re.DOTALL)


if __name__ == "__main__":
    DOCUMENT.write_text(rewrite(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
