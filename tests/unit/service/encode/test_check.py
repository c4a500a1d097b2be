"""The cross-object checker must notice what validators do not."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from entrust.errors import InternalError
from service.encode.check import check_result
from service.encode.encoding import encode_dicom
from service.encode.identity import Identity
from service.encode.objects import Origin
from service.encode.results import to_source_geometry
from tests.factories.dicom_cases import answer, read_case, usual_grids, write_study
from tests.factories.trust_maps import CARD, PROVENANCE


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Origin, bytes]:
    folder: Path = tmp_path_factory.mktemp("study")
    write_study(folder, usual_grids())
    case = read_case(folder)
    identity = Identity.of(case, CARD, PROVENANCE)
    contents = encode_dicom(case, to_source_geometry(case, answer(case)), identity)
    return Origin.of(case, identity), contents["segmentation.dcm"]


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


def set_to(keyword: str, value: str) -> Callable[[Dataset], None]:
    def change(ds: Dataset) -> None:
        setattr(ds, keyword, value)

    return change


CHANGES: list[tuple[str, Callable[[Dataset], None]]] = [
    ("differs-FrameOfReferenceUID", set_to("FrameOfReferenceUID", "2.25.1")),
    ("differs-StudyInstanceUID", set_to("StudyInstanceUID", "2.25.1")),
    ("differs-PatientID", set_to("PatientID", "another")),
    ("differs-PatientName", set_to("PatientName", "An^Other")),
    ("differs-AccessionNumber", set_to("AccessionNumber", "")),
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


@pytest.mark.parametrize(("fault", "change"), CHANGES)
def test_every_disagreement_holds_the_result_back(
    fault: str, change: Callable[[Dataset], None], made: tuple[Origin, bytes]
) -> None:
    origin, content = made
    ds = dcmread(BytesIO(content))
    change(ds)
    changed = BytesIO()
    ds.save_as(changed)
    with pytest.raises(InternalError) as caught:
        check_result(changed.getvalue(), origin)
    assert caught.value.details == {"fault": fault}


def test_the_series_must_be_new(made: tuple[Origin, bytes]) -> None:
    origin, content = made
    ds = dcmread(BytesIO(content))
    ds.SeriesInstanceUID = origin.sources[0].series_uid
    changed = BytesIO()
    ds.save_as(changed)
    with pytest.raises(InternalError) as caught:
        check_result(changed.getvalue(), origin)
    assert caught.value.details == {"fault": "series-not-new"}


def test_an_untouched_result_passes(made: tuple[Origin, bytes]) -> None:
    check_result(made[1], made[0])
