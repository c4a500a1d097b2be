"""The table of gRPC codes is total, documented, and carried by standard details."""

import re
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2

from entrust.errors import ErrorKind, OverloadedError
from service.api.rest.problems import PROBLEMS
from service.api.rpc.problems import CODES, status_of
from service.jobs.job import Failure

DOCUMENT = Path(__file__).resolve().parents[4] / "docs" / "problems.md"
ROWS = dict(re.findall(r"^\| `([a-z-]+)` \| \d{3} \| `([A-Z_]+)` \|", DOCUMENT.read_text(), re.MULTILINE))


def test_every_kind_is_in_the_table_and_in_the_document() -> None:
    assert set(CODES) == set(ErrorKind)
    assert {kind.value: code.name for kind, code in CODES.items()} == ROWS


def test_the_faces_agree_on_whose_fault_it_is() -> None:
    callers = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED, grpc.StatusCode.INTERNAL}
    for kind, code in CODES.items():
        if code in callers:
            assert PROBLEMS[kind].status >= 500
    assert [kind for kind, code in CODES.items() if code is grpc.StatusCode.INTERNAL] == [ErrorKind.INTERNAL]
    assert [kind for kind, code in CODES.items() if code is grpc.StatusCode.RESOURCE_EXHAUSTED] == [
        ErrorKind.OVERLOADED
    ]


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_every_status_has_standard_details(kind: ErrorKind) -> None:
    status = status_of(Failure(kind, "Cause.", "Fix.", {"limit": 3, "share": 0.5}), "abc")
    assert (status.code, status.message) == (CODES[kind].value[0], "Cause.")
    info, message, asked = (
        error_details_pb2.ErrorInfo(), error_details_pb2.LocalizedMessage(), error_details_pb2.RequestInfo(),
    )  # fmt: skip
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain) == (kind.name, "entrust")
    assert dict(info.metadata) == {"kind": kind.value, "limit": "3", "share": "0.5"}
    assert status.details[1].Unpack(message)
    assert message.message == "Cause. Fix."
    assert status.details[-1].Unpack(asked)
    assert asked.request_id == "abc"


def test_overload_says_when_to_come_back() -> None:
    status = status_of(Failure.of(OverloadedError("Full.", retry_after_seconds=2.5)))
    retry = error_details_pb2.RetryInfo()
    assert any(packed.Unpack(retry) for packed in status.details)
    assert retry.retry_delay.ToMilliseconds() == 2500
