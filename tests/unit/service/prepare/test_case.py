from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from entrust.contract import ONCOLOGY
from entrust.errors import GeometryConflictError, InvalidInputError, MissingModalityError
from entrust.normalisation import normalise
from entrust.region import axial_grid
from entrust.volume import Grid
from service.encode.codes import REGISTERED
from service.ingest import read_study
from service.study import Study
from tests.factories.dicom_cases import answer, encode_case, summary_of
from tests.factories.dicom_series import build_series, plane_grid, write_series
from tests.factories.selections import prepare
from tests.factories.two_frames import CT_GRID as TWO_FRAMES_GRID
from tests.factories.two_frames import imaged, rigid

CT_GRID = Grid.axial((12, 60, 50), (3.27, 2.0, 2.0), (-40.0, -50.0, 100.0))
PET_GRID = Grid.axial((12, 30, 25), (3.27, 4.0, 4.0), (-39.0, -49.0, 100.0))
MR_GRID = plane_grid("coronal", shape=(20, 18, 30), spacing_mm=(3.0, 2.0, 2.0), centre_mm=(10.3, 10.4, 118.5))
STUDY, FRAME = generate_uid(), generate_uid()


def _limb(grid: Grid, inside: float, outside: float) -> np.ndarray:
    """A cylinder of radius 25 mm along z through (10, 10)."""
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1).reshape(-1, 3).astype(float)
    world = grid.to_world(index)
    within = np.hypot(world[:, 0] - 10.0, world[:, 1] - 10.0) < 25.0
    return np.where(within, inside, outside).reshape(grid.shape)


def _series(slug: str, frame: str = FRAME, **more: object) -> list[Dataset]:
    grid, kind, inside, outside, number = {
        "ct": (CT_GRID, "CT", 40.0, -1000.0, 1),
        "pet": (PET_GRID, "PT", 6000.0, 0.0, 2),
        "t1": (MR_GRID, "MR", 500.0, 5.0, 3),
    }[slug]
    merged = {"study_uid": STUDY, "frame_of_reference_uid": frame, "series_number": number, **more}
    return build_series(_limb(grid, inside, outside), grid, kind, **merged)  # type: ignore[arg-type]


def _study(folder: Path, *series: list[Dataset]) -> Study:
    for number, datasets in enumerate(series):
        write_series(folder, datasets, f"s{number}")
    return read_study(folder)


def test_all_modalities_land_on_one_grid_in_their_units(tmp_path: Path) -> None:
    case = prepare(_study(tmp_path, _series("t1"), _series("ct"), _series("pet")), ONCOLOGY)
    assert case.missing == ()
    assert list(case.used) == ["ct", "pet", "t1"]
    assert case.reference is case.used["ct"]
    assert case.images.shape == case.presence.shape == case.intensities.shape == (3, *case.grid.shape)
    assert case.grid.spacing_mm == pytest.approx(ONCOLOGY.spacing_mm)
    np.testing.assert_array_equal(case.grid.direction, Grid.axial((1, 1, 1), (1.0, 1.0, 1.0), (0, 0, 0)).direction)
    at = tuple(case.grid.to_index(np.array([[10.0, 10.0, 118.0]]))[0].round().astype(int))
    suv = 6000.0 * 70_000.0 / (3.5e8 * 0.5 ** (3600.0 / 6586.2))
    np.testing.assert_allclose(case.intensities[(slice(None), *at)], [40.0, suv, 500.0], rtol=1e-3)
    for i, modality in enumerate(ONCOLOGY.modalities):
        again = normalise(modality, case.intensities[i], case.presence[i])
        np.testing.assert_array_equal(case.images[i], again)


