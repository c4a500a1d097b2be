import gzip
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from entrust.errors import EnTrustError, GeometryConflictError, InvalidInputError, TooLargeError, UnsupportedMediaError
from entrust.resampling import to_sitk
from entrust.volume import Volume
from service.ingest import IngestLimits, read_nifti_study, read_study
from tests.factories.dicom_series import plane_grid


def _nifti(path: Path, plane: str = "axial", seed: int = 0) -> np.ndarray:
    grid = plane_grid(plane)
    array = np.random.default_rng(seed).normal(size=grid.shape).astype(np.float32)
    sitk.WriteImage(to_sitk(Volume(array, grid)), str(path))
    return array


@pytest.mark.parametrize("plane", ["axial", "sagittal", "coronal", "oblique"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_volumes_come_back_in_lps(tmp_path: Path, plane: str, suffix: str) -> None:
    array = _nifti(tmp_path / f"x{suffix}", plane)
    (tmp_path / f"x{suffix}").rename(tmp_path / "pet")  # bytes decide, not names
    study = read_nifti_study({"pet": tmp_path / "pet"})
    (series,) = study.series
    assert (study.source, series.role, series.uid, series.datasets) == ("nifti", "pet", "", ())
    assert series.volume.grid.same_as(plane_grid(plane), tolerance_mm=1e-3)
    np.testing.assert_array_equal(series.volume.array, array)


def test_a_folder_and_a_zip_keep_the_names_for_the_roles(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("case_CT.nii.gz", "case_pet.nii"):
        _nifti(folder / name)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        for file in folder.iterdir():
            opened.write(file, f"study/{file.name}")
    for path in (folder, tmp_path / "a.zip"):
        assert sorted(s.description for s in read_study(path).series) == ["case_ct", "case_pet"]
    assert read_study(folder / "case_pet.nii").series[0].description == "case_pet"


def _patched(path: Path, offset: int, layout: str, *values: float) -> Path:
    data = bytearray(path.read_bytes())
    struct.pack_into("<" + layout, data, offset, *values)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("offset", "layout", "values", "error", "cause"),
    [
        (252, "2h", (0, 0), GeometryConflictError, "neither qform nor sform"),
        (40, "8h", (4, 20, 24, 10, 5, 1, 1, 1), UnsupportedMediaError, "several volumes"),
        (40, "8h", (2, 20, 24, 1, 1, 1, 1, 1), GeometryConflictError, "one slice"),
        (40, "8h", (3, 20, 24, -10, 1, 1, 1, 1), InvalidInputError, "impossible"),
        (40, "8h", (9, 20, 24, 10, 1, 1, 1, 1), InvalidInputError, "impossible"),
        (40, "8h", (3, 20, 24, 11, 1, 1, 1, 1), InvalidInputError, "truncated"),
        (40, "8h", (3, 32767, 32767, 32767, 1, 1, 1, 1), TooLargeError, "voxels"),
        (70, "h", (128,), UnsupportedMediaError, "real numbers"),
        (352, "f", (float("nan"),), InvalidInputError, "not finite"),
        (352, "f", (float("inf"),), InvalidInputError, "not finite"),
    ],
)
def test_bad_files_have_their_cause(
    tmp_path: Path, offset: int, layout: str, values: tuple[float, ...], error: type[EnTrustError], cause: str
) -> None:
    _nifti(tmp_path / "x.nii")
    with pytest.raises(error, match=cause):
        read_nifti_study({"ct": _patched(tmp_path / "x.nii", offset, layout, *values)})


def test_a_packed_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    _nifti(tmp_path / "x.nii")
    _patched(tmp_path / "x.nii", 40, "8h", 3, 2000, 2000, 2000, 1, 1, 1, 1)
    packed = gzip.compress((tmp_path / "x.nii").read_bytes() + bytes(1 << 24))
    (tmp_path / "x.nii.gz").write_bytes(packed)
    with pytest.raises(TooLargeError):
        read_nifti_study({"ct": tmp_path / "x.nii.gz"})


def test_limits_count_all_files_together(tmp_path: Path) -> None:
    for name in ("ct.nii", "pet.nii"):
        _nifti(tmp_path / name)
    assert len(read_study(tmp_path, limits=IngestLimits(max_voxels=9600)).series) == 2
    with pytest.raises(TooLargeError):
        read_study(tmp_path, limits=IngestLimits(max_voxels=9599))


def test_what_is_not_nifti_is_refused_by_role(tmp_path: Path) -> None:
    (tmp_path / "x.nii").write_bytes(b"no volume" * 100)
    with pytest.raises(UnsupportedMediaError, match="given for ct is not NIfTI"):
        read_nifti_study({"ct": tmp_path / "x.nii"})
    with pytest.raises(InvalidInputError):
        read_nifti_study({})


def test_a_bad_file_in_a_folder_does_not_spoil_the_others(tmp_path: Path) -> None:
    _nifti(tmp_path / "ct.nii")
    _nifti(tmp_path / "pet.nii")
    _patched(tmp_path / "pet.nii", 352, "f", float("nan"))
    study = read_study(tmp_path)
    assert [s.description for s in study.series] == ["ct"]
    assert [w.code for w in study.warnings] == ["series-refused"]
    (tmp_path / "ct.nii").unlink()
    with pytest.raises(InvalidInputError, match="not finite"):
        read_study(tmp_path)
