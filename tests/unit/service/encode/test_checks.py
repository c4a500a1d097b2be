"""The cross-object checker must notice what validators do not."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from entrust.errors import InternalError
from service.encode import Extra
from service.encode.checks import check_results
from service.encode.identity import Identity
from service.encode.objects import Origin
from tests.factories.dicom_cases import encode_case, read_case, usual_grids, write_study
from tests.factories.trust_maps import CARD, PROVENANCE

SEGMENTATION, MAP, REPORT, CONTOURS = "segmentation.dcm", "conflict.dcm", "report.dcm", "rtstruct.dcm"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Origin, dict[str, bytes]]:
    folder: Path = tmp_path_factory.mktemp("study")
    write_study(folder, usual_grids())
    case = read_case(folder)
    return Origin.of(case, Identity.of(case, CARD, PROVENANCE)), encode_case(case, extras=tuple(Extra))


def faults(origin: Origin, contents: dict[str, bytes], name: str, change: Callable[[Dataset], None]) -> dict[str, str]:
    """Return what the checker tells of results of which one was changed."""
    ds = dcmread(BytesIO(contents[name]))
    change(ds)
    changed = BytesIO()
    ds.save_as(changed)
    with pytest.raises(InternalError) as caught:
        check_results({**contents, name: changed.getvalue()}, origin)
    return {key: str(value) for key, value in caught.value.details.items()}


def drop_series(ds: Dataset) -> None:
    ds.ReferencedSeriesSequence = ds.ReferencedSeriesSequence[:2]


def drop_instance(ds: Dataset) -> None:
    series = ds.ReferencedSeriesSequence[1]
    series.ReferencedInstanceSequence = series.ReferencedInstanceSequence[1:]


def drop_derivation(ds: Dataset) -> None:
    del ds.PerFrameFunctionalGroupsSequence[4].DerivationImageSequence


def drop_modality_of_frame(ds: Dataset) -> None:
    derivation = ds.PerFrameFunctionalGroupsSequence[4].DerivationImageSequence[0]
    derivation.SourceImageSequence = derivation.SourceImageSequence[:1]


def swap_sources(ds: Dataset) -> None:
    first, second = ds.PerFrameFunctionalGroupsSequence[2:4]
    first.DerivationImageSequence, second.DerivationImageSequence = (
        second.DerivationImageSequence,
        first.DerivationImageSequence,
    )


def drop_frame(ds: Dataset) -> None:
    ds.PerFrameFunctionalGroupsSequence = ds.PerFrameFunctionalGroupsSequence[1:]


def shift(ds: Dataset) -> None:
    for group in ds.PerFrameFunctionalGroupsSequence:
        x, y, z = group.PlanePositionSequence[0].ImagePositionPatient
        group.PlanePositionSequence[0].ImagePositionPatient = [x + 1.0, y, z]


def turn(ds: Dataset) -> None:
    ds.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]


def stretch(ds: Dataset) -> None:
    ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = [3.0, 2.0]


def twice_one_plane(ds: Dataset) -> None:
    groups = ds.PerFrameFunctionalGroupsSequence
    groups[0].PlanePositionSequence = groups[1].PlanePositionSequence


def group(ds: Dataset) -> list[Dataset]:
    """Return the items of a report's only measurement group."""
    return list(ds.ContentSequence[-1].ContentSequence[0].ContentSequence)


def named(items: list[Dataset], code: str) -> Dataset:
    return next(item for item in items if item.ConceptNameCodeSequence[0].get("CodeValue") == code)


def speak_of_another_segment(ds: Dataset) -> None:
    named(group(ds), "121191").ReferencedSOPSequence[0].ReferencedSegmentNumber = 2


def speak_of_another_segmentation(ds: Dataset) -> None:
    item = named(group(ds), "121191").ReferencedSOPSequence[0]
    item.ReferencedSOPInstanceUID = (
        ds.CurrentRequestedProcedureEvidenceSequence[0]
        .ReferencedSeriesSequence[0]
        .ReferencedSOPSequence[0]
        .ReferencedSOPInstanceUID
    )
    item.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"


def speak_of_no_segment(ds: Dataset) -> None:
    container = ds.ContentSequence[-1].ContentSequence[0]
    container.ContentSequence = [i for i in container.ContentSequence if i is not named(group(ds), "121191")]


def leave_group_out(ds: Dataset) -> None:
    ds.ContentSequence[-1].ContentSequence = []


def track_another(ds: Dataset) -> None:
    named(group(ds), "112040").UID = "2.25.77"


def drop_evidence(ds: Dataset) -> None:
    study = ds.CurrentRequestedProcedureEvidenceSequence[0]
    study.ReferencedSeriesSequence = study.ReferencedSeriesSequence[1:]


def cite_stranger(ds: Dataset) -> None:
    ds.SourceImageSequence[0].ReferencedSOPInstanceUID = "2.25.77"


def cite_under_another_class(ds: Dataset) -> None:
    ds.SourceImageSequence[0].ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"


def first_contour(ds: Dataset) -> Dataset:
    return ds.ROIContourSequence[0].ContourSequence[0]


def lift_contour(ds: Dataset) -> None:
    data = list(first_contour(ds).ContourData)
    first_contour(ds).ContourData = [v + (1.0 if n % 3 == 2 else 0.0) for n, v in enumerate(data)]


