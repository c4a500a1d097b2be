"""Results seen by programs that are not ours: dicom3tools for the objects, dcmqi for the geometry."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from entrust.contract import ONCOLOGY
from entrust.volume import Grid
from service.encode.encoding import encode_dicom
from service.encode.identity import Identity
from service.encode.objects import UNPAIRED
from service.encode.results import to_source_geometry
from service.ingest import IngestLimits, read_study
from service.resampling import from_sitk
from service.study import Case
from tests.factories.dicom_cases import answer, read_case, usual_grids, write_study
from tests.factories.selections import prepare
from tests.factories.trust_maps import CARD, PROVENANCE, case_of

LABEL = ONCOLOGY.labels[0].value


@pytest.fixture(scope="session")
def dciodvfy() -> str:
    return _tool("dciodvfy", "apt-get install dicom3tools")


@pytest.fixture(scope="session")
def dcentvfy() -> str:
    return _tool("dcentvfy", "apt-get install dicom3tools")


@pytest.fixture(scope="session")
def segimage2itkimage() -> str:
    return _tool("segimage2itkimage", "pip install dcmqi")


def _tool(name: str, how: str) -> str:
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin")
    if found is None:
        pytest.skip(f"{name} is not installed, so nobody but us has looked at the results: {how}")
    return found


def save_results(case: Case, folder: Path) -> list[Path]:
    """Write the DICOM results of a case into ``folder``."""
    folder.mkdir(exist_ok=True)
    results = to_source_geometry(case, answer(case))
    contents = encode_dicom(case, results, Identity.of(case, CARD, PROVENANCE))
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


def errors_of(tool: str, *arguments: str | Path) -> list[str]:
    done = subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]


@pytest.mark.parametrize("plane", ["axial", "sagittal", "coronal", "oblique"])
def test_dciodvfy_finds_no_error(plane: str, tmp_path: Path, dciodvfy: str) -> None:
    write_study(tmp_path / "study", usual_grids(plane))
    paths = save_results(read_case(tmp_path / "study"), tmp_path / "out")
    assert len(paths) == 3
    for path in paths:
        assert errors_of(dciodvfy, "-new", path) == [], path.name


@pytest.mark.parametrize("laterality", [None, "L"])
@pytest.mark.parametrize("body_part", [None, "EXTREMITY", "NOT A TERM", *sorted(UNPAIRED)[:2]])
def test_body_part_and_side_stay_valid(
    body_part: str | None, laterality: str | None, tmp_path: Path, dciodvfy: str
) -> None:
    tags = {"BodyPartExamined": body_part, "Laterality": laterality}
    write_study(tmp_path / "study", {"ct": usual_grids()["ct"]}, tags=tags)
    for path in save_results(read_case(tmp_path / "study"), tmp_path / "out"):
        assert errors_of(dciodvfy, "-new", path) == [], path.name


def test_results_and_sources_are_one_study_for_dcentvfy(tmp_path: Path, dcentvfy: str) -> None:
    write_study(tmp_path / "study", usual_grids())
    paths = save_results(read_case(tmp_path / "study"), tmp_path / "out")
    assert errors_of(dcentvfy, *sorted((tmp_path / "study").rglob("*.dcm")), *paths) == []


@pytest.mark.parametrize(
    ("plane", "shuffle_seed"),
    [("axial", None), ("sagittal", None), ("coronal", None), ("oblique", None), ("axial", 5), ("oblique", 6)],
)
def test_dcmqi_finds_the_mask_where_it_is(
    plane: str, shuffle_seed: int | None, tmp_path: Path, segimage2itkimage: str
) -> None:
    write_study(tmp_path / "study", usual_grids(plane), shuffle_seed=shuffle_seed)
    case = read_case(tmp_path / "study")
    save_results(case, tmp_path / "out")
    expected = to_source_geometry(case, answer(case)).label_map == LABEL
    _compare(segimage2itkimage, tmp_path / "out", expected, usual_grids(plane)["ct"])


def test_an_enhanced_multi_frame_object_passes_all(
    shared_data: Path, tmp_path: Path, dciodvfy: str, segimage2itkimage: str
) -> None:
    source = shared_data / "awkward_dicom" / "dcm_qa_enh" / "XA10" / "6_1.dcm"
    (series,) = read_study(source, limits=IngestLimits()).series
    grid = series.volume.grid
    middle_mm = grid.to_world((np.asarray([grid.shape]) - 1) / 2)[0]
    x, y, z = middle_mm - (34.0, 34.0, 26.0)
    case = case_of(Grid.axial((16, 34, 34), (3.27, 2.0, 2.0), (x, y, z)), {"t1": series})
    _check_everything(case, tuple(middle_mm), 15.0, tmp_path, dciodvfy, segimage2itkimage)


def test_a_real_study_passes_all(
    shared_data: Path, tmp_path: Path, dciodvfy: str, dcentvfy: str, segimage2itkimage: str
) -> None:
    folder = shared_data / "dicom_oncology" / "STS_001"
    case = prepare(read_study(folder, limits=IngestLimits()), ONCOLOGY)
    middle_mm = case.grid.to_world((np.asarray([case.grid.shape]) - 1) / 2)[0]
    _check_everything(case, tuple(middle_mm), 30.0, tmp_path, dciodvfy, segimage2itkimage)
    # against the reference alone: the three source series contradict each other in StudyTime and StudyDescription
    assert errors_of(dcentvfy, *(folder / "CT" / "image").glob("*.dcm"), *tmp_path.glob("*.dcm")) == []


def _check_everything(
    case: Case, centre_mm: tuple[float, float, float], radius_mm: float, folder: Path, dciodvfy: str, reader: str
) -> None:
    results = to_source_geometry(case, answer(case, centre_mm, radius_mm))
    for name, content in encode_dicom(case, results, Identity.of(case, CARD, PROVENANCE)).items():
        (folder / name).write_bytes(content)
        assert errors_of(dciodvfy, "-new", folder / name) == [], name
    _compare(reader, folder, results.label_map == LABEL, case.reference.volume.grid)


def _compare(reader: str, folder: Path, expected: np.ndarray, grid: Grid) -> None:
    """Compare what an independent reader makes of the segmentation with the mask on the source grid."""
    subprocess.run(
        [reader, "--inputDICOM", folder / "segmentation.dcm", "--outputDirectory", folder, "-t", "nii"],
        check=True,
        capture_output=True,
        timeout=120,
    )
    (path,) = folder.glob(f"*{LABEL}.nii.gz")
    read = from_sitk(sitk.ReadImage(str(path)))
    assert np.allclose(sorted(read.grid.spacing_mm), sorted(grid.spacing_mm), atol=1e-4)
    seen_mm = read.grid.to_world(np.argwhere(read.array > 0).astype(float))
    wanted_mm = grid.to_world(np.argwhere(expected).astype(float))
    index = grid.to_index(seen_mm)
    assert np.abs(index - np.rint(index)).max() < 0.01  # voxel centres fall on the source's voxel centres
    seen = np.zeros(grid.shape, dtype=bool)
    seen[tuple(np.rint(index).astype(int).T)] = True
    dice = 2.0 * (seen & expected).sum() / (seen.sum() + expected.sum())
    assert dice == 1.0
    assert np.linalg.norm(seen_mm.mean(axis=0) - wanted_mm.mean(axis=0)) < 1e-3
