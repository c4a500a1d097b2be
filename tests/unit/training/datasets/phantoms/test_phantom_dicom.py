"""The phantom's DICOM study: valid, and the phantom again when read back."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest

from training.datasets.phantoms.dicom import HALF_LIFE_SECONDS, write_study, zip_study
from training.datasets.phantoms.limb import LimbPhantom, make_phantom


@pytest.fixture(scope="module")
def phantom() -> LimbPhantom:
    return make_phantom(9001, conflict=True)


@pytest.fixture(scope="module")
def folder(phantom: LimbPhantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    write_study(phantom, folder)
    return folder


def _stack(folder: Path) -> tuple[list[pydicom.Dataset], np.ndarray]:
    datasets = [pydicom.dcmread(p) for p in sorted(folder.iterdir())]
    values = [ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept) for ds in datasets]
    return datasets, np.stack(values)


def test_ct_reads_back_exactly(phantom: LimbPhantom, folder: Path) -> None:
    datasets, hu = _stack(folder / "ct")
    assert np.array_equal(hu, phantom.ct)
    positions = np.array([ds.ImagePositionPatient for ds in datasets], dtype=float)
    expected = phantom.grid.to_world(np.array([[i, 0, 0] for i in range(len(datasets))]))
    assert np.allclose(positions, expected, atol=1e-3)


def test_activity_gives_back_the_suv(phantom: LimbPhantom, folder: Path) -> None:
    datasets, activity = _stack(folder / "pet")
    drug = datasets[0].RadiopharmaceuticalInformationSequence[0]
    left = float(drug.RadionuclideTotalDose) * 0.5 ** (3600 / HALF_LIFE_SECONDS)
    suv = activity * float(datasets[0].PatientWeight) * 1000 / left
    assert datasets[0].Units == "BQML"
    assert np.abs(suv - phantom.pet).max() < 1e-3 * phantom.pet.max()


def test_mr_has_its_own_grid_in_the_same_space(phantom: LimbPhantom, folder: Path) -> None:
    mr, ct = (pydicom.dcmread(next((folder / slug).iterdir())) for slug in ("t1", "ct"))
    assert mr.FrameOfReferenceUID == ct.FrameOfReferenceUID
    assert mr.StudyInstanceUID == ct.StudyInstanceUID
    assert list(mr.PixelSpacing) != list(ct.PixelSpacing)
    files = sorted((folder / "t1").iterdir())
    middle = pydicom.dcmread(files[len(files) // 2])
    pixels = middle.pixel_array
    at = np.array([[0, pixels.shape[0] // 2, pixels.shape[1] // 2]], dtype=float)
    spacing = [float(v) for v in middle.PixelSpacing]
    offset = [at[0, 2] * spacing[1], at[0, 1] * spacing[0], 0.0]
    world = np.add(np.array(middle.ImagePositionPatient, dtype=float), offset)
    d, h, w = np.rint(phantom.grid.to_index(world[None])[0]).astype(int)
    around = phantom.t1[d, h - 1 : h + 2, w - 1 : w + 2]
    assert around.min() - 1 <= pixels[int(at[0, 1]), int(at[0, 2])] <= around.max() + 1


def test_same_phantom_gives_the_same_bytes(phantom: LimbPhantom, folder: Path, tmp_path: Path) -> None:
    for path in write_study(phantom, tmp_path):
        assert path.read_bytes() == (folder / path.relative_to(tmp_path)).read_bytes()


def test_zip_holds_every_file(folder: Path, tmp_path: Path) -> None:
    archive = zip_study(folder, tmp_path / "study.zip")
    shutil.unpack_archive(archive, tmp_path / "out")
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == len(list(folder.rglob("*.dcm")))


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
@pytest.mark.parametrize("slug", ["ct", "pet", "t1"])
def test_standard_finds_no_error(folder: Path, slug: str) -> None:
    report = subprocess.run(
        ["dciodvfy", str(sorted((folder / slug).iterdir())[3])], capture_output=True, text=True, check=False
    )
    lines = (report.stdout + report.stderr).splitlines()
    assert not [line for line in lines if line.startswith("Error")]