def test_presence_follows_each_field_of_view(tmp_path: Path) -> None:
    case = prepare(_study(tmp_path, _series("ct"), _series("t1")), ONCOLOGY)
    index = np.stack(np.meshgrid(*map(np.arange, case.grid.shape), indexing="ij"), axis=-1).reshape(-1, 3).astype(float)
    within = MR_GRID.to_index(case.grid.to_world(index))
    expected = ((within > -0.5) & (within < np.asarray(MR_GRID.shape) - 0.5)).all(axis=1).reshape(case.grid.shape)
    np.testing.assert_array_equal(case.presence[2], expected)
    assert 0.1 < expected.mean() < 0.9
    assert not case.presence[1].any()
    assert (case.images[~case.presence] == 0).all()
    assert (case.intensities[~case.presence] == 0).all()


def test_padding_of_a_resampled_mr_is_absent(tmp_path: Path) -> None:
    series = _series("t1")
    for ds in series:
        pixels = np.frombuffer(ds.PixelData, "<u2").reshape(ds.Rows, ds.Columns).copy()
        pixels[:, :6] = 0
        ds.PixelData = pixels.tobytes()
    case = prepare(_study(tmp_path, _series("ct"), series), ONCOLOGY)
    first_mm = MR_GRID.to_world(np.array([[0.0, 0.0, 5.5]]))[0][0]
    x_mm = case.grid.to_world(np.stack([np.zeros(case.grid.shape[2])] * 2 + [np.arange(case.grid.shape[2])], axis=1))[
        :, 0
    ]
    seen = case.presence[2].any(axis=(0, 1))
    assert seen.any()
    assert not seen[x_mm < first_mm - 1.0].any()


def test_empty_air_is_cropped_away_with_a_margin(tmp_path: Path) -> None:
    case = prepare(_study(tmp_path, _series("ct")), ONCOLOGY)
    low, high = case.grid.corners_mm().min(axis=0), case.grid.corners_mm().max(axis=0)
    for axis in (0, 1):
        assert low[axis] + 2.0 >= -17.0 - 10.0
        assert low[axis] <= -15.0 - 9.0
        assert 35.0 + 9.0 <= high[axis] <= 35.0 + 12.0
    assert case.grid.shape[0] == CT_GRID.shape[0]


def test_a_missing_modality_is_said(tmp_path: Path) -> None:
    case = prepare(_study(tmp_path, _series("pet")), ONCOLOGY)
    assert case.missing == ("ct", "t1")
    assert [w.code for w in case.warnings] == ["modality-missing", "modality-missing"]
    assert case.reference is case.used["pet"]


def test_a_required_modality_is_required(tmp_path: Path) -> None:
    task = replace(ONCOLOGY, required=("ct",))
    with pytest.raises(MissingModalityError, match="CT"):
        prepare(_study(tmp_path, _series("pet")), task)


def test_the_cause_of_a_refused_series_is_told_where_it_is_needed(tmp_path: Path) -> None:
    holed = _series("ct")
    del holed[5]
    study = _study(tmp_path, holed, _series("pet"))
    assert "series-refused" in [w.code for w in prepare(study, ONCOLOGY).warnings]
    with pytest.raises(GeometryConflictError, match="missing"):
        prepare(study, replace(ONCOLOGY, required=("ct",)))
    with pytest.raises(GeometryConflictError, match="missing"):
        prepare(study, ONCOLOGY, assignment={"pet": "none"})


def test_pet_that_cannot_become_suv_is_left_out_unless_it_was_named(tmp_path: Path) -> None:
    study = _study(tmp_path, _series("ct"), _series("pet", tags={"PatientWeight": None}))
    case = prepare(study, ONCOLOGY)
    assert case.missing == ("pet", "t1")
    assert "modality-unusable" in [w.code for w in case.warnings]
    with pytest.raises(InvalidInputError, match="patient weight"):
        prepare(study, ONCOLOGY, assignment={"pet": "2"})
    with pytest.raises(InvalidInputError, match="patient weight"):
        prepare(study, ONCOLOGY, assignment={"ct": "none"})


