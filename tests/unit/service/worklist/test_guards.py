"""A workitem that names somebody else, or is not ready, or cannot be done here, is passed over, and why is said."""

import pytest
from pydicom.uid import generate_uid

from service.worklist.guards import Capabilities, Refusal, refusal
from service.worklist.workitem import Code, Input, Workitem
from tests.factories.workitems import PROCEDURE, STATION, build_input, build_workitem, code, one, sequence

OWN = Capabilities(
    station=Code(*STATION),
    procedures={"^".join(PROCEDURE): "oncology"},
    station_class="AI^99HOSPITAL",
    location="BASEMENT^99HOSPITAL",
    organization="Radiology",
)


def refused(**changes: object) -> Refusal | None:
    return refusal(Workitem(build_workitem(**changes)), OWN)  # type: ignore[arg-type]


def test_a_workitem_that_names_nobody_may_be_claimed() -> None:
    assert refused() is None


@pytest.mark.parametrize(
    ("tag", "mine", "reason"),
    [
        ("t00404025", code(*STATION), Refusal.OTHER_STATION),
        ("t00404026", code("AI", "99HOSPITAL"), Refusal.OTHER_CLASS),
        ("t00404027", code("BASEMENT", "99HOSPITAL"), Refusal.OTHER_LOCATION),
        ("t00404034", {"00404036": one("LO", "Radiology")}, Refusal.OTHER_ORGANIZATION),
    ],
)
def test_whom_a_workitem_names(tag: str, mine: dict[str, object], reason: Refusal) -> None:
    other = {"00404036": one("LO", "Surgery")} if tag == "t00404034" else code("OTHER", "99HOSPITAL")
    assert refused(**{tag: sequence(mine)}) is None
    assert refused(**{tag: sequence(other)}) is reason
    assert refused(**{tag: sequence(other, mine)}) is None
    assert refused(**{tag: one("SQ")}) is None


def test_the_same_value_of_another_scheme_is_another_name() -> None:
    assert refused(t00404025=sequence(code(STATION[0], "99ELSEWHERE"))) is Refusal.OTHER_STATION
    assert refused(t00404018=sequence(code(PROCEDURE[0], "99ELSEWHERE"))) is Refusal.OTHER_PROCEDURE


def test_a_performer_without_a_class_takes_none_that_names_one() -> None:
    own = Capabilities(station=Code(*STATION), procedures=OWN.procedures)
    item = Workitem(build_workitem(t00404026=sequence(code("AI", "99HOSPITAL"))))
    assert refusal(item, own) is Refusal.OTHER_CLASS


@pytest.mark.parametrize("readiness", ["INCOMPLETE", "UNAVAILABLE", "ready", ""])
def test_input_that_is_not_ready(readiness: str) -> None:
    assert refused(t00404041=one("CS", readiness)) is Refusal.NOT_READY
    assert refused(t00404041=None) is Refusal.NOT_READY


@pytest.mark.parametrize("state", ["IN PROGRESS", "COMPLETED", "CANCELED", ""])
def test_only_scheduled_ones_may_be_claimed(state: str) -> None:
    assert refused(t00741000=one("CS", state)) is Refusal.NOT_SCHEDULED


def test_a_procedure_that_is_not_done_here() -> None:
    assert refused(t00404018=sequence(code("CAC", "99HOSPITAL"))) is Refusal.OTHER_PROCEDURE
    assert refused(t00404018=None) is Refusal.OTHER_PROCEDURE


def test_input_must_be_one_study() -> None:
    assert refused(t00404021=None) is Refusal.NO_INPUT
    assert refused(t00404021=sequence(build_input("no uid"))) is Refusal.NO_INPUT
    assert refused(t00404021=sequence(build_input("1.2\\1.3"))) is Refusal.NO_INPUT
    two = sequence(build_input(generate_uid()), build_input(generate_uid()))
    assert refused(t00404021=two) is Refusal.NO_INPUT
    study = generate_uid()
    series = [build_input(study, series_uid=generate_uid()) for _ in range(2)]
    assert refused(t00404021=sequence(*series)) is None


def test_input_must_come_from_a_known_source() -> None:
    item = Workitem(build_workitem(build_input(generate_uid(), url="https://elsewhere/studies/1.2")))
    seen: list[Input] = []

    def knows(wanted: Input) -> bool:
        seen.append(wanted)
        return False

    assert refusal(item, OWN, knows_source=knows) is Refusal.UNKNOWN_SOURCE
    assert seen[0].retrieve_url == "https://elsewhere/studies/1.2"


@pytest.mark.parametrize("nonsense", [None, 7, "text", [], {"Value": "text"}, {"vr": "SQ", "Value": [None, 3]}])
def test_attributes_of_any_shape_are_no_reason_to_fail(nonsense: object) -> None:
    for tag in ("00404018", "00404021", "00404025", "00404034", "00741000", "00080018"):
        refusal(Workitem(build_workitem() | {tag: nonsense}), OWN)
