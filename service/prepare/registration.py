"""One series onto another that lies in a different frame of reference: rigidly, and judged before it is believed.

Coordinates of two frames of reference have nothing to do with each other, so there is no start but the images. Three
searches begin apart from each other; how far those that fit equally well end from each other is what is not known.

Source: Mattes et al., *PET-CT image registration in the chest using free-form deformations*, IEEE TMI 22 (2003), for
the measure (mutual information of binned intensities); the search is SimpleITK's.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from jaxtyping import Bool, Float

from entrust.errors import GeometryConflictError
from entrust.resampling import resample, to_sitk
from entrust.volume import Grid, Volume
from service.study import Registration

SPACING_MM = 4.0
"""What is compared has voxels of this size: fine enough for a tenth of a voxel, coarse enough for a second's work."""
BINS, SAMPLES, SEED = 32, 0.5, 1
MOST_SAMPLES = 250_000
"""Of one comparison: a whole body has some ten times the voxels of a limb, and needs no more of them."""
STARTS_MM = ((0.0, 0.0, 0.0), (8.0, -6.0, 10.0), (-8.0, 6.0, -10.0))
"""Where the searches begin, beside the place where the bodies' centres meet."""
STARTS_DEGREES = (0.0, 3.0, -3.0)
GOOD_MM, WORST_MM = 3.0, 8.0
"""How far the answers may lie from each other, at the body's edge: for no doubt, and for any use."""
GOOD_OVERLAP, LEAST_OVERLAP = 0.75, 0.4
"""Share of the smaller body that lies within the other one."""
GOOD_DEGREES, MOST_DEGREES = 15.0, 35.0
"""How far a patient is turned between two scans of one study."""
LEAST_INFORMATION = 0.2
"""Mutual information in nats per voxel of the body, below which the images do not show the same thing."""
AS_GOOD = 0.97
"""A search that found less than this share of the best one's information got stuck, and says nothing of the place."""


@dataclass(frozen=True)
class _Answer:
    """Where one search ended: a rigid map from the fixed image's world to the moving one's, and its information."""

    matrix: Float[np.ndarray, "4 4"]
    information_nats: float


def register(fixed: Volume, moving: Volume) -> tuple[Float[np.ndarray, "4 4"], Registration]:
    """Find where a volume lies in the space of another.

    Args:
        fixed: The reference; body bright, air dark.
        moving: The volume that is to be laid over it.

    Returns:
        The rigid map from the moving volume's world to the fixed one's (LPS, mm), and how well it is known.

    Raises:
        GeometryConflictError: It is not known well enough for any use; the message says why.
    """
    here, there = _coarse(fixed), _coarse(moving)
    here_body, there_body = body(here.array), body(there.array)
    if not (here_body.any() and there_body.any()):
        raise _refused("one of the images shows nothing")
    answers = [
        _search(here, there, here_body, there_body, np.asarray(start), float(np.deg2rad(turn)))
        for start, turn in zip(STARTS_MM, STARTS_DEGREES, strict=True)
    ]
    middle = int(np.argmax([answer.information_nats for answer in answers]))
    best = answers[middle]
    edge_mm = _edge(here, here_body)
    places = [
        edge_mm @ answer.matrix[:3, :3].T + answer.matrix[:3, 3]
        for answer in answers
        if answer.information_nats >= AS_GOOD * best.information_nats
    ]
    at = edge_mm @ best.matrix[:3, :3].T + best.matrix[:3, 3]
    apart_mm = max(float(np.linalg.norm(place - at, axis=1).max()) for place in places)
    overlap = _overlap(here, there, here_body, there_body, best.matrix)
    turned = float(np.rad2deg(np.arccos(np.clip((np.trace(best.matrix[:3, :3]) - 1.0) / 2.0, -1.0, 1.0))))
    faults = (
        (best.information_nats < LEAST_INFORMATION, "nothing in the one tells of the other"),
        (overlap < LEAST_OVERLAP, "they show different parts of the body"),
        (turned > MOST_DEGREES, "one would have to be turned further than patients turn"),
        (apart_mm > WORST_MM, "several places fit equally well"),
    )
    for holds, why in faults:
        if holds:
            raise _refused(why)
    alone = len(places) == 1  # nothing confirms it
    doubtful = alone or apart_mm > GOOD_MM or overlap < GOOD_OVERLAP or turned > GOOD_DEGREES
    inverse = np.linalg.inv(best.matrix)
    centre = edge_mm.mean(axis=0)
    moved = best.matrix[:3, :3] @ centre + best.matrix[:3, 3] - centre
    return inverse, Registration(
        rotation_degrees=round(turned, 2),
        translation_mm=round(float(np.linalg.norm(moved)), 2),
        disagreement_mm=WORST_MM if alone else round(apart_mm, 2),
        overlap=round(overlap, 3),
        doubtful=doubtful,
    )


def body(array: Float[np.ndarray, "d h w"]) -> Bool[np.ndarray, "d h w"]:
    """Tell the body from the air around it.

    A threshold by Otsu finds what is bright; a second one below the darker quarter of that finds the rest of the body:
    in PET the first finds only what takes up much, in MR only fat. The largest piece is kept, its holes are filled.
    """
    low = float(np.percentile(array, 1.0))
    bright = _above(array, low, float(np.percentile(array, 99.0)))
    found = _above(array, low, float(np.percentile(array[bright], 25.0))) if bright.any() else bright
    mask = sitk.BinaryMorphologicalClosing(sitk.GetImageFromArray(found.astype(np.uint8)), (1, 1, 1))
    pieces = sitk.RelabelComponent(sitk.ConnectedComponent(mask), sortByObjectSize=True)
    return np.asarray(sitk.GetArrayFromImage(sitk.BinaryFillhole(pieces == 1)).astype(bool))


