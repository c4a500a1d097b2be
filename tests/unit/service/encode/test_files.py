"""Names, NIfTI, picture and summary."""

import gzip
import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image
from pydicom import dcmread

from entrust.resampling import from_sitk
from service.encode import encode, encode_objects
from service.encode.montage import MAX_ROWS, choose_slices, draw_montage
from service.encode.nifti import encode_nifti, encode_nifti_channels
from service.encode.results import to_source_geometry
from service.study import Case
from tests.factories.dicom_cases import MODEL_GRID, answer, read_case, summary_of, usual_grids, write_study
from tests.factories.dicom_series import plane_grid
from tests.factories.trust_maps import CARD, PROVENANCE, case_of, nifti_series, trust_map_of

COMMON = {
    "mask.nii.gz",
    "probability.nii.gz",
    "error_probability.nii.gz",
    "conflict.nii.gz",
    "montage.png",
    "summary.json",
}


def nifti_case() -> Case:
    return case_of(MODEL_GRID, {slug: nifti_series(plane_grid("oblique"), slug) for slug in ("ct", "pet")})


def test_a_nifti_study_has_everything_but_dicom() -> None:
    case = nifti_case()
    trust_map = answer(case)
    files = encode(case, trust_map, summary_of(case, trust_map), CARD, PROVENANCE)
    assert {f.name for f in files} == COMMON | {"attribution_ct.nii.gz", "attribution_pet.nii.gz"}


def test_a_dicom_study_has_dicom_too_and_no_patient_in_the_summary(tmp_path: Path) -> None:
    datasets = write_study(tmp_path, {"ct": usual_grids()["ct"]})["ct"]
    case = read_case(tmp_path)
    trust_map = answer(case)
    files = {f.name: f for f in encode(case, trust_map, summary_of(case, trust_map), CARD, PROVENANCE)}
    assert set(files) == COMMON | {
        "segmentation.dcm",
        "error_probability.dcm",
        "conflict.dcm",
        "report.dcm",
        "attribution_ct.nii.gz",
    }
    assert {files[name].media_type for name in files if name.endswith(".dcm")} == {"application/dicom"}
    ds = datasets[0]
    text = files["summary.json"].content.decode()
    for secret in (ds.PatientID, ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.StudyDate, ds.FrameOfReferenceUID):
        assert secret not in text
    assert '"series_number": 1' in text
    objects = encode_objects(case, trust_map, summary_of(case, trust_map), CARD, PROVENANCE)
    assert set(objects) == {name for name in files if name.endswith(".dcm")}, "who keeps DICOM alone gets the same"
    for name, content in objects.items():
        assert dcmread(BytesIO(content)).SOPInstanceUID == dcmread(BytesIO(files[name].content)).SOPInstanceUID


@pytest.mark.parametrize("plane", ["axial", "sagittal", "oblique"])
def test_nifti_is_read_back_at_the_same_place(plane: str, tmp_path: Path) -> None:
    grid = plane_grid(plane)
    values = np.random.default_rng(1).random(grid.shape, dtype=np.float32)
    (tmp_path / "v.nii.gz").write_bytes(encode_nifti(values, grid))
    read = from_sitk(sitk.ReadImage(str(tmp_path / "v.nii.gz")))
    assert read.grid.same_as(grid, 1e-3)
    np.testing.assert_allclose(read.array, values, atol=5.1e-5)


def test_the_affine_in_the_file_is_ras() -> None:
    content = gzip.decompress(encode_nifti(np.zeros((3, 4, 5), dtype=np.uint8), plane_grid("axial", (3, 4, 5))))
    rows = np.frombuffer(content, "<f4", 12, offset=280).reshape(3, 4)  # sform of NIfTI-1
    grid = plane_grid("axial", (3, 4, 5))
    index = np.array([4.0, 3.0, 2.0, 1.0])  # column, row, slice
    np.testing.assert_allclose(
        rows @ index, grid.to_world(np.array([[2.0, 3.0, 4.0]]))[0] * [-1.0, -1.0, 1.0], atol=1e-3
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_probabilities_are_one_volume_per_label_on_the_fourth_axis(channels: int) -> None:
    grid = plane_grid("axial")
    values = np.random.default_rng(1).random((channels, *grid.shape), dtype=np.float32)
    content = gzip.decompress(encode_nifti_channels(values, grid))
    assert struct.unpack("<5h", content[40:50]) == (4, *grid.shape[::-1], channels)
    stored = np.frombuffer(content, "<f4", values.size, offset=352).reshape(values.shape)
    np.testing.assert_allclose(stored, values, atol=5.1e-5)


def test_the_same_answer_gives_the_same_bytes() -> None:
    case = nifti_case()
    trust_map = answer(case)
    summary = summary_of(case, trust_map)
    once, again = (encode(case, trust_map, summary, CARD, PROVENANCE) for _ in range(2))
    assert once == again
    assert not once[0].content[3] & 0x08  # gzip: no file name
    assert once[0].content[4:8] == bytes(4)  # gzip: no time


def test_values_in_nifti_are_those_of_the_results(tmp_path: Path) -> None:
    case = nifti_case()
    trust_map = answer(case)
    results = to_source_geometry(case, trust_map)
    for file in encode(case, trust_map, summary_of(case, trust_map), CARD, PROVENANCE):
        (tmp_path / file.name).write_bytes(file.content)
    for name, expected in (
        ("mask", results.label_map),
        ("error_probability", results.error_probability),
        ("conflict", results.conflict),
        ("attribution_pet", results.attribution["pet"]),
    ):
        read = from_sitk(sitk.ReadImage(str(tmp_path / f"{name}.nii.gz")))
        np.testing.assert_allclose(read.array, expected, atol=5.1e-5)
        assert read.grid.same_as(results.grid, 1e-3)
    assert sitk.ReadImage(str(tmp_path / "mask.nii.gz")).GetPixelID() == sitk.sitkUInt8


@pytest.mark.parametrize("found", [True, False])
@pytest.mark.parametrize("slugs", [("ct", "pet", "t1"), ("pet",), ("t1",)])
def test_a_picture_is_drawn_whatever_was_found_and_sent(found: bool, slugs: tuple[str, ...]) -> None:
    values = np.random.default_rng(0).random((3, *MODEL_GRID.shape), dtype=np.float32) * 100
    case = case_of(MODEL_GRID, {slug: nifti_series(MODEL_GRID, slug) for slug in slugs}, intensities=values)
    nothing = np.zeros(MODEL_GRID.shape, dtype=bool)
    zeros = np.zeros(MODEL_GRID.shape, dtype=np.float32)
    trust_map = answer(case) if found else trust_map_of(nothing, foreground=zeros, error_probability=zeros)
    content = draw_montage(case, trust_map, summary_of(case, trust_map))
    with Image.open(BytesIO(content)) as image:
        image.load()
        columns = len(slugs) + 3
        assert image.width == pytest.approx(columns * 215, abs=2)
        assert len(set(image.convert("L").tobytes())) > 50
    assert content == draw_montage(case, trust_map, summary_of(case, trust_map))


def test_the_picture_spans_the_structure_from_superior_to_inferior() -> None:
    mask = np.zeros((40, 8, 8), dtype=bool)
    mask[8:32, 2:6, 2:6] = True
    trust_map = trust_map_of(mask)
    slices = choose_slices(trust_map, mask)
    assert slices == sorted(slices, reverse=True)
    assert len(set(slices)) == MAX_ROWS
    assert min(slices) >= 8
    assert max(slices) < 32
    assert max(slices) - min(slices) >= 12
