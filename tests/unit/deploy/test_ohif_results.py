"""Where the check of OHIF takes results to lie is where they are."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from deploy.ohif.results import Frames
from service.encode.results import to_source_geometry
from tests.factories.dicom_cases import answer, encode_case, read_case, usual_grids, write_study


@pytest.mark.parametrize("plane", ["axial", "oblique"])
@pytest.mark.parametrize("name", ["segmentation.dcm", "error_probability.dcm"])
def test_pixels_of_results_have_their_place_in_the_patient(plane: str, name: str, tmp_path: Path) -> None:
    write_study(tmp_path, usual_grids(plane))
    case = read_case(tmp_path)
    results, grid = to_source_geometry(case, answer(case)), case.reference.volume.grid
    expected = results.label_map if name == "segmentation.dcm" else results.error_probability
    found = Frames.of(dcmread(BytesIO(encode_case(case)[name])))
    assert found.labels == (("Gross tumour volume",) if name == "segmentation.dcm" else ())
    for frame, values in enumerate(found.values):
        pixels = np.argwhere(np.ones_like(values, dtype=bool))
        index = grid.to_index(found.points_mm(frame, pixels))
        np.testing.assert_allclose(index, np.rint(index), atol=1e-3)
        np.testing.assert_array_equal(values.ravel(), expected[tuple(np.rint(index).astype(int).T)])
