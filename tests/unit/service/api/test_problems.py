"""The table of problems is total, documented, and honest about its statuses."""

import re
from pathlib import Path

import pytest

from entrust.errors import EnTrustError, ErrorKind, GeometryConflictError, OverloadedError
from service.__main__ import EXIT_CODES
from service.api.rest.problems import MEDIA_TYPE, PROBLEMS, problem_of, respond

DOCUMENT = Path(__file__).resolve().parents[4] / "docs" / "problems.md"
ROWS = {
    m[1]: (int(m[2]), int(m[3]))
    for m in re.finditer(r"^\| `([a-z-]+)` \| (\d{3}) \| `[A-Z_]+` \| (\d+) \|", DOCUMENT.read_text(), re.MULTILINE)
}


def test_every_kind_is_in_every_table() -> None:
    kinds = set(ErrorKind)
    assert set(PROBLEMS) == kinds
    assert set(EXIT_CODES) == kinds
    assert set(ROWS) == {kind.value for kind in kinds}


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_the_document_says_what_is_done(kind: ErrorKind) -> None:
    assert ROWS[kind.value] == (PROBLEMS[kind].status, EXIT_CODES[kind])


def test_every_error_class_has_its_own_kind() -> None:
    kinds = [cls.kind for cls in EnTrustError.__subclasses__()]
    assert sorted(kinds) == sorted(ErrorKind)


def test_only_defects_are_internal_server_errors() -> None:
    assert [kind for kind, known in PROBLEMS.items() if known.status == 500] == [ErrorKind.INTERNAL]


def test_a_problem_says_cause_and_fix() -> None:
    error = GeometryConflictError("Two frames of reference.", fix="Register them.", details={"frames": 2})
    problem = problem_of(error, "abc")
    assert problem.model_dump() == {
        "type": "/problems/geometry-conflict",
        "title": PROBLEMS[error.kind].title,
        "status": 422,
        "detail": "Two frames of reference.",
        "fix": "Register them.",
        "details": {"frames": 2},
        "request_id": "abc",
        "trace_id": "",
    }


def test_overload_says_when_to_come_back() -> None:
    response = respond(problem_of(OverloadedError("Full.", retry_after_seconds=0.2)))
    assert response.status_code == 429
    assert response.headers["Retry-After"] == "1"
    assert response.headers["Content-Type"] == MEDIA_TYPE
