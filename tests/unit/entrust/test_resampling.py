import numpy as np
import pytest
import SimpleITK as sitk

from entrust.errors import GeometryConflictError
from entrust.resampling import coverage, from_sitk, resample, to_sitk
from entrust.volume import Grid, Volume
from tests.factories.dicom_series import plane_grid

PLANES = ("axial", "sagittal", "coronal", "oblique")


def _world_mm(grid: Grid) -> np.ndarray:
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1).reshape(-1, 3)
    return grid.to_world(index.astype(float))


@pytest.mark.parametrize("plane", PLANES)
def test_sitk_and_back_is_the_identity(plane: str) -> None:
    grid = plane_grid(plane)
    array = np.random.default_rng(0).normal(size=grid.shape).astype(np.float32)
    again = from_sitk(to_sitk(Volume(array, grid)))
    assert again.grid.same_as(grid, tolerance_mm=1e-6)
    np.testing.assert_array_equal(again.array, array)


@pytest.mark.parametrize("plane", PLANES)
def test_sitk_sees_the_same_places(plane: str) -> None:
    grid = plane_grid(plane)
    image = to_sitk(Volume(np.zeros(grid.shape, np.float32), grid))
    np.testing.assert_allclose(
        image.TransformIndexToPhysicalPoint((3, 2, 1)), grid.to_world(np.array([[1.0, 2.0, 3.0]]))[0], atol=1e-9
    )


@pytest.mark.parametrize("plane", PLANES)
def test_linear_resampling_reproduces_a_linear_field(plane: str) -> None:
    """Linear interpolation is exact for a + b·x in millimetres, whatever the orientation of the source."""
    source = plane_grid(plane, shape=(30, 60, 60))
    slope = np.array([0.3, -0.2, 0.5])
    field = (_world_mm(source) @ slope + 4.0).reshape(source.shape).astype(np.float32)
    target = Grid.axial((7, 9, 8), (3.0, 2.5, 2.5), (2.0, -30.0, 25.0))
    assert coverage(source, target).all()
    out = resample(Volume(field, source), target, linear=True, outside=-99.0)
    np.testing.assert_allclose(out.array.ravel(), _world_mm(target) @ slope + 4.0, atol=2e-4)


def test_outside_takes_the_given_value_and_matches_coverage() -> None:
    source = plane_grid("oblique")
    target = Grid.axial((20, 40, 40), (4.0, 3.0, 3.0), (-50.0, -80.0, -5.0))
    out = resample(Volume(np.ones(source.shape, np.float32), source), target, linear=True, outside=-7.0)
    inside = coverage(source, target)
    assert 0.05 < inside.mean() < 0.9
    np.testing.assert_array_equal(out.array > 0, inside)
    assert (out.array[~inside] == -7.0).all()


def test_labels_keep_their_values_and_type() -> None:
    source = plane_grid("coronal")
    labels = np.random.default_rng(1).integers(0, 5, source.shape).astype(np.uint8)
    same = resample(Volume(labels, source), source, linear=False, outside=0)
    assert same.array.dtype == np.uint8
    np.testing.assert_array_equal(same.array, labels)
    mask = resample(Volume(labels > 2, source), source, linear=False, outside=0)
    assert mask.array.dtype == np.bool_
    np.testing.assert_array_equal(mask.array, labels > 2)


def test_strong_downsampling_does_not_alias() -> None:
    """A checkerboard of period two voxels has to fade to its mean on a grid four times coarser."""
    source = Grid.axial((4, 64, 64), (4.0, 0.5, 0.5), (0.0, 0.0, 0.0))
    board = np.indices(source.shape)[1:].sum(axis=0) % 2 * 100.0
    target = Grid.axial((4, 14, 14), (4.0, 2.0, 2.0), (2.0, 2.0, 0.0))
    smooth = resample(Volume(board.astype(np.float32), source), target, linear=True, outside=0.0)
    assert np.abs(smooth.array - 50.0).max() < 2.0
    sharp = resample(
        Volume(board.astype(np.float32), source), target, linear=True, outside=0.0, resolution_mm=(4.0, 0.5, 0.5)
    )
    assert np.abs(sharp.array - 50.0).max() > 40.0


def test_upsampling_does_not_blur() -> None:
    grid = Grid.axial((3, 20, 20), (3.0, 4.0, 4.0), (0.0, 0.0, 0.0))
    array = np.random.default_rng(2).normal(size=grid.shape).astype(np.float32)
    fine = Grid.axial((3, 39, 39), (3.0, 2.0, 2.0), (0.0, 0.0, 0.0))
    out = resample(Volume(array, grid), fine, linear=True, outside=0.0)
    np.testing.assert_allclose(out.array[:, ::2, ::2], array, atol=1e-5)


def test_colour_images_are_refused() -> None:
    with pytest.raises(GeometryConflictError):
        from_sitk(sitk.Image([3, 3, 3], sitk.sitkVectorUInt8, 3))
    with pytest.raises(GeometryConflictError):
        from_sitk(sitk.Image([3, 3], sitk.sitkUInt8))
