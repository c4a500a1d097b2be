"""Cases as files: names, values and geometry of the public data sets, and DICOM that means what it says."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from entrust.errors import NotFoundError
from training.datasets.phantoms.dicom import HALF_LIFE_SECONDS
from training.datasets.phantoms.world.case import DOMAINS, make_case
from training.datasets.phantoms.world.layouts import LAYOUTS, export_case
from training.datasets.phantoms.world.splits import SPLITS, TEST


@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_hold_the_case_in_the_layouts_names_and_values(layout: str, tmp_path: Path) -> None:
    rule = LAYOUTS[layout]
    case = make_case(DOMAINS[rule.domain], TEST, 6)
    written = export_case(case, layout, tmp_path)
    assert len(written) == len(case.images) + 1
    for path, expected in zip(written, case.images, strict=False):
        image = sitk.ReadImage(str(path))
        assert np.array_equal(sitk.GetArrayFromImage(image), expected)
        assert image.GetSpacing() == pytest.approx(tuple(reversed(case.grid.spacing_mm)))
        assert image.GetOrigin() == pytest.approx(case.grid.origin_mm)
    stored = sitk.GetArrayFromImage(sitk.ReadImage(str(written[-1])))
    assert set(np.unique(stored)) <= set(rule.values)
    for ours, theirs in enumerate(rule.values):
        assert np.array_equal(stored == theirs, case.label == ours)


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        ("brats20", "BraTS20_Training_007/BraTS20_Training_007_t1ce.nii.gz"),
        ("brats21", "BraTS2021_00007/BraTS2021_00007_flair.nii.gz"),
        ("brats23", "BraTS-GLI-00007-000/BraTS-GLI-00007-000-t2f.nii.gz"),
        ("myops20", "imagesTr/myops_training_007_DE.nii.gz"),
        ("isles22", "ISLES-2022/sub-strokecase0007/ses-0001/anat/sub-strokecase0007_ses-0001_FLAIR.nii.gz"),
        ("isles22-rawdata", "rawdata/sub-strokecase0007/ses-0001/sub-strokecase0007_ses-0001_adc.nii.gz"),
        ("hecktor22", "imagesTr/CHUM-007__PT.nii.gz"),
    ],
)
def test_paths_are_those_of_the_data_set(layout: str, name: str, tmp_path: Path) -> None:
    export_case(make_case(DOMAINS[LAYOUTS[layout].domain], TEST, 6, depth=1), layout, tmp_path)
    assert (tmp_path / name).is_file()


def test_tumour_regions_add_up_as_brats_adds_them(tmp_path: Path) -> None:
    case = make_case(DOMAINS["brain"], TEST, 6)
    stored = sitk.GetArrayFromImage(sitk.ReadImage(str(export_case(case, "brats21", tmp_path)[-1])))
    for level, values in ((1, (1, 2, 4)), (2, (1, 4)), (3, (4,))):
        assert np.array_equal(np.isin(stored, values), case.label >= level)


def test_an_absent_modality_has_no_file(tmp_path: Path) -> None:
    case = make_case(DOMAINS["lesion"], SPLITS["shift-missing"], 0, depth=1)
    assert len(export_case(case, "isles22", tmp_path)) == 3
    assert len(export_case(case, "dicom", tmp_path)) == 2


def test_a_layout_of_another_domain_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="isles22"):
        export_case(make_case(DOMAINS["lesion"], TEST, 0, depth=1), "brats20", tmp_path)


@pytest.mark.parametrize("name", DOMAINS)
def test_dicom_gives_back_the_intensities(name: str, tmp_path: Path) -> None:
    case = make_case(DOMAINS[name], TEST, 1)
    files = export_case(case, "dicom", tmp_path)
    depth = case.grid.shape[0]
    assert len(files) == depth * len(case.domain.channels)
    studies = set()
    for index, channel in enumerate(case.domain.channels):
        for slice_number, path in enumerate(files[index * depth : (index + 1) * depth]):
            ds = pydicom.dcmread(path)
            studies.add((ds.StudyInstanceUID, ds.FrameOfReferenceUID))
            assert ds.Modality == channel.role.dicom_modality
            values = ds.pixel_array * float(ds.get("RescaleSlope", 1)) + float(ds.get("RescaleIntercept", 0))
            expected = case.images[index][slice_number]
            if channel.role.units == "SUV":
                drug = ds.RadiopharmaceuticalInformationSequence[0]
                decayed = float(drug.RadionuclideTotalDose) * 2 ** (-3600 / HALF_LIFE_SECONDS)
                values = values * float(ds.PatientWeight) * 1000 / decayed
            assert np.abs(values - expected).max() <= 1e-3 * max(1.0, float(np.abs(expected).max()))
            assert float(ds.ImagePositionPatient[2]) == pytest.approx(
                case.grid.origin_mm[2] + slice_number * case.grid.spacing_mm[0]
            )
    assert len(studies) == 1
