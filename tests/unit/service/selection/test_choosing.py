"""Which task, who plays what, who is left out, and that the explanation says so without a word about the patient."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrust.errors import GeometryConflictError, InvalidInputError, UnsupportedMediaError
from service.selection import Explanation, Rules, Selection, default_rules, select
from service.selection.guard import MANUFACTURER, PRODUCT
from service.study import SeriesHeader, Study
from tests.factories.rules_files import BOTH_TASKS, TASKS, excluding, parse, with_oncology
from tests.factories.selections import header

HEAD = {"BodyPartExamined": "BRAIN"}


def choose(*series: SeriesHeader, rules: Rules | None = None, task: str = "", **assignment: str) -> Selection:
    return select(series, rules or parse(BOTH_TASKS), TASKS, task=task, assignment=assignment)


def ct_rules(role: str) -> Rules:
    return parse(f"version: 1\ntasks:\n  - task: oncology\n    roles:\n      ct: {role}\n      pet: {{}}\n")


def states(selection: Selection) -> list[str]:
    return [series.state for series in selection.explanation.series]


def test_the_first_task_that_fits_is_chosen() -> None:
    t1c, flair = header("MR", 1, "AX T1 GD", **HEAD), header("MR", 2, "FLAIR", **HEAD)
    brain = choose(t1c, flair)
    assert (brain.task, dict(brain.chosen)) == ("brain", {"t1c": 0, "flair": 1})
    assert brain.required == {"t1c", "flair"}
    assert [task.chosen for task in brain.explanation.tasks] == [True, False]
    assert brain.explanation.tasks[1].reason == "An earlier task fits."


def test_a_task_lacks_what_it_requires_and_the_next_is_tried() -> None:
    found = choose(header("MR", 1, "AX T1 GD", **HEAD))
    assert (found.task, dict(found.chosen)) == ("oncology", {"t1": 0})
    assert found.explanation.tasks[0].reason == "Required and not there: flair."


def test_a_task_asks_for_one_series_that_meets_it_all() -> None:
    found = choose(header("MR", 1, "AX T1 GD"), header("MR", 2, "FLAIR"))
    assert found.task == "oncology"
    assert found.explanation.tasks[0].reason == "No series meets what the task asks of a study."
    (when, *_) = [rule for rule in found.explanation.series[0].rules if rule.rule == "brain: when"]
    assert (when.met, when.checks[0].saw) == (False, "absent")


def test_nothing_fits() -> None:
    found = choose(header("MR", 1, "AX T2"))
    assert (found.task, dict(found.chosen), states(found)) == (None, {}, ["unmatched"])
    assert choose().task is None


def test_an_asked_task_is_not_left_for_another_and_says_what_is_missing_later() -> None:
    found = choose(header("MR", 1, "AX T1 GD", **HEAD), task="brain")
    assert (found.task, dict(found.chosen), found.required) == ("brain", {"t1c": 0}, {"t1c", "flair"})


def test_preferences_decide_in_their_order_and_say_which() -> None:
    rules = ct_rules("{prefer: [{tag: ImageType, contains_none: [DERIVED]}, {smallest: slice_spacing_mm}]}")
    thick, thin = header("CT", 1, spacing_mm=5.0), header("CT", 2, spacing_mm=1.0)
    derived = header("CT", 3, spacing_mm=0.5, ImageType=("DERIVED", "PRIMARY"))
    found = choose(thick, thin, derived, rules=rules)
    assert (dict(found.chosen), states(found)) == ({"ct": 1}, ["passed-over", "taken", "passed-over"])
    reasons = [series.reason for series in found.explanation.series]
    assert reasons[0] == "Another series has less slice_spacing_mm (line 5)."
    assert reasons[2] == "Another series is preferred (line 5): ImageType has none of DERIVED."


@pytest.mark.parametrize(
    ("preference", "number"),
    [("largest: images", 2), ("smallest: images", 1), ("largest: KVP", 3), ("smallest: KVP", 1)],
)
def test_largest_and_smallest(preference: str, number: int) -> None:
    series = (
        header("CT", 1, images=10, KVP=80.0), header("CT", 2, images=30), header("CT", 3, images=20, KVP=140.0)
    )  # fmt: skip
    assert dict(choose(*series, rules=ct_rules(f"{{prefer: [{{{preference}}}]}}")).chosen) == {"ct": number - 1}


def test_a_tie_is_refused_or_broken_by_number() -> None:
    series = (header("CT", 7, "b"), header("CT", 3, "a"), header("CT", 3, "c"))
    refused = choose(*series, rules=ct_rules("{}"), task="oncology")
    with pytest.raises(InvalidInputError, match="3 series can equally well be the CT: series 7"):
        refused.cast(Study("dicom", "", ()))
    assert states(refused) == ["passed-over"] * 3
    (role, *_) = refused.explanation.tasks[0].roles
    assert role.problem is not None
    assert "equally well" in role.problem.reason
    assert choose(*series, rules=ct_rules("{}")).task is None

    first = choose(*series, rules=ct_rules("{on_tie: first}"))
    assert dict(first.chosen) == {"ct": 1}
    assert [w.code for w in first.warnings] == ["role-by-series-number"]
    assert dict(choose(*reversed(series), rules=ct_rules("{on_tie: first}")).chosen) == {"ct": 1}


def test_a_tie_is_broken_by_the_others_frame_of_reference_first() -> None:
    series = (header("CT", 1, frame="A"), header("CT", 2, frame="B"), header("PT", 3, frame="B"))
    found = choose(*series, rules=ct_rules("{on_tie: first}"))
    assert dict(found.chosen) == {"ct": 1, "pet": 2}
    assert [w.code for w in found.warnings] == ["role-by-frame-of-reference"]


def test_a_series_plays_one_role() -> None:
    rules = parse("version: 1\ntasks: [{task: brain, roles: {t1: {}, t1c: {}}}]")
    found = choose(header("MR", 1, "T1"), rules=rules)
    assert dict(found.chosen) == {"t1": 0}


def test_what_the_caller_named_is_not_given_to_an_earlier_role() -> None:
    rules = parse("version: 1\ntasks: [{task: brain, roles: {t1: {}, t1c: {}, flair: {}}}]")
    found = choose(header("MR", 1, "T1"), rules=rules, task="brain", flair="1")
    assert dict(found.chosen) == {"flair": 0}


def test_two_ties_do_not_take_the_same_series() -> None:
    rules = parse("version: 1\ntasks: [{task: brain, roles: {t1: {on_tie: first}, t1c: {on_tie: first}, flair: {}}}]")
    found = choose(header("MR", 1), header("MR", 2), rules=rules)
    assert dict(found.chosen) == {"t1": 0, "t1c": 1}


@pytest.mark.parametrize(
    ("condition", "tags"),
    [
        ("{tag: PatientName, regex: '(?i)^(qa|phantom)'}", {"PatientName": "QA^Daily"}),
        ("{tag: SOPInstanceUID, regex: '^1[.]2[.]3[.]'}", {"SOPInstanceUID": "1.2.3.4"}),
        ("{tag: SeriesDescription, regex: '^AI result'}", {"SeriesDescription": "AI result 3"}),
        ("{tag: ImageType, contains_any: [DERIVED]}", {"ImageType": ("DERIVED", "SECONDARY")}),
    ],
)
def test_an_exclusion_bars_a_series_and_says_why(condition: str, tags: dict[str, str]) -> None:
    barred, other = header("CT", 1, **{"description": "", **tags}), header("CT", 2)
    found = choose(barred, other, rules=excluding(condition))
    assert (dict(found.chosen), states(found)) == ({"ct": 1}, ["excluded", "taken"])
    outcome = found.explanation.series[0]
    assert outcome.reason == "It is a test."
    assert outcome.rules[0].rule == "exclude test"
    text = found.explanation.model_dump_json()
    assert "Daily" not in text
    assert "phantom" not in text, "the file itself may hold a name"


def test_our_own_results_are_never_an_input_whatever_the_file_says() -> None:
    own = header("CT", 1, Manufacturer=MANUFACTURER, ManufacturerModelName=PRODUCT)
    for rules in (parse(BOTH_TASKS), default_rules()):
        found = choose(own, rules=rules)
        assert (found.task, states(found)) == (None, ["excluded"])
        assert found.explanation.series[0].rules[0].rule == "exclude own-results"
    phantom = header("CT", 1, Manufacturer="EnTrust Serve", ManufacturerModelName="Limb phantom")
    assert choose(phantom, rules=default_rules()).task == "oncology"


def test_the_caller_may_name_what_an_exclusion_bars() -> None:
    found = choose(header("CT", 1), header("CT", 2), rules=excluding("{tag: SeriesNumber, equals: 1}"), ct="1")
    assert dict(found.chosen) == {"ct": 0}
    assert states(found) == ["taken", "unmatched"]


def test_what_is_no_volume_is_told_with_its_kind_and_fix() -> None:
    tilted = GeometryConflictError("The stack leans.", fix="Send it without gantry tilt.")
    found = choose(header("CT", 1, refused=tilted), header("CT", 2))
    assert states(found) == ["refused", "taken"]
    refusal = found.explanation.series[0].refusal
    assert refusal is not None
    assert (refusal.kind, refusal.reason, refusal.fix) == ("geometry-conflict", tilted.message, tilted.fix)


@pytest.mark.parametrize(
    ("tags", "priority"),
    [
        ({"RequestedProcedurePriority": "STAT"}, "stat"),
        ({"RequestedProcedurePriority": "HIGH "}, "stat"),
        ({"StudyPriorityID": "HIGH"}, "stat"),
        ({"ScheduledProcedureStepPriority": "HIGH"}, "stat"),
        ({"RequestedProcedurePriority": "ROUTINE"}, "routine"),
        ({}, "routine"),
    ],
)
def test_priority_comes_from_tags(tags: dict[str, str], priority: str) -> None:
    assert choose(header("CT", 1), header("MR", 2, **tags), rules=default_rules()).priority == priority
    assert choose(header("MR", 2, **tags), rules=with_oncology("")).priority == "routine"


def test_what_is_excluded_is_not_urgent() -> None:
    own = header("CT", 1, Manufacturer=MANUFACTURER, ManufacturerModelName=PRODUCT, StudyPriorityID="HIGH")
    assert choose(own, header("CT", 2), rules=default_rules()).priority == "routine"


def test_series_in_different_spaces_are_said() -> None:
    found = choose(header("CT", 1, frame="A"), header("PT", 2, frame="B"))
    assert [w.code for w in found.explanation.warnings] == ["frames-of-reference-differ"]
    assert not found.warnings


def test_a_required_role_of_the_rules_is_required_of_the_case() -> None:
    rules = ct_rules("{required: true}")
    found = choose(header("PT", 1), rules=rules, task="oncology")
    assert found.required == {"ct"}
    assert found.explanation.tasks[0].roles[0].required
    assert choose(header("PT", 1), rules=rules).task is None


PATIENT = "Zebra^Quagga"
TEXTS = st.sampled_from([PATIENT, "T1", "T1 post", "scout", "PET AC", "", PATIENT.upper()])
HEADERS = st.builds(
    lambda kind, number, text, name, image_type, refused: replace(
        header(kind, number, text, PatientName=name, PatientID=PATIENT, StudyDate=PATIENT, ImageType=image_type,
               Manufacturer=PATIENT, BodyPartExamined=name, Modality=PATIENT, AccessionNumber=PATIENT,
               refused=UnsupportedMediaError("No images.") if refused else None),
        uid=PATIENT, frame_of_reference_uid=PATIENT,
        dicom_modality=PATIENT if refused else kind,
    ),
    st.sampled_from(["CT", "PT", "MR"]), st.none() | st.integers(0, 5), TEXTS, TEXTS,
    st.sampled_from([("ORIGINAL",), ("DERIVED", PATIENT), PATIENT]), st.booleans(),
)  # fmt: skip
PRIVATE = excluding(f"{{tag: PatientName, any_of: ['{PATIENT}', x]}}")
STUDIES = st.lists(HEADERS, max_size=5)


@given(STUDIES, st.sampled_from([default_rules(), PRIVATE, parse(BOTH_TASKS)]))
def test_no_explanation_holds_a_word_of_the_patient(series: list[SeriesHeader], rules: Rules) -> None:
    found = choose(*series, rules=rules)
    text = found.explanation.model_dump_json().casefold()
    assert "zebra" not in text
    assert Explanation.model_validate_json(found.explanation.model_dump_json()) == found.explanation


@given(STUDIES, st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing(series: list[SeriesHeader], random: object) -> None:
    rules = ct_rules("{on_tie: first, prefer: [{largest: images}]}")
    named = [replace(one, uid=f"{i}") for i, one in enumerate(series)]
    shuffled = list(named)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    def uids(given: list[SeriesHeader]) -> dict[str, str]:
        found = choose(*given, rules=rules)
        return {slug: given[i].uid for slug, i in found.chosen.items()}

    assert uids(named) == uids(shuffled)


@given(STUDIES)
def test_every_series_gets_one_outcome_and_every_taken_one_its_role(series: list[SeriesHeader]) -> None:
    found = choose(*series, rules=default_rules(), task="oncology")
    assert [outcome.index for outcome in found.explanation.series] == list(range(1, len(series) + 1))
    taken = {outcome.role: outcome.index - 1 for outcome in found.explanation.series if outcome.state == "taken"}
    assert taken == dict(found.chosen)
    assert all(outcome.reason for outcome in found.explanation.series)
