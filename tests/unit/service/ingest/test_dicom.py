import zipfile
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage, generate_uid

from entrust.errors import (
    EnTrustError,
    GeometryConflictError,
    InvalidInputError,
    TooLargeError,
    UnsupportedMediaError,
)
from service.ingest import IngestLimits, read_study
from tests.factories.dicom_series import build_series, plane_grid, write_series

PLANES = ("axial", "sagittal", "coronal", "oblique")


def _array(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-900, 1500, shape).astype(np.float32)


def _ct(**more: object) -> list[Dataset]:
    grid = plane_grid("axial")
    return build_series(_array(grid.shape), grid, "CT", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("shuffle_seed", [None, 3])
def test_a_series_comes_back_as_it_was_written(tmp_path: Path, plane: str, shuffle_seed: int | None) -> None:
    grid = plane_grid(plane)
    array = _array(grid.shape)
    study = read_study(write_series(tmp_path, build_series(array, grid, "CT", shuffle_seed=shuffle_seed)))
    (series,) = study.series
    assert series.volume.grid.same_as(grid)
    np.testing.assert_array_equal(series.volume.array, array)
    assert (series.units, series.dicom_modality, study.source) == ("HU", "CT", "dicom")
    assert [w.code for w in study.warnings] == (["slice-order-shuffled"] if shuffle_seed else [])
    for index, header in enumerate(series.datasets):
        assert "PixelData" not in header
        position = grid.to_world(np.array([[float(index), 0.0, 0.0]]))[0]
        np.testing.assert_allclose(np.asarray(header.ImagePositionPatient, float), position, atol=1e-5)


def test_pet_slopes_that_differ_by_slice_are_applied_by_slice(tmp_path: Path) -> None:
    grid = plane_grid("axial")
    array = np.random.default_rng(1).random(grid.shape) * np.logspace(0, 4, grid.shape[0])[:, None, None]
    (series,) = read_study(write_series(tmp_path, build_series(array, grid, "PT"))).series
    step = array.max(axis=(1, 2), keepdims=True) / 32767
    assert (np.abs(series.volume.array - array) <= 0.51 * step).all()
    assert series.units == "BQML"
    assert series.attributes["RadionuclideTotalDose"] == 3.5e8
    assert series.attributes["CorrectedImage"] == ("DECY", "ATTN", "SCAT", "NORM")


def test_names_do_not_matter_and_other_objects_are_counted(tmp_path: Path) -> None:
    write_series(tmp_path, _ct())
    for file in tmp_path.glob("*.dcm"):
        file.rename(file.with_suffix(".txt"))
    segmentation = _ct()[0]
    segmentation.SOPClassUID = segmentation.file_meta.MediaStorageSOPClassUID = SegmentationStorage
    segmentation.save_as(tmp_path / "seg")
    (tmp_path / "README.dcm").write_text("not an image, whatever its name")
    (tmp_path / "empty.dcm").touch()
    (tmp_path / "link.dcm").symlink_to("/etc/hostname")
    study = read_study(tmp_path)
    assert len(study.series) == 1
    assert study.skipped == {"not-an-image": 1, "unknown-file": 1, "empty-file": 1}


def test_only_other_objects_say_so(tmp_path: Path) -> None:
    segmentation = _ct()[0]
    segmentation.SOPClassUID = segmentation.file_meta.MediaStorageSOPClassUID = SegmentationStorage
    segmentation.save_as(tmp_path / "seg")
    with pytest.raises(UnsupportedMediaError, match="no images, only other DICOM objects"):
        read_study(tmp_path)


def test_a_zip_is_read_like_a_folder_and_a_zip_in_a_zip_is_not_opened(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "files", _ct())
    archive, nested = tmp_path / "study.zip", tmp_path / "nested.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for file in folder.iterdir():
            opened.write(file, f"DICOM/{file.name}")
    assert read_study(archive).series[0].volume.array.shape == plane_grid("axial").shape
    with zipfile.ZipFile(nested, "w") as opened:
        opened.write(archive, "study.zip")
    with pytest.raises(InvalidInputError, match="further archives"):
        read_study(nested)


def test_a_bad_series_does_not_spoil_a_good_one(tmp_path: Path) -> None:
    study_uid = generate_uid()
    write_series(tmp_path, _ct(study_uid=study_uid, series_number=3), "good")
    bad = build_series(_array((10, 24, 20)), plane_grid("axial"), "PT", study_uid=study_uid, series_number=4)
    del bad[4]
    write_series(tmp_path, bad, "bad")
    study = read_study(tmp_path)
    assert [s.dicom_modality for s in study.series] == ["CT"]
    assert study.skipped == {"refused-image": 9}
    assert isinstance(study.refused[0].error, GeometryConflictError)
    (warning,) = [w for w in study.warnings if w.code == "series-refused"]
    assert warning.message == "The PT series 4 was left out: Slices are missing from the series."


def test_equal_repeats_are_dropped_and_different_ones_refused(tmp_path: Path) -> None:
    datasets = _ct()
    again = deepcopy(datasets[:3])
    for ds in again:
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    write_series(tmp_path / "equal", [*datasets, *again])
    study = read_study(tmp_path / "equal")
    assert study.series[0].volume.array.shape[0] == len(datasets) == len(study.series[0].datasets)
    assert "duplicate-slice" in [w.code for w in study.warnings]
    again[0].PixelData = bytes(len(again[0].PixelData))
    write_series(tmp_path / "different", [*datasets, *again])
    with pytest.raises(GeometryConflictError, match="different pixels lie at one position"):
        read_study(tmp_path / "different")


def test_the_same_file_twice_counts_once(tmp_path: Path) -> None:
    datasets = _ct()
    write_series(tmp_path, datasets, "a")
    write_series(tmp_path, datasets, "b")
    study = read_study(tmp_path)
    assert study.skipped == {"duplicate-file": len(datasets)}


def test_localizers_are_left_aside_without_a_word(tmp_path: Path) -> None:
    write_series(tmp_path, _ct(series_number=2), "good")
    localizer = _ct(series_number=1, tags={"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]})
    write_series(tmp_path, localizer, "localizer")
    study = read_study(tmp_path)
    assert len(study.series) == 1
    assert study.skipped == {"localizer": 10}
    with pytest.raises(UnsupportedMediaError, match="localizers"):
        read_study(write_series(tmp_path / "alone", localizer))


def test_inverted_mr_is_turned_around(tmp_path: Path) -> None:
    grid = plane_grid("axial")
    array = _array(grid.shape) + 1000.0
    series = build_series(array, grid, "MR", tags={"PhotometricInterpretation": "MONOCHROME1"})
    study = read_study(write_series(tmp_path, series))
    assert [w.code for w in study.warnings] == ["monochrome1-inverted"]
    np.testing.assert_array_equal(study.series[0].volume.array, array.max() + array.min() - array)


def test_float_pixels_are_read_and_must_be_finite(tmp_path: Path) -> None:
    grid = plane_grid("axial")
    array = np.random.default_rng(2).normal(size=grid.shape).astype(np.float32)
    datasets = build_series(np.zeros(grid.shape), grid, "MR")
    for ds, plane in zip(datasets, array, strict=True):
        for keyword in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
            delattr(ds, keyword)
        ds.BitsAllocated = 32
        ds.FloatPixelData = plane.astype("<f4").tobytes()
    (series,) = read_study(write_series(tmp_path / "finite", datasets)).series
    np.testing.assert_array_equal(series.volume.array, array)
    array[3, 4, 5] = np.nan
    datasets[3].FloatPixelData = array[3].astype("<f4").tobytes()
    with pytest.raises(InvalidInputError, match="not finite"):
        read_study(write_series(tmp_path / "nan", datasets))


@pytest.mark.parametrize(
    ("tags", "error", "cause"),
    [
        ({"ImagePositionPatient": None}, GeometryConflictError, "where they lie"),
        ({"ImageOrientationPatient": [1, 0, 0, 0.5, 1, 0]}, GeometryConflictError, "perpendicular"),
        ({"PixelSpacing": None}, GeometryConflictError, "pixel spacing"),
        ({"PixelSpacing": [0, 1]}, GeometryConflictError, "pixel spacing"),
        ({"RescaleSlope": 0}, InvalidInputError, "slope"),
        ({"PixelData": None}, InvalidInputError, "lack their pixel data"),
        ({"PixelData": b"\0" * 100}, InvalidInputError, "truncated"),
        ({"PhotometricInterpretation": "RGB"}, UnsupportedMediaError, "colour"),
        ({"PhotometricInterpretation": None}, InvalidInputError, "missing or damaged"),
        ({"Rows": 0}, InvalidInputError, "no pixels"),
    ],
)
def test_bad_tags_have_their_cause(
    tmp_path: Path, tags: dict[str, object], error: type[EnTrustError], cause: str
) -> None:
    with pytest.raises(error, match=cause):
        read_study(write_series(tmp_path, _ct(tags=tags)))


def test_two_patients_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path, _ct(), "a")
    write_series(tmp_path, _ct(tags={"PatientID": "OTHER"}), "b")
    with pytest.raises(InvalidInputError, match="more than one patient") as raised:
        read_study(tmp_path)
    assert "OTHER" not in str(raised.value)


def test_two_frames_of_reference_in_one_series_are_refused(tmp_path: Path) -> None:
    datasets = _ct()
    datasets[3].FrameOfReferenceUID = generate_uid()
    with pytest.raises(GeometryConflictError, match="different frames of reference"):
        read_study(write_series(tmp_path, datasets))


def test_limits(tmp_path: Path) -> None:
    folder = write_series(tmp_path, _ct())
    for limits in (IngestLimits(max_files=9), IngestLimits(max_bytes=5000), IngestLimits(max_voxels=4799)):
        with pytest.raises(TooLargeError):
            read_study(folder, limits=limits)
    assert read_study(folder, limits=IngestLimits(max_files=10, max_voxels=4800)).series


def test_a_deflated_bomb_is_refused_before_it_unpacks(tmp_path: Path) -> None:
    (ds, *_) = _ct()
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    ds.add_new(0x00091001, "OB", bytes(1 << 22))
    ds.save_as(tmp_path / "bomb.dcm", enforce_file_format=True)
    assert (tmp_path / "bomb.dcm").stat().st_size < 1 << 16
    with pytest.raises(TooLargeError, match="deflated"):
        read_study(tmp_path, limits=IngestLimits(max_uncompressed_bytes=1 << 21))
    with pytest.raises(GeometryConflictError, match="one slice"):
        read_study(tmp_path)


def test_warnings_never_quote_values(tmp_path: Path) -> None:
    """pydicom's warnings repeat offending values; here only their number shows."""
    datasets = _ct(tags={"FrameOfReferenceUID": "1.2.333333333333"})
    folder = write_series(tmp_path, datasets)
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes().replace(b"1.2.333333333333", b"1.2.secret.value"))
    study = read_study(folder)
    assert "dicom-deviations" in [w.code for w in study.warnings]
    assert not any("secret" in w.message.lower() for w in study.warnings)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no files"):
        read_study(tmp_path)
    with pytest.raises(InvalidInputError, match="does not exist"):
        read_study(tmp_path / "absent")
    (tmp_path / "empty").touch()
    with pytest.raises(InvalidInputError, match="empty"):
        read_study(tmp_path / "empty")
    (tmp_path / "text").write_text("hello world, this is no image at all")
    with pytest.raises(UnsupportedMediaError, match="neither"):
        read_study(tmp_path / "text")
