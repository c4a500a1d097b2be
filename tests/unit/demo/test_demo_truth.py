"""Truth for the demonstration: contours become the masks that they were drawn from."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset

from demo.truth import contour_truth, phantom_truth, rasterise
from entrust.metrics import dice
from entrust.resampling import from_sitk
from entrust.volume import Grid
from training.datasets.phantoms.limb import make_phantom

GRID = Grid.axial((5, 40, 50), (3.0, 2.0, 1.5), (-30.0, 12.0, 7.0))


def _square(centre: tuple[float, float], half: float, slice_index: int) -> list[float]:
    """A contour in LPS around an index (row, column), ``half`` voxels each way."""
    row, column = centre
    index = [(slice_index, row + i * half, column + j * half) for i, j in ((-1, -1), (-1, 1), (1, 1), (1, -1))]
    return [float(v) for v in GRID.to_world(np.array(index)).ravel()]


def _structure(*contours: list[float]) -> Dataset:
    items = []
    for data in contours:
        item = Dataset()
        item.ContourGeometricType = "CLOSED_PLANAR"
        item.ContourData = [f"{v:.6g}" for v in data]
        items.append(item)
    roi = Dataset()
    roi.ContourSequence = items
    ds = Dataset()
    ds.ROIContourSequence = [roi]
    return ds


def test_fills_a_contour_and_cuts_the_hole_within() -> None:
    mask = rasterise(_structure(_square((20, 25), 8.5, 2), _square((20, 25), 3.5, 2)), GRID)
    expected = np.zeros(GRID.shape, dtype=bool)
    expected[2, 12:29, 17:34] = True
    expected[2, 17:24, 22:29] = False
    assert np.array_equal(mask, expected)


def test_contours_outside_the_grid_are_cut_off() -> None:
    mask = rasterise(_structure(_square((0, 0), 4.5, 4), _square((20, 25), 4.5, 9)), GRID)
    assert mask[4, :5, :5].all()
    assert mask.sum() == 25


def test_phantom_truth_on_a_finer_grid_keeps_its_volume() -> None:
    phantom = make_phantom(9001, conflict=True)
    d, h, w = phantom.grid.shape
    step_d, step_h, step_w = phantom.grid.spacing_mm
    fine = Grid.axial((d, 2 * h, 2 * w), (step_d, step_h / 2, step_w / 2), phantom.grid.origin_mm)
    truth = phantom_truth(phantom, fine)
    assert truth.conflict is not None
    assert truth.label.sum() * fine.voxel_volume_ml == pytest.approx(phantom.volume_ml, rel=0.02)
    assert truth.conflict.any()


@pytest.mark.parametrize("patient", ["STS_001", "STS_010"])
def test_real_contours_agree_with_the_published_mask(shared_data: Path, patient: str) -> None:
    published = from_sitk(sitk.ReadImage(str(shared_data / "oncology_sts" / patient / "gtv_ct.nii.gz")))
    truth = contour_truth(shared_data / "dicom_oncology" / patient, published.grid, "CT")
    assert truth is not None
    assert truth.source == "RTSTRUCT drawn on CT"
    assert dice(truth.label, published.array > 0) > 0.99


def test_a_study_without_contours_has_no_truth(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("nothing")
    assert contour_truth(tmp_path, GRID, "CT") is None
