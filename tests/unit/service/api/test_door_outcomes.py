"""By whose fault a request ended: what the error panels and the objectives stand on."""

import pytest

from entrust.errors import ErrorKind
from service.api.rest.boundary import outcome_of
from service.api.rest.problems import PROBLEMS
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
        ErrorKind.DELIVERY_FAILED, ErrorKind.INTERNAL,
    }  # fmt: skip
