"""Real patients through ingest and prepare: cases equal the training images; odd studies get clear answers."""

from pathlib import Path

import numpy as np
import pytest

from entrust.contract import ONCOLOGY
from entrust.errors import GeometryConflictError
from entrust.normalisation import normalise
from entrust.resampling import coverage, resample
from service.ingest import read_nifti_study, read_study
from service.prepare.suv import to_suv
from service.study import Study
from tests.factories.selections import prepare

FILES = {"ct": "ct", "pet": "pet_suvx500", "t1": "mr_t1_norm4000"}


@pytest.mark.parametrize("patient", ["STS_001", "STS_010"])
def test_a_dicom_study_becomes_the_training_images(patient: str, shared_data: Path) -> None:
    """The NIfTI of the same patient is what the networks were trained on; scale of MR and PET is theirs."""
    study = read_study(shared_data / "dicom_oncology" / patient)
    assert study.skipped == {"not-an-image": 3}, "the structure sets"
    case = prepare(study, ONCOLOGY)
    assert case.missing == ()
    assert [series.units for series in case.used.values()] == ["HU", "SUV", "arbitrary"]

    folder = shared_data / "oncology_sts" / patient
    training = {
        s.role: s.volume for s in read_nifti_study({k: folder / f"{v}.nii.gz" for k, v in FILES.items()}).series
    }
    fov = read_nifti_study({"t1": folder / "mr_fov.nii.gz"}).series[0].volume
    start = training["ct"].grid.to_index(np.array([case.grid.origin_mm]))[0]
    assert np.abs(start - np.rint(start)).max() < 1e-3, "the model's grid is the training grid"
    first = np.rint(start).astype(int)
    assert (first >= 0).all()
    box = tuple(slice(a, a + n) for a, n in zip(first, case.grid.shape, strict=True))

    presence = {"ct": np.ones(fov.array.shape, bool), "pet": np.ones(fov.array.shape, bool), "t1": fov.array > 0}
    arrays = {"ct": training["ct"].array, "pet": training["pet"].array / 500.0, "t1": training["t1"].array}
    for i, modality in enumerate(ONCOLOGY.modalities):
        slug = modality.slug
        expected = normalise(modality, arrays[slug].astype(np.float32), presence[slug])[box]
        both = presence[slug][box] & case.presence[i]
        assert not (case.presence[i] & ~presence[slug][box]).any(), f"{slug}: presence beyond the training's"
        assert both.sum() > 0.85 * presence[slug][box].sum()
        difference = np.abs(case.images[i] - expected)[both]
        assert difference.mean() < {"ct": 4e-3, "pet": 5e-4, "t1": 5e-4}[slug], slug
        assert np.percentile(difference, 99) < {"ct": 0.04, "pet": 2e-3, "t1": 2e-3}[slug], slug
        assert np.corrcoef(case.images[i][both], expected[both])[0, 1] > 0.9998


@pytest.fixture(scope="module")
def raw_study(shared_data: Path) -> Study:
    return read_study(shared_data / "dicom_oncology_raw" / "STS_001")


def test_series_of_two_frames_of_reference_are_never_laid_over_each_other_silently(raw_study: Study) -> None:
    assert sorted(s.description for s in raw_study.series) == [
        "AXIAL SE T1 - RESEARCH",
        "AXIAL SE T2 FAT SAT - RESEARCH",
        "PET AC",
    ]
    assert "several-studies" in [w.code for w in raw_study.warnings]
    case = prepare(raw_study, ONCOLOGY)
    told = {w.code: w.message for w in case.warnings}
    if "t1" in case.used:
        assert case.registrations["t1"].disagreement_mm >= 0.0
        assert told.keys() & {"registered", "registration-doubtful"}
    else:
        assert "cannot be registered" in told["modality-unusable"]
        assert not case.registrations


def test_the_raw_mr_alone_is_used_and_its_t2_is_not_taken_for_a_t1(raw_study: Study) -> None:
    case = prepare(raw_study, ONCOLOGY, assignment={"pet": "none"})
    assert case.used["t1"].description == "AXIAL SE T1 - RESEARCH"
    assert case.missing == ("ct", "pet")
    assert case.presence[2].mean() > 0.9
    tissue = case.images[2][case.presence[2]]
    assert 0.0 < np.percentile(tissue, 95) < 1.0


def test_activity_becomes_the_suv_that_others_computed(raw_study: Study, shared_data: Path) -> None:
    """The cropped PET of the same patient was converted to SUV by its publishers, from the same acquisition."""
    (raw,) = [s for s in raw_study.series if s.dicom_modality == "PT"]
    assert raw.units == "BQML"
    suv, warnings = to_suv(raw)
    assert not warnings
    (published,) = read_study(shared_data / "dicom_oncology" / "STS_001" / "PET").series
    assert published.units == "SUV"
    grid = published.volume.grid
    assert coverage(raw.volume.grid, grid).all()
    ours = resample(raw.volume.with_array(suv), grid, linear=True, outside=0.0).array
    np.testing.assert_allclose(ours.mean(), published.volume.array.mean(), rtol=1e-3)
    np.testing.assert_allclose(ours.max(), published.volume.array.max(), rtol=1e-3)
    assert np.abs(ours - published.volume.array).max() < 2e-3


def test_brain_nifti_is_read_in_place(shared_data: Path) -> None:
    folder = shared_data / "brain_ms"
    study = read_nifti_study({"t1": folder / "p07_t1.nii.gz"})
    case = prepare(study, ONCOLOGY)
    assert case.missing == ("ct", "pet")
    whole = study.series[0].volume
    assert whole.array.shape == (126, 160, 127)
    low, high = case.grid.corners_mm().min(axis=0), case.grid.corners_mm().max(axis=0)
    assert (low >= whole.grid.corners_mm().min(axis=0) - 2.0).all()
    assert (high <= whole.grid.corners_mm().max(axis=0) + 2.0).all()
    assert (high - low > 110.0).all(), "the head is not cropped away"


def test_a_cine_is_no_volume(shared_data: Path) -> None:
    with pytest.raises(GeometryConflictError, match="different pixels lie at one position"):
        read_study(shared_data / "cardiac_bivme")