def _above(array: Float[np.ndarray, "d h w"], low: float, high: float) -> Bool[np.ndarray, "d h w"]:
    image = sitk.GetImageFromArray(np.clip(array, low, max(high, low + 1e-6)).astype(np.float32))
    return np.asarray(sitk.GetArrayFromImage(sitk.OtsuThreshold(image, 0, 1, 128)).astype(bool))


def _refused(why: str) -> GeometryConflictError:
    return GeometryConflictError(
        f"Two series lie in different frames of reference and cannot be registered: {why}.",
        fix="Send series of one frame of reference (registered to each other), or leave one out.",
    )


def _coarse(volume: Volume) -> Volume:
    """Return the volume with voxels of about ``SPACING_MM`` on its own axes, values clipped to what tissue has."""
    spacing = np.asarray(volume.grid.spacing_mm)
    shape = np.maximum(np.floor(np.asarray(volume.grid.shape) * spacing / SPACING_MM), 1).astype(int)
    shape = np.where(spacing >= SPACING_MM, volume.grid.shape, shape)
    step = np.asarray(volume.grid.shape) / shape
    affine = volume.grid.affine.copy()
    affine[:3, :3] = volume.grid.affine[:3, :3] * step
    affine[:3, 3] = volume.grid.to_world(((step - 1.0) / 2.0)[None])[0]
    grid = Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)
    array = np.where(np.isfinite(volume.array), volume.array, 0.0).astype(np.float32)
    low, high = np.percentile(array, [1.0, 99.5])
    sampled = resample(volume.with_array(np.clip(array, low, high)), grid, linear=True, outside=float(low)).array
    return Volume(((sampled - low) / max(high - low, 1e-6)).astype(np.float32), grid)


def _search(
    fixed: Volume,
    moving: Volume,
    fixed_body: Bool[np.ndarray, "d h w"],
    moving_body: Bool[np.ndarray, "d h w"],
    start_mm: Float[np.ndarray, "3"],
    turn: float,
) -> _Answer:
    centre, other = _centre(fixed, fixed_body), _centre(moving, moving_body)
    transform = sitk.Euler3DTransform()
    transform.SetCenter(centre.tolist())
    transform.SetParameters([turn, -turn, turn, *(other - centre + start_mm).tolist()])
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)  # sums in one order: the same bits on every machine
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(min(SAMPLES, MOST_SAMPLES / fixed.array.size), SEED)
    near = sitk.GetImageFromArray(fixed_body.astype(np.uint8))
    image = to_sitk(fixed)
    near.CopyInformation(image)
    method.SetMetricFixedMask(sitk.BinaryDilate(near, (3, 3, 3)))
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(4.0, 0.02, 200, 0.6, 1e-5)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([3, 2, 1])
    method.SetSmoothingSigmasPerLevel([8.0, 4.0, 0.0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(image, to_sitk(moving))
    except RuntimeError:  # the images slid apart
        return _Answer(np.eye(4), 0.0)
    matrix = np.eye(4)
    matrix[:3, :3] = np.asarray(transform.GetMatrix()).reshape(3, 3)
    middle = np.asarray(transform.GetCenter())
    matrix[:3, 3] = middle + np.asarray(transform.GetTranslation()) - matrix[:3, :3] @ middle
    return _Answer(matrix, -float(method.GetMetricValue()))


def _centre(volume: Volume, mask: Bool[np.ndarray, "d h w"]) -> Float[np.ndarray, "3"]:
    return np.asarray(volume.grid.to_world(np.argwhere(mask).mean(axis=0)[None])[0])


def _edge(volume: Volume, mask: Bool[np.ndarray, "d h w"]) -> Float[np.ndarray, "8 3"]:
    """Return the corners of the box around the body."""
    places = np.argwhere(mask)
    ends = np.stack([places.min(axis=0), places.max(axis=0)])
    corners = np.asarray([[ends[i, 0], ends[j, 1], ends[k, 2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)], float)
    return volume.grid.to_world(corners)


def _overlap(
    fixed: Volume,
    moving: Volume,
    fixed_body: Bool[np.ndarray, "d h w"],
    moving_body: Bool[np.ndarray, "d h w"],
    matrix: Float[np.ndarray, "4 4"],
) -> float:
    """Return how much of the smaller body lies within the other one."""
    placed = placed_in(moving.grid, np.linalg.inv(matrix))
    there = resample(Volume(moving_body, placed), fixed.grid, linear=False, outside=0.0).array.astype(bool)
    voxel, other_voxel = fixed.grid.voxel_volume_ml, moving.grid.voxel_volume_ml
    smaller_ml = min(fixed_body.sum() * voxel, moving_body.sum() * other_voxel)
    return min(float((fixed_body & there).sum() * voxel / max(smaller_ml, 1e-6)), 1.0)


def placed_in(grid: Grid, matrix: Float[np.ndarray, "4 4"]) -> Grid:
    """Return a grid moved rigidly: its voxels stay what they are, and are interpolated once, later."""
    return Grid(grid.shape, matrix @ grid.affine)
