"""The shipped rules on headers of brain, heart and stroke studies: roles from tags, and the task from the study."""

from typing import Any

import pytest

from entrust.contract import TASKS
from entrust.errors import InvalidInputError
from service.selection import default_rules, select, settle_task
from service.selection.sequences import mr_sequence
from service.study import SeriesHeader
from tests.factories.selections import header

RULES = default_rules()
HEAD, HEART = {"BodyPartExamined": "HEAD"}, {"BodyPartExamined": "HEART"}


def mr(number: int, description: str, **tags: Any) -> SeriesHeader:
    return header("MR", number, description, **tags)


GLIOMA = [
    mr(1, "t1_mprage_tra", **HEAD),
    mr(2, "t1_mprage_tra +c", **HEAD),
    mr(3, "t2_tse_tra", **HEAD),
    mr(4, "t2_tirm_tra_dark-fluid", **HEAD),
    mr(5, "ep2d_perf", **HEAD),
    mr(6, "localizer", **HEAD),
]
STROKE = [
    mr(1, "ep2d_diff_TRACEW", ImageType=("ORIGINAL", "PRIMARY", "DIFFUSION", "TRACEW"), DiffusionBValue=1000, **HEAD),
    mr(2, "ep2d_diff_ADC", ImageType=("DERIVED", "PRIMARY", "DIFFUSION", "ADC"), **HEAD),
    mr(3, "ep2d_diff b0", DiffusionBValue=0, **HEAD),
    mr(4, "FLAIR tra", **HEAD),
    mr(5, "t2_swi_tra", **HEAD),
]
HEART_ATTACK = [
    mr(1, "cine_trufi_sax one phase", **HEART),
    mr(2, "de_high-res_psir sax", ImageType=("ORIGINAL", "PRIMARY", "P"), **HEART),
    mr(3, "de_mag sax delayed", **HEART),
    mr(4, "T2 STIR sax", **HEART),
    mr(5, "T1 map MOLLI sax", **HEART),
    mr(6, "T2 mapping sax", **HEART),
]


def roles(series: list[SeriesHeader], task: str = "") -> dict[str, int]:
    found = select(series, RULES, TASKS, task=task)
    return {slug: int(series[index].attributes["SeriesNumber"]) for slug, index in found.chosen.items()}


@pytest.mark.parametrize(
    ("series", "task", "expected"),
    [
        (GLIOMA, "brain", {"t1": 1, "t1c": 2, "t2": 3, "flair": 4}),
        (STROKE, "lesion", {"dwi": 1, "adc": 2, "flair": 4}),
        (HEART_ATTACK, "cardiac", {"bssfp": 1, "lge": 2, "t2": 4}),
    ],
)
def test_a_protocol_is_recognised_and_cast(series: list[SeriesHeader], task: str, expected: dict[str, int]) -> None:
    assert settle_task(series, RULES, TASKS) == task
    assert roles(series) == roles(series, task) == expected
    assert roles(series[::-1]) == expected, "the order of arrival means nothing"


@pytest.mark.parametrize(
    ("description", "tags", "expected"),
    [
        ("SAX LGE PSIR", {}, "lge"),
        ("late gadolinium enhancement", {}, "lge"),
        ("late phase", {}, ""),
        ("t1_psir_lge", {}, "lge"),
        ("SAX CINE TRUFISP", {}, "bssfp"),
        ("t2_prep_trufi", {}, "t2"),
        ("", {"SequenceName": "*tfi2d1_12", "EchoTime": 1.4, "RepetitionTime": 3.1}, "bssfp"),
        ("T1 map MOLLI", {}, "other"),
        ("T2 map", {}, "other"),
        ("ADC map", {}, "adc"),
        ("eADC", {}, "other"),
    ],
)
def test_sequences_of_the_heart_and_maps(description: str, tags: dict[str, Any], expected: str) -> None:
    assert mr_sequence(mr(1, description, **tags)) == expected


@pytest.mark.parametrize(("agent", "expected"), [("GADOVIST", "lge"), ("", "t1")])
def test_a_short_inversion_time_means_late_enhancement_only_after_contrast_agent(agent: str, expected: str) -> None:
    tags = {"ScanningSequence": ("GR", "IR"), "EchoTime": 2.0, "RepetitionTime": 800.0, "InversionTime": 280.0}
    assert mr_sequence(mr(1, "", ContrastBolusAgent=agent, **tags)) == expected


def test_a_study_that_fits_two_tasks_is_refused_until_one_is_named() -> None:
    both = [*GLIOMA, *(mr(n, s.description, **s.attributes | HEAD) for n, s in enumerate(STROKE[:2], 10))]
    found = select(both, RULES, TASKS)
    assert found.task is None
    assert [t.reason for t in found.explanation.tasks if t.task in ("brain", "lesion")] == [
        "It fits, and so does another task."
    ] * 2
    with pytest.raises(InvalidInputError, match="fits several tasks: brain, lesion") as caught:
        settle_task(both, RULES, TASKS)
    assert "task=brain" in caught.value.fix
    assert select(both, RULES, TASKS, task="lesion").task == "lesion"


@pytest.mark.parametrize(
    "series",
    [
        [mr(1, "t1_tra"), mr(2, "t1_tra gd")],  # of what?
        [mr(1, "t1 gd", BodyPartExamined="BREAST")],
        [mr(1, "dwi b1000", BodyPartExamined="PROSTATE")],
        [mr(1, "LGE")],
        [],
    ],
)
def test_a_study_that_does_not_say_what_it_is_for_is_not_guessed(series: list[SeriesHeader]) -> None:
    with pytest.raises(InvalidInputError, match="which task"):
        settle_task(series, RULES, TASKS)


def test_weak_diffusion_is_never_the_diffusion_weighted_series() -> None:
    assert "dwi" not in roles([STROKE[2]], "lesion")
    assert roles([STROKE[0], mr(7, "dwi", DiffusionBValue=500, **HEAD)], "lesion")["dwi"] == 1


def nifti(*names: str) -> list[SeriesHeader]:
    return [header("", None, name) for name in names]


def test_files_without_tags_are_told_by_their_names() -> None:
    assert settle_task(nifti("p_dwi", "p_adc", "p_flair"), RULES, TASKS) == "lesion"
    assert settle_task(nifti("t1", "t1c", "t2", "flair"), RULES, TASKS) == "brain"
    assert settle_task(nifti("a_bssfp", "a_t2"), RULES, TASKS) == "cardiac"
    with pytest.raises(InvalidInputError, match="several tasks: oncology, brain"):
        settle_task(nifti("p_t1"), RULES, TASKS)
    with pytest.raises(InvalidInputError, match="No task has the modalities"):
        settle_task(nifti("p_dwi", "p_ct"), RULES, TASKS)
