"""Volumes from one grid to another in LPS millimetres, through SimpleITK.

ITK's physical space is DICOM's: LPS, millimetres. Its index order (column, row, depth) is the reverse of ours.
"""

import numpy as np
import SimpleITK as sitk
from jaxtyping import Bool, Float

from entrust.errors import GeometryConflictError
from entrust.volume import Grid, Volume

_FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))
_LEAST_SIGMA_VOXELS = 0.2  # a narrower Gaussian changes less than the interpolation does


def to_sitk(volume: Volume) -> sitk.Image:
    """Return the volume as a SimpleITK image; booleans become 8-bit integers."""
    array = volume.array.astype(np.uint8) if volume.array.dtype == np.bool_ else volume.array
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    image.SetSpacing(volume.grid.spacing_mm[::-1])
    image.SetOrigin(volume.grid.origin_mm)
    image.SetDirection(volume.grid.direction[:, ::-1].ravel().tolist())
    return image


def from_sitk(image: sitk.Image) -> Volume:
    """Return a three-dimensional scalar SimpleITK image as a volume.

    Raises:
        GeometryConflictError: The image is not three-dimensional, or has several values per voxel.
    """
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise GeometryConflictError(
            "The image is not a volume of single values.", fix="Send three-dimensional images of one channel."
        )
    array = sitk.GetArrayFromImage(image)
    direction = np.asarray(image.GetDirection()).reshape(3, 3)
    affine = np.eye(4)
    affine[:3, :3] = (direction * np.asarray(image.GetSpacing()))[:, ::-1]  # columns: depth, row, column
    affine[:3, 3] = image.GetOrigin()
    return Volume(array, Grid(array.shape, affine))


def resample(
    volume: Volume,
    grid: Grid,
    *,
    linear: bool,
    outside: float,
    resolution_mm: tuple[float, float, float] | None = None,
) -> Volume:
    """Return the volume sampled on another grid.

    A linear resampling to a coarser grid is preceded by a Gaussian low-pass: its width adds to the source's voxel
    what the target's voxel lacks (full widths at half maximum add in squares), so that nothing aliases and nothing
    that is already coarse is blurred further.

    Args:
        volume: Source.
        grid: Target.
        linear: Interpolate; otherwise take the nearest voxel, as labels need.
        outside: Value where the source has no voxel.
        resolution_mm: Full width at half maximum to low-pass to, along the target's (depth, row, column); the
            target's spacing by default.

    Returns:
        float32 when ``linear``, else of the source's type.
    """
    image = to_sitk(volume)
    if linear:
        image = _low_passed(sitk.Cast(image, sitk.sitkFloat32), volume.grid, grid, resolution_mm or grid.spacing_mm)
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize(grid.shape[::-1])
    resampler.SetOutputSpacing(grid.spacing_mm[::-1])
    resampler.SetOutputOrigin(grid.origin_mm)
    resampler.SetOutputDirection(grid.direction[:, ::-1].ravel().tolist())
    resampler.SetInterpolator(sitk.sitkLinear if linear else sitk.sitkNearestNeighbor)
    resampler.SetDefaultPixelValue(outside)
    array = sitk.GetArrayFromImage(resampler.Execute(image))
    return Volume(array if linear else array.astype(volume.array.dtype), grid)


def coverage(source: Grid, target: Grid) -> Bool[np.ndarray, "d h w"]:
    """Tell which of the target's voxel centres lie inside the source's voxels (half a voxel beyond its centres)."""
    to_source = np.linalg.inv(source.affine) @ target.affine
    inside = np.ones(target.shape, dtype=bool)
    for axis, size in enumerate(source.shape):
        d, h, w = (np.arange(n) * to_source[axis, i] for i, n in enumerate(target.shape))
        index = d[:, None, None] + h[:, None] + w + to_source[axis, 3]
        inside &= (index >= -0.5 - 1e-6) & (index <= size - 0.5 + 1e-6)
    return inside


def _low_passed(image: sitk.Image, source: Grid, target: Grid, resolution_mm: tuple[float, float, float]) -> sitk.Image:
    sigma_mm = _sigma_mm(source, target, resolution_mm)
    for axis, (sigma, spacing) in enumerate(zip(sigma_mm, source.spacing_mm, strict=True)):
        if sigma > _LEAST_SIGMA_VOXELS * spacing:
            variance = [0.0, 0.0, 0.0]
            variance[2 - axis] = float(sigma**2)  # ITK counts (column, row, depth)
            image = sitk.DiscreteGaussian(image, variance, 128, 0.001, True)
    return image


def _sigma_mm(source: Grid, target: Grid, resolution_mm: tuple[float, float, float]) -> Float[np.ndarray, "3"]:
    """Return the low-pass along the source's (depth, row, column)."""
    # |cosine| between a source axis and each target axis: how much of each target width falls on that axis.
    cosines = np.abs(source.direction.T @ target.direction)
    wanted_mm = (cosines * np.asarray(resolution_mm)).max(axis=1)
    lacking = np.maximum(wanted_mm**2 - np.asarray(source.spacing_mm) ** 2, 0.0)
    return np.asarray(np.sqrt(lacking) / _FWHM_PER_SIGMA)
