"""Each condition: what meets it, what does not, and what is shown of what was seen."""

from typing import Any

import pytest

from entrust.errors import GeometryConflictError
from service.selection import select
from service.selection.explanation import Check
from service.study import SeriesHeader
from tests.factories.rules_files import TASKS, taking
from tests.factories.selections import header


def look(condition: str, series: SeriesHeader, *others: SeriesHeader, define: str = "") -> Check:
    """Hold a condition against the first CT of a study."""
    explanation = select([series, *others], taking(condition, define=define), TASKS, task="oncology").explanation
    (rule,) = [rule for rule in explanation.series[0].rules if rule.rule == "oncology: ct"]
    assert rule.met == all(check.met for check in rule.checks)
    return rule.checks[1]  # the first is the modality, which needs no rule


@pytest.mark.parametrize(
    ("condition", "tags", "met"),
    [
        ("{tag: KVP, equals: 120}", {"KVP": 120.0}, True),
        ("{tag: KVP, equals: 120}", {"KVP": 100.0}, False),
        ("{tag: KVP, equals: 120}", {}, False),
        ("{tag: BodyPartExamined, equals: leg}", {"BodyPartExamined": "LEG "}, True),
        ("{tag: '(0018,0015)', equals: LEG}", {"BodyPartExamined": "LEG"}, True),
        ("{tag: ScanOptions, equals: FS}", {"ScanOptions": ("PFP", "FS")}, True),
        ("{tag: BodyPartExamined, any_of: [NO, LEG]}", {"BodyPartExamined": "NO"}, True),
        ("{tag: BodyPartExamined, any_of: [ARM, LEG]}", {"BodyPartExamined": "HEAD"}, False),
        ("{tag: SeriesNumber, any_of: [1, 2]}", {"SeriesNumber": 2}, True),
        ("{tag: SeriesNumber, equals: '2'}", {"SeriesNumber": 2}, True),
        ("{tag: SeriesDescription, regex: '(?i)^thin.*lung$'}", {"SeriesDescription": "Thin axial LUNG"}, True),
        ("{tag: SeriesDescription, regex: '^thin'}", {"SeriesDescription": "a thin one"}, False),
        ("{tag: SeriesDescription, regex: '.'}", {}, False),
        ("{tag: KVP, range: {min: 80, max: 120}}", {"KVP": 120.0}, True),
        ("{tag: KVP, range: {min: 80}}", {"KVP": 79.9}, False),
        ("{tag: KVP, range: {max: 80}}", {"KVP": "no number"}, False),
        ("{tag: ImageType, contains_all: [original, AXIAL]}", {"ImageType": ("ORIGINAL", "PRIMARY", "AXIAL")}, True),
        ("{tag: ImageType, contains_all: [ORIGINAL, MPR]}", {"ImageType": ("ORIGINAL", "PRIMARY", "AXIAL")}, False),
        ("{tag: ImageType, contains_any: [MPR, AXIAL]}", {"ImageType": ("ORIGINAL", "AXIAL")}, True),
        ("{tag: ImageType, contains_any: [MPR]}", {"ImageType": "ORIGINAL"}, False),
        ("{tag: ImageType, contains_none: [DERIVED]}", {"ImageType": ("ORIGINAL", "PRIMARY")}, True),
        ("{tag: ImageType, contains_none: [DERIVED]}", {"ImageType": ("DERIVED", "PRIMARY")}, False),
        ("{tag: ImageType, contains_none: [DERIVED]}", {}, True),
        ("{tag: ConvolutionKernel, present: true}", {"ConvolutionKernel": "B30f"}, True),
        ("{tag: ConvolutionKernel, present: true}", {}, False),
        ("{tag: ConvolutionKernel, present: false}", {}, True),
        ("{sop_class: [CTImageStorage]}", {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, True),
        ("{sop_class: [1.2.840.10008.5.1.4.1.1.2]}", {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, True),
        ("{sop_class: [EnhancedCTImageStorage]}", {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, False),
        ("{contrast: true}", {"ContrastBolusAgent": "Iohexol"}, True),
        ("{contrast: true}", {"ContrastBolusAgent": "NONE"}, False),
        ("{contrast: false}", {}, True),
        ("not: {tag: KVP, equals: 120}", {"KVP": 100.0}, True),
        ("all: [{tag: KVP, equals: 120}, {contrast: true}]", {"KVP": 120.0}, False),
        ("any: [{tag: KVP, equals: 120}, {contrast: true}]", {"KVP": 120.0}, True),
    ],
)
def test_tags(condition: str, tags: dict[str, Any], met: bool) -> None:
    assert look(condition, header("CT", **({"number": 1} | tags))).met is met


@pytest.mark.parametrize(
    ("description", "words", "met"),
    [
        ("CT scout", "[scout]", True),
        ("scouting for boys", "[scout]", False),
        ("Topogram  0.6", "[scout, topogram]", True),
        ("ax t1_fs", "[fs]", True),
        ("", "[fs]", False),
    ],
)
def test_words_of_the_description_are_whole_words(description: str, words: str, met: bool) -> None:
    assert look(f"{{description_words: {words}}}", header("CT", description=description)).met is met


def test_contrast_is_read_from_the_description_too() -> None:
    assert look("{contrast: true}", header("CT", description="Abdomen post")).met
    assert not look("{contrast: true}", header("CT", description="Abdomen pre", ContrastBolusAgent="Iohexol")).met


@pytest.mark.parametrize("plane", ["axial", "sagittal", "coronal"])
def test_orientation(plane: str) -> None:
    series = header("CT", plane=plane)
    for other in ("axial", "sagittal", "coronal", "oblique"):
        assert look(f"{{orientation: {other}}}", series).met is (other == plane)


def test_an_oblique_is_axial_only_within_the_tolerance() -> None:
    series = header("CT", plane="oblique")  # turned by 20° about x, and about z, which tilts nothing
    assert look("{orientation: axial, tolerance_degrees: 21}", series).met
    assert not look("{orientation: axial, tolerance_degrees: 19}", series).met
    found = look("{orientation: oblique, tolerance_degrees: 19}", series)
    assert found.met
    assert found.saw == "20.0° from axial"


def test_counts_and_distances() -> None:
    series = header("CT", images=30, spacing_mm=2.5)
    assert look("{images: {min: 30, max: 30}}", series).met
    assert not look("{images: {min: 31}}", series).met
    assert look("{slice_spacing_mm: {max: 2.5}}", series).met
    found = look("{slice_spacing_mm: {max: 2}}", series)
    assert (found.met, found.saw) == (False, "2.5")


def test_the_only_volume_of_its_modality() -> None:
    refused = header("CT", 3, refused=GeometryConflictError("One slice only."))
    assert look("{only_of_its_modality: true}", header("CT", 1), header("MR", 2), refused).met
    assert not look("{only_of_its_modality: true}", header("CT", 1), header("CT", 2)).met
    assert look("{only_of_its_modality: false}", header("CT", 1), header("CT", 2)).met


def test_a_definition_stands_for_its_condition() -> None:
    define = "define: {thin: {slice_spacing_mm: {max: 2}}}"
    found = look("use: thin", header("CT", spacing_mm=1.0), define=define)
    assert found.met
    assert found.criterion == "thin"
    assert found.parts[0].saw == "1"


def test_a_check_points_at_its_line() -> None:
    found = look("not: {use: thick}", header("CT"), define="define:\n  thick:\n    slice_spacing_mm: {min: 10}")
    assert found.line == 10
    assert found.parts[0].parts[0].line == 4


@pytest.mark.parametrize(
    ("condition", "tags", "saw"),
    [
        ("{tag: SeriesDescription, regex: x}", {"SeriesDescription": "Doe John x"}, "text of 10 characters"),
        ("{tag: StudyDate, present: true}", {"StudyDate": "20300101"}, "a date"),
        ("{tag: PatientAge, present: true}", {"PatientAge": "040Y"}, "present, not shown"),
        ("{tag: PatientWeight, range: {min: 3}}", {"PatientWeight": 70.0}, "present, not shown"),
        ("{tag: StationName, equals: x}", {"StationName": "Doe"}, "text of 3 characters"),
        ("{tag: BodyPartExamined, equals: LEG}", {"BodyPartExamined": "Doe, John"}, "text of 9 characters"),
        ("{tag: BodyPartExamined, equals: LEG}", {"BodyPartExamined": "LEG"}, "LEG"),
        ("{tag: ImageType, contains_all: [MPR]}", {"ImageType": ("ORIGINAL", "AXIAL")}, "ORIGINAL\\AXIAL"),
        ("{tag: KVP, equals: 1}", {"KVP": 120.0}, "120"),
        ("{tag: KVP, equals: 1}", {}, "absent"),
        ("{tag: Manufacturer, equals: x}", {"Manufacturer": "SIEMENS"}, "SIEMENS"),
        ("{tag: ContrastBolusAgent, present: true}", {"ContrastBolusAgent": "10 ml"}, "text of 5 characters"),
    ],
)
def test_a_value_is_shown_only_where_it_is_about_the_machine(condition: str, tags: dict[str, Any], saw: str) -> None:
    assert look(condition, header("CT", **tags)).saw == saw
