"""What the answer is compared with: a phantom's own truth, or the contours that lie in a study as RTSTRUCT."""

import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from jaxtyping import Bool, Float
from matplotlib.path import Path as Polygon
from pydicom.errors import InvalidDicomError
from pydicom.uid import RTStructureSetStorage

from entrust.resampling import resample
from entrust.volume import Grid, Volume
from training.datasets.phantoms.limb import LimbPhantom


@dataclass(frozen=True, eq=False)
class Truth:
    """The truth on the grid of the results.

    Attributes:
        source: Where it comes from, in words.
        label: The structure.
        conflict: Where a conflict was put in; ``None`` where nobody knows.
        conflict_pair: The modalities that disagree there.
    """

    source: str
    label: Bool[np.ndarray, "d h w"]
    conflict: Bool[np.ndarray, "d h w"] | None = None
    conflict_pair: tuple[str, ...] = ()


def phantom_truth(phantom: LimbPhantom, grid: Grid) -> Truth:
    """Return a phantom's truth on ``grid``."""

    def on_grid(mask: np.ndarray) -> Bool[np.ndarray, "d h w"]:
        moved = resample(Volume(mask.astype(np.float32), phantom.grid), grid, linear=False, outside=0.0)
        return np.asarray(moved.array > 0.5)

    return Truth("the phantom", on_grid(phantom.gtv), on_grid(phantom.conflict), phantom.conflict_pair)


def contour_truth(study: Path, grid: Grid, dicom_modality: str) -> Truth | None:
    """Return the contours of a study's RTSTRUCT on ``grid``.

    Args:
        study: Folder with DICOM files.
        grid: Grid of the results, parallel to the contours' planes.
        dicom_modality: (0008,0060) of the series whose grid it is; the RTSTRUCT drawn on it is preferred.

    Returns:
        The truth, or ``None`` where the study holds no contours.
    """
    modality_of_series: dict[str, str] = {}
    structures: list[pydicom.Dataset] = []
    for ds in _read_headers(study):
        if ds.get("SOPClassUID") == RTStructureSetStorage:
            structures.append(ds)
        else:
            modality_of_series[str(ds.get("SeriesInstanceUID", ""))] = str(ds.get("Modality", ""))
    drawn_on = [{modality_of_series.get(uid, "") for uid in _referenced_series(ds)} for ds in structures]
    for ds, modalities in sorted(
        zip(structures, drawn_on, strict=True), key=lambda item: dicom_modality not in item[1]
    ):
        mask = rasterise(ds, grid)
        if mask.any():
            return Truth(f"RTSTRUCT drawn on {'/'.join(sorted(modalities - {''})) or 'another series'}", mask)
    return None


def _read_headers(study: Path) -> Iterator[pydicom.Dataset]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings quote values
        for path in sorted(p for p in study.rglob("*") if p.is_file()):
            with suppress(InvalidDicomError, OSError):
                yield pydicom.dcmread(path, stop_before_pixels=True)


def rasterise(ds: pydicom.Dataset, grid: Grid) -> Bool[np.ndarray, "d h w"]:
    """Fill all closed contours of an RTSTRUCT; a contour within another cuts a hole (PS3.3 C.8.8.6).

    Args:
        ds: The RTSTRUCT.
        grid: Where; a contour belongs to the slice that it lies nearest to.
    """
    depth, rows, columns = grid.shape
    mask = np.zeros(grid.shape, dtype=bool)
    for contour_mm in _closed_contours(ds):
        index = grid.to_index(contour_mm)
        slice_index = int(np.rint(index[:, 0].mean()))
        if not 0 <= slice_index < depth:
            continue
        low = np.clip(np.floor(index[:, 1:].min(axis=0)).astype(int), 0, [rows, columns])
        high = np.clip(np.ceil(index[:, 1:].max(axis=0)).astype(int) + 1, 0, [rows, columns])
        row, column = np.mgrid[low[0] : high[0], low[1] : high[1]]
        points = np.stack([row.ravel(), column.ravel()], axis=1)
        inside = Polygon(index[:, 1:], closed=False).contains_points(points).reshape(row.shape)
        mask[slice_index, low[0] : high[0], low[1] : high[1]] ^= inside
    return mask


def _closed_contours(ds: pydicom.Dataset) -> Iterator[Float[np.ndarray, "n 3"]]:
    for roi in ds.get("ROIContourSequence", []):
        for contour in roi.get("ContourSequence", []):
            if contour.ContourGeometricType == "CLOSED_PLANAR":
                yield np.asarray(contour.ContourData, dtype=float).reshape(-1, 3)


def _referenced_series(ds: pydicom.Dataset) -> Iterator[str]:
    for frame in ds.get("ReferencedFrameOfReferenceSequence", []):
        for study in frame.get("RTReferencedStudySequence", []):
            for series in study.get("RTReferencedSeriesSequence", []):
                yield str(series.SeriesInstanceUID)
