"""The structure set, filled again on the planes of the source images."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from service.encode import Extra
from service.encode.results import to_source_geometry
from tests.factories.contours import fill_structures
from tests.factories.dicom_cases import (
    MODEL_GRID,
    answer_of_two,
    encode_case,
    read_case,
    two_structures,
    usual_grids,
    write_study,
)
from tests.factories.dicom_series import plane_grid
from tests.factories.trust_maps import trust_map_of


@pytest.mark.parametrize("plane", ["axial", "sagittal", "coronal", "oblique"])
def test_filled_contours_are_the_masks_with_their_holes(plane: str, tmp_path: Path) -> None:
    sources = write_study(tmp_path, usual_grids(plane), shuffle_seed=4)["ct"]
    case = read_case(tmp_path, task=two_structures())
    trust_map = answer_of_two(case)
    ds = structures(encode_case(case, trust_map, extras=[Extra.STRUCTURES]))
    label_map = to_source_geometry(case, trust_map).label_map
    depth_of = {
        instance: depth for depth, instance in enumerate(str(d.SOPInstanceUID) for d in case.reference.datasets)
    }
    filled = fill_structures(ds, sources)
    assert set(filled) == {1, 2}
    for number, planes in filled.items():
        mask = np.zeros(label_map.shape, dtype=bool)
        for instance, plane_mask in planes.items():
            mask[depth_of[instance]] = plane_mask
        np.testing.assert_array_equal(mask, label_map == number)
    assert ds.SOPClassUID == "1.2.840.10008.5.1.4.1.1.481.3"
    assert {c.ContourGeometricType for roi in ds.ROIContourSequence for c in roi.ContourSequence} == {"CLOSED_PLANAR"}


def test_structures_bear_the_names_of_the_segments(tmp_path: Path) -> None:
    write_study(tmp_path, usual_grids())
    case = read_case(tmp_path, task=two_structures())
    contents = encode_case(case, answer_of_two(case), extras=[Extra.STRUCTURES])
    segments = dcmread(BytesIO(contents["segmentation.dcm"])).SegmentSequence
    rois = structures(contents).StructureSetROISequence
    assert [(r.ROINumber, r.ROIName, r.TrackingUID) for r in rois] == [
        (s.SegmentNumber, s.SegmentLabel, s.TrackingUID) for s in segments
    ]
    assert {r.ROIGenerationAlgorithm for r in rois} == {"AUTOMATIC"}


def test_nothing_found_has_no_contours(tmp_path: Path) -> None:
    write_study(tmp_path, {"ct": usual_grids()["ct"]})
    case = read_case(tmp_path)
    empty = trust_map_of(np.zeros(MODEL_GRID.shape, dtype=bool))
    ds = structures(encode_case(case, empty, extras=[Extra.STRUCTURES]))
    assert "ContourSequence" not in ds.ROIContourSequence[0]


def test_a_long_outline_survives_its_encoding(tmp_path: Path) -> None:
    """Decimal strings of more than 64 KiB do not fit an explicit value representation."""
    grid = plane_grid("axial", (3, 200, 200), (3.27, 1.0, 1.0))
    sources = write_study(tmp_path, {"ct": grid})["ct"]
    case = read_case(tmp_path, grid)
    comb = np.zeros(grid.shape, dtype=bool)
    comb[1, 2:-2, 2:-2:4] = comb[1, 2, 2:-2] = True
    ds = structures(encode_case(case, trust_map_of(comb), extras=[Extra.STRUCTURES]))
    (contour,) = ds.ROIContourSequence[0].ContourSequence
    assert len("\\".join(map(str, contour.ContourData))) > 2**16
    (mask,) = fill_structures(ds, sources)[1].values()
    np.testing.assert_array_equal(mask, comb[1])


def structures(contents: dict[str, bytes]) -> Dataset:
    return dcmread(BytesIO(contents["rtstruct.dcm"]))