def test_a_series_of_another_frame_that_cannot_be_registered_is_left_out_or_refused(tmp_path: Path) -> None:
    """The cylinder can be turned and moved along without a change: where it lies cannot be known."""
    study = _study(tmp_path, _series("ct"), _series("pet"), _series("t1", frame=generate_uid()))
    case = prepare(study, ONCOLOGY)
    assert case.missing == ("t1",)
    assert not case.registrations
    told = {w.code: w.message for w in case.warnings}
    assert "cannot be registered" in told["modality-unusable"]
    assert "modality-missing" in told
    with pytest.raises(GeometryConflictError, match="t1 series cannot be laid over the ct series") as raised:
        prepare(study, ONCOLOGY, assignment={"t1": "3"})
    assert "t1=none" in raised.value.fix
    assert prepare(study, ONCOLOGY, assignment={"t1": "none"}).missing == ("t1",)


def test_a_series_of_another_frame_is_registered_and_said_to_be(tmp_path: Path) -> None:
    moved = rigid((3.0, -2.0, 5.0), (30.0, -20.0, 400.0))
    grid = Grid.axial((24, 50, 52), (4.0, 2.5, 2.4), (-58.0 + 30.0, -60.0 - 20.0, 198.0 + 400.0))
    ct, t1 = imaged(TWO_FRAMES_GRID, "ct"), imaged(grid, "t1", moved)
    there = build_series(t1.array, grid, "MR", study_uid=STUDY, frame_of_reference_uid=generate_uid(), series_number=3)
    here = build_series(ct.array, ct.grid, "CT", study_uid=STUDY, frame_of_reference_uid=FRAME, series_number=1)
    case = prepare(_study(tmp_path, here, there), ONCOLOGY)
    found = case.registrations["t1"]
    assert not found.doubtful
    assert found.rotation_degrees == pytest.approx(6.2, abs=1.5)
    (told,) = [w.message for w in case.warnings if w.code == "registered"]
    assert "turned by" in told
    # the same limb, imaged in place: what the networks see is what they would have seen
    expected = imaged(case.grid, "t1")
    slug = ONCOLOGY.slugs.index("t1")
    both = case.presence[slug]
    assert both.mean() > 0.5
    assert np.corrcoef(case.intensities[slug][both], expected.array[both])[0, 1] > 0.9

    contents = encode_case(case)
    assert REGISTERED.value.encode() in contents["report.dcm"]
    summary = summary_of(case, answer(case))
    modality = next(one for one in summary.modalities if one.slug == "t1")
    assert modality.registration is not None
    assert modality.registration.disagreement_mm == found.disagreement_mm
    doubt = replace(case, registrations={"t1": replace(found, doubtful=True)})
    (segment,) = summary_of(doubt, answer(doubt)).segments
    assert segment.reliability == "low"
    assert "registration-doubtful" in segment.reasons
    assert b"REGISTRATION_DOUBTFUL" in encode_case(doubt)["report.dcm"]


def test_series_that_do_not_overlap_are_refused(tmp_path: Path) -> None:
    away = _series("pet")
    for ds in away:
        ds.ImagePositionPatient = [500.0, 500.0, float(ds.ImagePositionPatient[2])]
    with pytest.raises(GeometryConflictError, match="pet series does not overlap"):
        prepare(_study(tmp_path, _series("ct"), away), ONCOLOGY)


@pytest.mark.parametrize("plane", ["axial", "sagittal", "coronal", "oblique"])
def test_the_grid_covers_every_voxel_of_the_reference(plane: str) -> None:
    reference = plane_grid(plane)
    grid = axial_grid(reference, ONCOLOGY.spacing_mm)
    index = grid.to_index(reference.corners_mm())
    assert (index >= -0.5 - 1e-6).all()
    assert (index <= np.asarray(grid.shape) - 0.5 + 1e-6).all()


def test_an_axial_reference_of_the_same_spacing_keeps_its_planes() -> None:
    assert axial_grid(CT_GRID, ONCOLOGY.spacing_mm).same_as(CT_GRID)
