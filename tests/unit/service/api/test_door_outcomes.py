"""By whose fault a request ended: what the error panels and the objectives stand on."""

import pytest

from entrust.errors import ErrorKind
from service.api.rest.boundary import outcome_of
from service.api.rest.problems import PROBLEMS
from service.api.rpc.boundary import outcome_of as rpc_outcome_of
from service.api.rpc.problems import CODES
from service.observability.collectors import OUTCOMES


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(0, "left"), (200, "ok"), (202, "ok"), (304, "ok"), (400, "refused"), (404, "refused"), (429, "overloaded"),
     (500, "failed"), (503, "failed")],
)  # fmt: skip
def test_a_status_has_an_outcome(status: int, outcome: str) -> None:
    assert outcome_of(status) == outcome
    assert outcome in OUTCOMES


def test_failures_of_ours_are_failures_at_the_door() -> None:
    ours = {kind for kind, problem in PROBLEMS.items() if outcome_of(problem.status) == "failed"}
    assert ours == {
        ErrorKind.MODEL_UNAVAILABLE, ErrorKind.INFERENCE_FAILED, ErrorKind.DEADLINE_EXCEEDED,
        ErrorKind.DELIVERY_FAILED, ErrorKind.SOURCE_UNAVAILABLE, ErrorKind.INTERNAL,
    }  # fmt: skip


@pytest.mark.parametrize("kind", ErrorKind)
def test_both_doors_blame_the_same(kind: ErrorKind) -> None:
    rest, grpc = outcome_of(PROBLEMS[kind].status), rpc_outcome_of(CODES[kind])
    if kind is ErrorKind.CANCELLED:  # gRPC has a code for it; HTTP says that the job is gone
        assert (rest, grpc) == ("refused", "left")
    else:
        assert rest == grpc