def push_contour_out(ds: Dataset) -> None:
    data = list(first_contour(ds).ContourData)
    first_contour(ds).ContourData = [v + (500.0 if n % 3 == 0 else 0.0) for n, v in enumerate(data)]


def swap_contour_images(ds: Dataset) -> None:
    contours = ds.ROIContourSequence[0].ContourSequence
    first, last = contours[0], contours[-1]
    first.ContourImageSequence, last.ContourImageSequence = last.ContourImageSequence, first.ContourImageSequence


def move_contours_to_another_space(ds: Dataset) -> None:
    ds.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID = "2.25.77"


def drop_contour_image(ds: Dataset) -> None:
    study = ds.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    series = study.RTReferencedSeriesSequence[0]
    series.ContourImageSequence = series.ContourImageSequence[1:]


def track_another_structure(ds: Dataset) -> None:
    ds.StructureSetROISequence[0].TrackingUID = "2.25.77"


def track_another_segment(ds: Dataset) -> None:
    ds.SegmentSequence[-1].TrackingUID = "2.25.77"


def set_to(keyword: str, value: str) -> Callable[[Dataset], None]:
    def change(ds: Dataset) -> None:
        setattr(ds, keyword, value)

    return change


IN_FRAMES: list[tuple[str, Callable[[Dataset], None]]] = [
    ("differs-FrameOfReferenceUID", set_to("FrameOfReferenceUID", "2.25.1")),
    ("differs-StudyInstanceUID", set_to("StudyInstanceUID", "2.25.1")),
    ("differs-PatientID", set_to("PatientID", "another")),
    ("differs-PatientName", set_to("PatientName", "An^Other")),
    ("differs-AccessionNumber", set_to("AccessionNumber", "")),
    ("device-differs", set_to("DeviceUID", "2.25.1")),
    ("reference-unresolved", cite_stranger),
    ("reference-unresolved", cite_under_another_class),
    ("series-not-cited", drop_series),
    ("series-not-cited", drop_instance),
    ("frame-derivation", drop_derivation),
    ("frame-derivation", drop_modality_of_frame),
    ("frame-derivation", swap_sources),
    ("frames-not-those-of-the-reference", drop_frame),
    ("frames-elsewhere", shift),
    ("frames-elsewhere", turn),
    ("frames-elsewhere", stretch),
    ("frames-elsewhere", twice_one_plane),
]


ELSEWHERE: list[tuple[str, str, Callable[[Dataset], None]]] = [
    (REPORT, "differs-PatientID", set_to("PatientID", "another")),
    (REPORT, "segment-unknown", speak_of_another_segment),
    (REPORT, "segment-unknown", speak_of_another_segmentation),
    (REPORT, "segment-unknown", speak_of_no_segment),
    (REPORT, "segment-unknown", leave_group_out),
    (REPORT, "tracking-differs", track_another),
    (REPORT, "series-not-cited", drop_evidence),
    (CONTOURS, "differs-FrameOfReferenceUID", move_contours_to_another_space),
    (CONTOURS, "contour-elsewhere", lift_contour),
    (CONTOURS, "contour-elsewhere", push_contour_out),
    (CONTOURS, "contour-elsewhere", swap_contour_images),
    (CONTOURS, "series-not-cited", drop_contour_image),
    (CONTOURS, "tracking-differs", track_another_structure),
    ("labelmap.dcm", "tracking-differs", track_another_segment),
    ("labelmap.dcm", "frames-elsewhere", shift),
    ("montage.dcm", "differs-StudyInstanceUID", set_to("StudyInstanceUID", "2.25.1")),
]


@pytest.mark.parametrize("name", [SEGMENTATION, MAP])
@pytest.mark.parametrize(("fault", "change"), IN_FRAMES)
def test_every_disagreement_of_a_framed_result_is_told(
    fault: str, change: Callable[[Dataset], None], name: str, made: tuple[Origin, dict[str, bytes]]
) -> None:
    assert fault in faults(*made, name, change)[name].split(", ")


@pytest.mark.parametrize(("name", "fault", "change"), ELSEWHERE)
def test_every_disagreement_of_the_other_results_is_told(
    name: str, fault: str, change: Callable[[Dataset], None], made: tuple[Origin, dict[str, bytes]]
) -> None:
    assert fault in faults(*made, name, change)[name].split(", ")


@pytest.mark.parametrize("keyword", ["SeriesInstanceUID", "SOPInstanceUID"])
def test_names_of_sources_and_of_other_results_are_taken(keyword: str, made: tuple[Origin, dict[str, bytes]]) -> None:
    origin, contents = made
    source = {
        "SeriesInstanceUID": origin.sources[0].series_uid,
        "SOPInstanceUID": next(iter(origin.sources[0].instances)),
    }
    assert f"uid-not-unique-{keyword}" in faults(*made, MAP, set_to(keyword, source[keyword]))[MAP]
    other = str(dcmread(BytesIO(contents["error_probability.dcm"]))[keyword].value)
    told = faults(*made, MAP, set_to(keyword, other))
    assert f"uid-not-unique-{keyword}" in told[MAP]
    assert f"uid-not-unique-{keyword}" in told["error_probability.dcm"]


def test_untouched_results_pass(made: tuple[Origin, dict[str, bytes]]) -> None:
    check_results(made[1], made[0])
