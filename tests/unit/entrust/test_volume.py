"""Geometry: index to patient and back, for any axes."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from entrust.errors import GeometryConflictError
from entrust.volume import Grid, Volume


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    """Grids of any orientation, handedness and spacing."""
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=3, max_size=3)))
    spacing = draw(st.lists(st.floats(0.3, 8), min_size=3, max_size=3))
    rotation = Rotation.random(rng=np.random.default_rng(draw(st.integers(0, 1000)))).as_matrix()
    rotation[:, 0] *= draw(st.sampled_from([-1, 1]))
    affine = np.eye(4)
    affine[:3, :3] = rotation * spacing
    affine[:3, 3] = draw(st.lists(st.floats(-500, 500), min_size=3, max_size=3))
    return Grid((shape[0], shape[1], shape[2]), affine)


@given(grids(), st.lists(st.floats(-50, 50), min_size=3, max_size=3))
def test_world_and_index_are_inverse(grid: Grid, index: list[float]) -> None:
    points = np.asarray([index])
    np.testing.assert_allclose(grid.to_index(grid.to_world(points)), points, atol=1e-6)


@given(grids())
def test_spacing_direction_and_origin_make_the_affine(grid: Grid) -> None:
    np.testing.assert_allclose(grid.direction * np.asarray(grid.spacing_mm), grid.affine[:3, :3], atol=1e-9)
    np.testing.assert_allclose(grid.direction.T @ grid.direction, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(grid.to_world(np.zeros((1, 3)))[0], grid.origin_mm)
    assert grid.voxel_volume_ml == pytest.approx(np.prod(grid.spacing_mm) / 1000)


@given(grids())
def test_world_positions_are_those_of_simpleitk(grid: Grid) -> None:
    image = sitk.Image(grid.shape[2], grid.shape[1], grid.shape[0], sitk.sitkUInt8)
    if np.linalg.det(grid.direction[:, ::-1]) < 0:
        return  # SimpleITK takes right-handed axes alone
    image.SetSpacing(grid.spacing_mm[::-1])
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(grid.direction[:, ::-1].ravel().tolist())
    index = np.asarray([[n - 1 for n in grid.shape]])
    expected = image.TransformIndexToPhysicalPoint([int(i) for i in index[0, ::-1]])
    np.testing.assert_allclose(grid.to_world(index)[0], expected, atol=1e-6)


@given(grids(), st.data())
def test_a_crop_keeps_every_voxel_in_its_place(grid: Grid, data: st.DataObject) -> None:
    start = [data.draw(st.integers(0, n - 1)) for n in grid.shape]
    shape = [data.draw(st.integers(1, n - s)) for n, s in zip(grid.shape, start, strict=True)]
    crop = grid.crop((start[0], start[1], start[2]), (shape[0], shape[1], shape[2]))
    last = np.asarray([shape]) - 1
    np.testing.assert_allclose(crop.to_world(last), grid.to_world(last + start), atol=1e-6)


def test_an_axial_grid_runs_to_superior_posterior_and_left() -> None:
    grid = Grid.axial((2, 3, 4), (3.27, 2.0, 1.5), (-10, -20, 30))
    np.testing.assert_allclose(grid.to_world(np.asarray([[1, 1, 1]])), [[-8.5, -18, 33.27]])
    assert grid.spacing_mm == pytest.approx((3.27, 2.0, 1.5))
    assert len(np.unique(grid.corners_mm(), axis=0)) == 8


def test_grids_are_the_same_within_a_tolerance() -> None:
    grid = Grid.axial((2, 3, 4), (1, 1, 1), (0, 0, 0))
    assert grid.same_as(Grid.axial((2, 3, 4), (1, 1, 1), (5e-4, 0, 0)))
    assert not grid.same_as(Grid.axial((2, 3, 4), (1, 1, 1), (5e-3, 0, 0)))
    assert not grid.same_as(Grid.axial((2, 3, 5), (1, 1, 1), (0, 0, 0)))


def test_what_is_no_grid_is_refused() -> None:
    flat = np.diag([1.0, 1.0, 0.0, 1.0])
    for shape, affine in [((0, 2, 2), np.eye(4)), ((2, 2, 2), flat), ((2, 2, 2), np.full((4, 4), np.nan))]:
        with pytest.raises(GeometryConflictError):
            Grid(shape, affine)
    with pytest.raises(GeometryConflictError, match="shape"):
        Volume(np.zeros((2, 2, 2)), Grid((2, 2, 3), np.eye(4)))
