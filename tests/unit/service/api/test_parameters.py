"""Parameters: all faults are named at once, and nothing that was sent is repeated."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrust.errors import EnTrustError, InvalidInputError, NotFoundError
from service.api.rest.parameters import FIELDS, read_parameters
from service.encode import Extra
from service.intake.parameters import ParameterLimits

LIMITS = ParameterLimits(max_hypotheses=16, max_steps=32, max_duration_seconds=60.0)


def test_defaults() -> None:
    parameters = read_parameters({"task": "oncology"}, LIMITS)
    assert parameters.seed == 0
    assert parameters.num_hypotheses is None
    assert not parameters.wait


def test_text_is_read() -> None:
    given_text = {
        "task": "oncology", "num_hypotheses": "4", "num_steps": "2", "seed": "7", "wait": "true",
        "sampler": "dpm++2m", "priority": "stat", "deadline_seconds": "12.5",
    }  # fmt: skip
    parameters = read_parameters(given_text, LIMITS)
    assert (parameters.num_hypotheses, parameters.num_steps, parameters.seed) == (4, 2, 7)
    assert parameters.wait
    assert parameters.deadline_seconds == 12.5


@pytest.mark.parametrize("text", ["rtstruct,labelmap", " labelmap , rtstruct,rtstruct,"])
def test_extra_results_are_a_list_in_one_order(text: str) -> None:
    parameters = read_parameters({"task": "oncology", "extra_results": text}, LIMITS)
    assert parameters.extra_results == (Extra.LABELMAP, Extra.STRUCTURES)


@pytest.mark.parametrize("text", ['{"ct": "2", "pet": "3"}', "ct=2,pet=3", " ct = 2 , pet = 3 "])
def test_an_assignment_is_json_or_pairs(text: str) -> None:
    assert read_parameters({"task": "oncology", "assignment": text}, LIMITS).assignment == {"ct": "2", "pet": "3"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_hypotheses", "0"), ("num_hypotheses", "17"), ("num_hypotheses", "many"), ("num_steps", "-1"),
        ("num_steps", "33"), ("seed", "-1"), ("seed", str(2**63)), ("seed", "1.5"), 
        ("priority", "vip"), ("deadline_seconds", "nan"), ("deadline_seconds", "inf"), ("deadline_seconds", "61"),
        ("wait", "maybe"), ("assignment", "{broken"), ("assignment", '["ct"]'), ("extra_results", "hologram"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_parameters({"task": "oncology", name: value}, LIMITS)
    assert name in caught.value.message


def test_unknown_names_are_refused_and_not_repeated() -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_parameters({"task": "oncology", "DOE^JANE": "DOE^JANE"}, LIMITS)
    assert "DOE" not in str(caught.value)


def test_a_task_may_be_left_to_the_study_and_must_exist_where_it_is_named() -> None:
    assert read_parameters({}, LIMITS).task == ""
    with pytest.raises(NotFoundError):
        read_parameters({"task": "everything"}, LIMITS)


@given(st.dictionaries(st.sampled_from(sorted(FIELDS)) | st.text(), st.text()))
def test_any_text_is_read_or_refused(values: dict[str, str]) -> None:
    with contextlib.suppress(EnTrustError):
        read_parameters({"task": "oncology", **values}, LIMITS)
