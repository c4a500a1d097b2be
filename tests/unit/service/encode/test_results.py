import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrust.volume import Grid
from service.encode.results import to_source_geometry
from tests.factories.dicom_cases import CENTRE_MM, MODEL_GRID, answer
from tests.factories.dicom_series import plane_grid
from tests.factories.trust_maps import ball, case_of, nifti_series, trust_map_of


@pytest.mark.parametrize("plane", ["axial", "sagittal", "coronal", "oblique"])
def test_a_ball_stays_where_it_is_on_every_orientation(plane: str) -> None:
    grid = plane_grid(plane, (16, 40, 40), (3.0, 1.5, 1.5), CENTRE_MM)
    case = case_of(MODEL_GRID, {"ct": nifti_series(grid, "ct")})
    results = to_source_geometry(case, answer(case))
    expected = ball(grid, CENTRE_MM, 11.0)
    dice = 2.0 * (results.label_map & expected).sum() / (results.label_map.sum() + expected.sum())
    assert dice > 0.9  # the outline lies between voxels of two grids
    centroid_mm = grid.to_world(np.argwhere(results.label_map > 0).astype(float)).mean(axis=0)
    np.testing.assert_allclose(centroid_mm, CENTRE_MM, atol=0.8)


def test_on_its_own_grid_nothing_changes() -> None:
    case = case_of(MODEL_GRID, {"ct": nifti_series(MODEL_GRID, "ct")})
    trust_map = answer(case)
    results = to_source_geometry(case, trust_map)
    np.testing.assert_array_equal(results.label_map, trust_map.label_map)
    np.testing.assert_allclose(results.probability[0], trust_map.probability[1], atol=1e-6)
    np.testing.assert_allclose(results.error_probability, trust_map.error_probability, atol=1e-6)
    np.testing.assert_allclose(results.conflict, trust_map.conflict, atol=1e-6)


def test_where_the_model_did_not_look_there_is_background() -> None:
    around = Grid.axial((40, 60, 60), (3.27, 2.0, 2.0), (-44.0, -79.0, 10.0 - 12 * 3.27))
    case = case_of(MODEL_GRID, {"ct": nifti_series(around, "ct")})
    everything = np.ones(MODEL_GRID.shape, dtype=bool)
    results = to_source_geometry(case, trust_map_of(everything))
    inside = np.zeros(around.shape, dtype=bool)
    inside[12:28, 13:47, 13:47] = True
    np.testing.assert_array_equal(results.label_map > 0, inside)
    assert results.error_probability[~inside].max() == 0.0
    assert results.probability[0][~inside].max() == 0.0


def test_no_overlap_gives_an_empty_answer() -> None:
    far = Grid.axial((4, 5, 6), (3.0, 2.0, 2.0), (900.0, 900.0, 900.0))
    case = case_of(MODEL_GRID, {"ct": nifti_series(far, "ct")})
    results = to_source_geometry(case, answer(case))
    assert results.label_map.shape == (4, 5, 6)
    assert not results.label_map.any()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["axial", "sagittal", "coronal", "oblique"]))
def test_the_mask_is_the_argmax_of_the_probability_that_is_written(seed: int, plane: str) -> None:
    case = case_of(MODEL_GRID, {"ct": nifti_series(plane_grid(plane), "ct")})
    foreground = np.random.default_rng(seed).random(MODEL_GRID.shape, dtype=np.float32)
    results = to_source_geometry(case, trust_map_of(foreground > 0.5, foreground=foreground))
    np.testing.assert_array_equal(results.label_map, (results.probability[0] > 0.5).astype(np.uint8))
    assert 0.0 <= results.probability.min() <= results.probability.max() <= 1.0


def test_only_modalities_that_were_sent_have_an_attribution() -> None:
    case = case_of(MODEL_GRID, {slug: nifti_series(MODEL_GRID, slug) for slug in ("ct", "t1")})
    assert set(to_source_geometry(case, answer(case)).attribution) == {"ct", "t1"}
