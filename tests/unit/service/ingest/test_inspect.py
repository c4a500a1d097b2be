"""Headers alone say what reading would say: every series, and why it is no volume where it is none."""

import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage, generate_uid

from entrust.errors import EnTrustError, GeometryConflictError, InvalidInputError, UnsupportedMediaError
from service.ingest import IngestLimits, inspect_study, read_study
from tests.factories.dicom_series import build_series, plane_grid, write_series
from tests.factories.studies import dicom_bytes, dicom_datasets, nifti_files

GRID = plane_grid("axial", shape=(6, 5, 4))
ARRAY = np.arange(120.0).reshape(GRID.shape)


def test_a_study_of_volumes(tmp_path: Path) -> None:
    write_series(tmp_path, dicom_datasets())
    study, headers = read_study(tmp_path), inspect_study(tmp_path)
    assert len(headers) == len(study.series) == 3
    for read, inspected in zip(study.series, headers, strict=True):
        assert inspected.refused is None
        assert inspected.grid is not None
        assert inspected.grid.same_as(read.volume.grid)
        assert inspected.attributes == read.attributes
        for name in ("uid", "dicom_modality", "description", "frame_of_reference_uid", "num_images", "role"):
            assert getattr(inspected, name) == getattr(read.header, name)


def _tilted(series: list[Dataset]) -> None:
    for number, ds in enumerate(series):
        ds.ImagePositionPatient = [
            *ds.ImagePositionPatient[:1],
            ds.ImagePositionPatient[1] + number,
            ds.ImagePositionPatient[2],
        ]


def _uneven(series: list[Dataset]) -> None:
    series[3].ImagePositionPatient = [*series[3].ImagePositionPatient[:2], series[3].ImagePositionPatient[2] + 1.3]


def _mosaic(series: list[Dataset]) -> None:
    for ds in series:
        ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]


def _localizer(series: list[Dataset]) -> None:
    for ds in series:
        ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]


def _two_times(series: list[Dataset]) -> None:
    series += build_series(ARRAY + 7.0, GRID, "MR")
    for ds in series:
        ds.SeriesInstanceUID, ds.FrameOfReferenceUID = series[0].SeriesInstanceUID, series[0].FrameOfReferenceUID


def _lone(series: list[Dataset]) -> None:
    del series[1:]


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (_tilted, GeometryConflictError, "gantry tilt"),
        (_uneven, GeometryConflictError, "spacing between slices is uneven"),
        (_mosaic, UnsupportedMediaError, "mosaics"),
        (_localizer, UnsupportedMediaError, "localizers"),
        (_two_times, GeometryConflictError, "different pixels lie at one position"),
        (_lone, GeometryConflictError, "one slice only"),
    ],
)
def test_what_is_no_volume_has_the_error_of_reading(tmp_path: Path, spoil: object, error: type, words: str) -> None:
    series = build_series(ARRAY, GRID, "MR")
    spoil(series)  # type: ignore[operator]
    write_series(tmp_path, series)
    (found,) = inspect_study(tmp_path)
    assert type(found.refused) is error
    assert words in found.refused.message
    assert found.refused.fix
    assert found.grid is None
    with pytest.raises(error) as raised:
        read_study(tmp_path)
    assert raised.value.message == found.refused.message


def test_repeats_with_equal_pixels_are_a_volume(tmp_path: Path) -> None:
    series = build_series(ARRAY, GRID, "MR")
    write_series(tmp_path, series)
    again = build_series(ARRAY, GRID, "MR")[2]
    again.SeriesInstanceUID, again.FrameOfReferenceUID = series[0].SeriesInstanceUID, series[0].FrameOfReferenceUID
    (tmp_path / "again.dcm").write_bytes(dicom_bytes(again))
    (found,) = inspect_study(tmp_path)
    assert (found.refused, found.num_images) == (None, 6)


def test_what_holds_no_image_is_told_too(tmp_path: Path) -> None:
    write_series(tmp_path, build_series(ARRAY, GRID, "MR"))
    other = build_series(ARRAY, GRID, "MR")[0]
    other.SOPClassUID, other.Modality = SegmentationStorage, "SEG"
    other.file_meta.MediaStorageSOPClassUID = SegmentationStorage
    (tmp_path / "other.dcm").write_bytes(dicom_bytes(other))
    volume, seg = inspect_study(tmp_path)
    assert (volume.refused, seg.dicom_modality) == (None, "SEG")
    assert isinstance(seg.refused, UnsupportedMediaError)


def test_two_patients_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path, build_series(ARRAY, GRID, "MR"))
    write_series(
        tmp_path, build_series(ARRAY, GRID, "MR", tags={"PatientID": "B", "StudyInstanceUID": generate_uid()}), "b"
    )
    with pytest.raises(InvalidInputError, match="more than one patient"):
        inspect_study(tmp_path)


def test_nifti_has_headers_as_well(tmp_path: Path) -> None:
    for name, content in nifti_files().values():
        (tmp_path / name).write_bytes(content)
    assert sorted(one.description for one in inspect_study(tmp_path)) == ["ct", "pet", "t1"]


def test_the_priority_of_a_request_is_found_in_its_sequence(tmp_path: Path) -> None:
    request = Dataset()
    request.RequestedProcedurePriority = "STAT"
    write_series(tmp_path, build_series(ARRAY, GRID, "MR", tags={"RequestAttributesSequence": [request]}))
    (found,) = inspect_study(tmp_path)
    assert found.attributes["RequestedProcedurePriority"] == "STAT"


def test_long_values_are_left_out(tmp_path: Path) -> None:
    write_series(tmp_path, build_series(ARRAY, GRID, "MR", tags={"ImageComments": "x" * 5000}))
    (found,) = inspect_study(tmp_path)
    assert "ImageComments" not in found.attributes
    assert "PixelData" not in found.attributes


SLICE = dicom_bytes(build_series(ARRAY, GRID, "MR")[0])
LIMITS = IngestLimits(max_files=50, max_bytes=1 << 22, max_uncompressed_bytes=1 << 22, max_voxels=1 << 20)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(SLICE) - 1), st.integers(0, 255)), max_size=30), st.integers(0, len(SLICE))
)
def test_damaged_files_end_as_headers_or_a_typed_error(changes: list[tuple[int, int]], end: int) -> None:
    content = bytearray(SLICE)
    for at, value in changes:
        content[at] = value
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "0").write_bytes(bytes(content))
        (Path(folder) / "1").write_bytes(bytes(content[:end]))
        with suppress(EnTrustError):
            assert inspect_study(Path(folder), limits=LIMITS)
