"""The conformance statement says what the code does, and every pain point is held by a test that there is."""

import ast
import re
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import UID

from service.audit import What
from service.audit.message import EVENT_IDS
from service.conformance import DOCUMENT, rewrite
from service.encode import Extra
from tests.factories.dicom_cases import encode_case, read_case, usual_grids, write_study

ROOT = Path(__file__).resolve().parents[2]
CREATED = re.compile(r"^\| (`[^|]+\.dcm`) \| ([^|]+) \| `([\d.]+)` \| `([\d.]+)` \|$", re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_the_tables_are_current() -> None:
    assert DOCUMENT.read_text() == rewrite(DOCUMENT.read_text()), "run `make conformance`"


def test_a_table_without_a_place_is_noticed() -> None:
    with pytest.raises(ValueError, match="marks"):
        rewrite(DOCUMENT.read_text().replace("<!-- table: statuses -->", ""))


def test_what_is_created_is_what_is_stated(tmp_path: Path) -> None:
    """Every object that the gateway makes, made and read back."""
    write_study(tmp_path, usual_grids())
    made = {}
    for name, content in encode_case(read_case(tmp_path), extras=tuple(Extra)).items():
        meta = dcmread(BytesIO(content)).file_meta
        made[re.sub(r"_(ct|pet|t1)\b", "_…", name)] = (meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID)
    stated = {}
    for names, title, sop_class, syntax in CREATED.findall(DOCUMENT.read_text()):
        assert UID(sop_class).name in (title, sop_class), "pydicom does not know the youngest"
        for name in re.findall(r"`([^`]+)`", names):
            stated[name] = (sop_class, syntax)
    assert made == stated


def test_every_event_of_the_audit_trail_is_documented() -> None:
    audit = (ROOT / "docs" / "audit.md").read_text()
    for what in What:
        assert what is What.HOP or (f"`{what.value}`" in audit and what in EVENT_IDS), what


def test_every_pain_point_is_held_by_tests_that_exist() -> None:
    rows = [line for line in (ROOT / "docs" / "pain-points.md").read_text().splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 15
    for row in rows:
        named = TEST.findall(row)
        assert named, f"no test for: {row.split('|')[1]}"
        for path, test in named:
            tree = ast.parse((ROOT / path).read_text())
            functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
            assert test in functions, f"{path}::{test}"
