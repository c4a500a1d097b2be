"""A reader of structure sets that shares nothing with the writer: contours are filled by the even-odd rule."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from pydicom.dataset import Dataset


def fill_structures(ds: Dataset, images: Sequence[Dataset]) -> dict[int, dict[str, Bool[np.ndarray, "h w"]]]:
    """Return the voxels inside each structure, by ROI number and SOPInstanceUID of the image.

    Args:
        ds: The structure set.
        images: The single-frame images that its contours cite.
    """
    by_uid: Mapping[str, Dataset] = {str(image.SOPInstanceUID): image for image in images}
    filled: dict[int, dict[str, Bool[np.ndarray, "h w"]]] = {}
    for roi in ds.ROIContourSequence:
        planes = filled.setdefault(int(roi.ReferencedROINumber), {})
        for contour in roi.get("ContourSequence") or []:
            uid = str(contour.ContourImageSequence[0].ReferencedSOPInstanceUID)
            image = by_uid[uid]
            points_mm = np.asarray(contour.ContourData, dtype=float).reshape(-1, 3)
            inside = fill([_pixels(points_mm, image)], (int(image.Rows), int(image.Columns)), "even-odd")
            planes[uid] = planes.get(uid, np.zeros_like(inside)) | inside
    return filled


def fill(curves: Sequence[Float[np.ndarray, "_ 2"]], shape: tuple[int, int], rule: str) -> Bool[np.ndarray, "h w"]:
    """Return the voxels inside any of the curves of (row, column), by the ``even-odd`` or the ``winding`` rule."""
    filled = np.zeros(shape, dtype=bool)
    for curve in curves:
        number, sum_of_signs = _crossings(curve, shape)
        filled |= number % 2 == 1 if rule == "even-odd" else sum_of_signs != 0
    return filled


def _crossings(curve: Float[np.ndarray, "n 2"], shape: tuple[int, int]) -> Int[np.ndarray, "2 h w"]:
    """Return how often the curve crosses the ray from a voxel towards larger columns, and the sum of its signs."""
    crossed = np.zeros((2, *shape), dtype=int)
    columns = np.arange(shape[1])
    for (r0, c0), (r1, c1) in zip(curve, np.roll(curve, -1, axis=0), strict=True):
        first, last = sorted((r0, r1))
        for row in range(int(np.ceil(first)), int(np.ceil(last))):  # from the first, included, to the last, excluded
            beyond = c0 + (row - r0) * (c1 - c0) / (r1 - r0) > columns
            crossed[0, row] += beyond
            crossed[1, row] += beyond * int(np.sign(r1 - r0))
    return crossed


def _pixels(points_mm: Float[np.ndarray, "n 3"], image: Dataset) -> Float[np.ndarray, "n 2"]:
    """Return (row, column) of patient positions (PS3.3 C.7.6.2.1.1)."""
    along_row, along_column = np.asarray(image.ImageOrientationPatient, dtype=float).reshape(2, 3)
    offset_mm = points_mm - np.asarray(image.ImagePositionPatient, dtype=float)
    assert np.abs(offset_mm @ np.cross(along_row, along_column)).max() < 0.01, "a contour leaves its plane"
    row_mm, column_mm = (float(v) for v in image.PixelSpacing)
    return np.stack([offset_mm @ along_column / row_mm, offset_mm @ along_row / column_mm], axis=1)
