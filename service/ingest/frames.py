"""One image plane of a DICOM object: where it lies and how its stored values become real ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from pydicom.dataset import Dataset

from entrust.errors import EnTrustError, GeometryConflictError, InvalidInputError
from service.ingest.headers import PARSE_FAILURES

_ORTHONORMAL_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Frame:
    """One image plane.

    Attributes:
        path: File that holds it.
        index: Frame in the file, from 0.
        header: Tags of the file, without pixels.
        position_mm: LPS of the first pixel's centre (PS3.3 C.7.6.2.1.1).
        row_axis: Unit vector of increasing column index.
        column_axis: Unit vector of increasing row index.
        spacing_mm: Spacing (between rows, between columns).
        shape: (rows, columns).
        slope: Rescale slope.
        intercept: Rescale intercept.
    """

    path: Path
    index: int
    header: Dataset
    position_mm: Float[np.ndarray, "3"]
    row_axis: Float[np.ndarray, "3"]
    column_axis: Float[np.ndarray, "3"]
    spacing_mm: tuple[float, float]
    shape: tuple[int, int]
    slope: float
    intercept: float


def frames_of(path: Path, header: Dataset) -> Iterator[Frame]:
    """Yield the image planes of one file, in stored order.

    Raises:
        GeometryConflictError: A plane's place or orientation is missing or impossible.
        InvalidInputError: Tags that cannot be read.
    """
    try:
        if "PerFrameFunctionalGroupsSequence" not in header:
            if int(header.get("NumberOfFrames") or 1) > 1:
                raise GeometryConflictError(
                    "The multi-frame object does not say where its frames lie.",
                    fix="Send the original series; per-frame functional groups are missing.",
                )
            yield _frame(path, 0, header, [header])
            return
        shared = list(header.get("SharedFunctionalGroupsSequence") or [])
        for index, per_frame in enumerate(header.PerFrameFunctionalGroupsSequence):
            yield _frame(path, index, header, [per_frame, *shared])
    except EnTrustError:
        raise
    except PARSE_FAILURES as error:
        raise InvalidInputError(
            "Tags of an image could not be read.", fix="Export the study again from its source."
        ) from error


def _frame(path: Path, index: int, header: Dataset, groups: list[Dataset]) -> Frame:
    position = _floats(_find(groups, "PlanePositionSequence", "ImagePositionPatient"), 3)
    orientation = _floats(_find(groups, "PlaneOrientationSequence", "ImageOrientationPatient"), 6)
    spacing = _floats(_find(groups, "PixelMeasuresSequence", "PixelSpacing"), 2)
    if position is None or orientation is None:
        raise GeometryConflictError(
            "Images do not say where they lie in the patient.",
            fix="Send images with ImagePositionPatient and ImageOrientationPatient.",
        )
    if spacing is None or min(spacing) <= 0.0:
        raise GeometryConflictError("Images do not state their pixel spacing.", fix="Send images with PixelSpacing.")
    row_axis, column_axis = _orthonormal(orientation)
    if int(header.Rows) < 1 or int(header.Columns) < 1:
        raise InvalidInputError("The images have no pixels.", fix="Export the study again from its source.")
    slope = _find(groups, "PixelValueTransformationSequence", "RescaleSlope")
    intercept = _find(groups, "PixelValueTransformationSequence", "RescaleIntercept")
    return Frame(
        path=path,
        index=index,
        header=header,
        position_mm=position,
        row_axis=row_axis,
        column_axis=column_axis,
        spacing_mm=(float(spacing[0]), float(spacing[1])),
        shape=(int(header.Rows), int(header.Columns)),
        slope=1.0 if slope in (None, "") else float(slope),
        intercept=0.0 if intercept in (None, "") else float(intercept),
    )


def _find(groups: list[Dataset], sequence: str, keyword: str) -> Any:
    """Return a tag from the first group that has it: directly (classic objects), or inside its macro sequence."""
    for group in groups:
        if keyword in group:
            return group[keyword].value
        items = group.get(sequence)
        if items and keyword in items[0]:
            return items[0][keyword].value
    return None


def _floats(value: Any, count: int) -> Float[np.ndarray, "n"] | None:
    if value is None or isinstance(value, str) or not hasattr(value, "__len__") or len(value) != count:
        return None
    array = np.asarray([float(v) for v in value])
    return array if np.isfinite(array).all() else None


def _orthonormal(orientation: Float[np.ndarray, "6"]) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """Return the two in-plane axes, freed of rounding."""
    row, column = orientation[:3], orientation[3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if np.abs(np.asarray(lengths) - 1.0).max() > _ORTHONORMAL_TOLERANCE or abs(row @ column) > _ORTHONORMAL_TOLERANCE:
        raise GeometryConflictError(
            "The image orientation is not a pair of perpendicular unit vectors.",
            fix="Correct ImageOrientationPatient at its source.",
        )
    row = row / lengths[0]
    column = column - (column @ row) * row
    return row, column / np.linalg.norm(column)
