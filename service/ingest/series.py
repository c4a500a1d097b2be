"""The image files of one series → one volume on a regular grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from pydicom.dataset import Dataset

from entrust.errors import GeometryConflictError, InvalidInputError, TooLargeError, UnsupportedMediaError
from entrust.volume import Volume
from service.ingest.frames import Frame, frames_of
from service.ingest.headers import attributes, describe, image_type, plain
from service.ingest.pixels import check_greyscale, real_world, stored_pixels
from service.ingest.stacking import Order, regular_grid, sort_planes
from service.study import Planes, Series, SeriesHeader, Warned


@dataclass(frozen=True, eq=False)
class _Stack:
    """The planes of one series in order; several may lie at one place."""

    frames: list[Frame]
    order: Order
    kept: list[int]  # index of the first frame at each place

    @property
    def planes(self) -> list[Frame]:
        return [self.frames[i] for i in self.kept]

    @property
    def repeats(self) -> int:
        return len(self.frames) - len(self.kept)


def inspect_series(
    members: Sequence[tuple[Path, Dataset]], dicom_modality: str, voxels_left: int
) -> tuple[SeriesHeader, int]:
    """Say what :func:`build_series` would build; pixels are read only where two slices lie at one place.

    Args:
        members: Files and their headers.
        dicom_modality: ``CT``, ``MR`` or ``PT``.
        voxels_left: How many voxels may still be read.

    Returns:
        The header, and the number of voxels.

    Raises:
        EnTrustError: As :func:`build_series`, save for what shows only in decoding.
    """
    stack = _stack(members, voxels_left)
    if stack.repeats:
        _check_repeats(_decode(stack.frames), stack.order)
    grid = regular_grid(stack.planes)
    header = stack.planes[0].header
    found = attributes(header) | _by_slice(stack.planes, _is_multi_frame(header))
    return SeriesHeader(
        uid=str(header.get("SeriesInstanceUID") or ""),
        dicom_modality=dicom_modality,
        description=describe(found),
        frame_of_reference_uid=str(header.get("FrameOfReferenceUID") or ""),
        attributes=found,
        num_images=grid.shape[0],
        grid=grid,
    ), int(np.prod(grid.shape))


def build_series(
    members: Sequence[tuple[Path, Dataset]], dicom_modality: str, voxels_left: int
) -> tuple[Series, list[Warned]]:
    """Build the volume of one series.

    Args:
        members: Files and their headers.
        dicom_modality: ``CT``, ``MR`` or ``PT``.
        voxels_left: How many voxels may still be read.

    Returns:
        The series, its slices in the order of increasing position along the normal, and the tolerances used.

    Raises:
        UnsupportedMediaError: Colour images, mosaics, or a compression that is not decoded.
        GeometryConflictError: Slices that do not form one regular grid.
        InvalidInputError: Damaged pixels or tags, or values that are not finite.
        TooLargeError: More voxels than are left.
    """
    stack = _stack(members, voxels_left)
    if not stack.repeats and len(stack.kept) > 1:
        regular_grid(stack.planes)  # refuse before decoding; a lone slice is decoded first, to name damage
    planes = _decode(stack.frames)
    _check_repeats(planes, stack.order)
    volume = Volume(np.stack([planes[i] for i in stack.kept]), regular_grid(stack.planes))

    warnings: list[Warned] = []
    if stack.repeats:
        warnings.append(Warned("duplicate-slice", f"{stack.repeats} slices were there twice, with equal pixels."))
    header = stack.planes[0].header
    multi_frame = _is_multi_frame(header)
    if dicom_modality == "MR" and str(header.get("PhotometricInterpretation")) == "MONOCHROME1":
        # Arbitrary units: what is meant is the picture, which this interpretation shows inverted.
        volume = volume.with_array(volume.array.max() + volume.array.min() - volume.array)
        warnings.append(Warned("monochrome1-inverted", "An MR series with inverted greyscale was turned around."))
    if not multi_frame and stack.kept not in (sorted(stack.kept), sorted(stack.kept, reverse=True)):
        warnings.append(Warned("slice-order-shuffled", "Slices came unordered and were sorted by position."))
    found = attributes(header) | _by_slice(stack.planes, multi_frame)
    return Series(
        uid=str(header.get("SeriesInstanceUID") or ""),
        dicom_modality=dicom_modality,
        description=describe(found),
        frame_of_reference_uid=str(header.get("FrameOfReferenceUID") or ""),
        volume=volume,
        units={"CT": "HU", "MR": "arbitrary"}.get(dicom_modality) or _pet_units(header),
        attributes=found,
        datasets=_datasets(stack),
    ), warnings


def stack_planes(members: Sequence[tuple[Path, Dataset]], voxels_left: int) -> Planes:
    """Put the planes of a series in order; pixels are not read.

    Args:
        members: Files and their headers.
        voxels_left: How many voxels the series may have.

    Raises:
        EnTrustError: As :func:`build_series`, save for what shows only in decoding.
    """
    stack = _stack(members, voxels_left)
    uid = str(stack.planes[0].header.get("SeriesInstanceUID") or "")
    return Planes(uid, _datasets(stack), regular_grid(stack.planes))


def _stack(members: Sequence[tuple[Path, Dataset]], voxels_left: int) -> _Stack:
    frames = _frames(members)
    if len(frames) * int(np.prod(frames[0].shape)) > voxels_left:
        raise TooLargeError("The volumes have too many voxels.", fix="Send fewer or smaller series.")
    order = sort_planes(frames)
    new = np.diff(order.place, prepend=-1) > 0
    return _Stack(frames, order, [int(i) for i in order.index[new]])


def _datasets(stack: _Stack) -> tuple[Dataset, ...]:
    """Return the header of every plane, or of the one object that holds them all."""
    header = stack.planes[0].header
    return (header,) if _is_multi_frame(header) else tuple(frame.header for frame in stack.planes)


def _is_multi_frame(header: Dataset) -> bool:
    return "PerFrameFunctionalGroupsSequence" in header


def _frames(members: Sequence[tuple[Path, Dataset]]) -> list[Frame]:
    """Return all image planes of a series, after refusing what cannot be one volume whatever the planes say."""
    for _, header in members:
        check_greyscale(header)
        if "MOSAIC" in image_type(header):
            raise UnsupportedMediaError(
                "The images are mosaics: each holds many slices side by side, and does not say where they lie.",
                fix="Export the series as enhanced multi-frame DICOM, or as one image per slice.",
            )
    if len(members) > 1 and any(_is_multi_frame(header) for _, header in members):
        raise GeometryConflictError(
            "The series holds several multi-frame objects: several volumes, or parts of one.",
            fix="Send one volume per series.",
            details={"objects": len(members)},
        )
    if len({str(header.get("FrameOfReferenceUID") or "") for _, header in members}) > 1:
        raise GeometryConflictError(
            "Slices of one series lie in different frames of reference.", fix="Send one acquisition per series."
        )
    frames = [frame for path, header in members for frame in frames_of(path, header)]
    if not frames:
        raise InvalidInputError("The multi-frame object has no frames.")
    return frames


def _decode(frames: Sequence[Frame]) -> list[Float[np.ndarray, "h w"]]:
    planes = []
    path, stored = None, np.empty((0, 0, 0))
    for frame in frames:
        if frame.path != path:
            path, stored = frame.path, stored_pixels(frame.path)
        if frame.index >= len(stored):
            raise InvalidInputError("The multi-frame object holds fewer frames than it says.")
        planes.append(real_world(frame, stored[frame.index]))
    return planes


def _check_repeats(planes: Sequence[Float[np.ndarray, "h w"]], order: Order) -> None:
    for (a, b), (at, also_at) in zip(pairwise(order.index), pairwise(order.place), strict=True):
        if at == also_at and not np.array_equal(planes[a], planes[b]):
            raise GeometryConflictError(
                "Several slices with different pixels lie at one position: several time points, echoes or "
                "reconstructions in one series.",
                fix="Send one volume per series.",
                details={"slices": len(order.index), "positions": int(order.place[-1]) + 1},
            )


def _by_slice(frames: Sequence[Frame], multi_frame: bool) -> dict[str, Any]:
    """Return what differs by slice: frame numbers (from 1) of multi-frame objects, acquisition times of others."""
    if multi_frame:
        return {"FrameNumbers": tuple(frame.index + 1 for frame in frames)}
    times = tuple(
        (plain(f.header.get("AcquisitionDate")) or "", plain(f.header.get("AcquisitionTime")) or "") for f in frames
    )
    return {"AcquisitionTimes": times}


def _pet_units(header: Dataset) -> str:
    """Return the units of PET values; enhanced objects state them in the real-world value mapping."""
    units = str(header.get("Units") or "")
    for group in [*(header.get("SharedFunctionalGroupsSequence") or []), header]:
        for mapping in group.get("RealWorldValueMappingSequence") or []:
            for code in mapping.get("MeasurementUnitsCodeSequence") or []:
                said = str(code.get("CodeValue") or "")
                units = units or {"Bq/ml": "BQML", "{SUVbw}g/ml": "GML", "g/ml{SUVbw}": "GML"}.get(said, "")
    return {"BQML": "BQML", "GML": "SUV"}.get(units, "arbitrary")
