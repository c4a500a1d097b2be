"""What users of other systems complain about in result objects (docs/pain-points.md)."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from entrust.trustmap import TrustMap
from service.encode import Extra
from service.study import Case
from tests.factories.dicom_cases import answer, encode_case, read_case, usual_grids, write_study

FRAMED = ("segmentation.dcm", "error_probability.dcm", "conflict.dcm", "labelmap.dcm")
OVERHEAD_BYTES, PER_FRAME_BYTES = 16_384, 4_096
"""What an object and a frame may cost besides their pixels: headers, codes, the citations of three modalities."""


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("study")
    write_study(folder, usual_grids())
    return read_case(folder)


def nothing_found(case: Case) -> TrustMap:
    found = answer(case)
    background = np.zeros_like(found.probability)
    background[0] = 1.0
    return replace(found, probability=background, label_map=np.zeros_like(found.label_map))


def read(content: bytes) -> Dataset:
    return dcmread(BytesIO(content))


@pytest.mark.parametrize("found", [True, False])
def test_every_plane_has_its_frames_whatever_was_found(case: Case, found: bool) -> None:
    contents = encode_case(case, answer(case) if found else nothing_found(case), extras=(Extra.LABELMAP,))
    planes = case.reference.volume.grid.shape[0]
    for name in FRAMED:
        ds = read(contents[name])
        frames = ds.PerFrameFunctionalGroupsSequence
        places = [
            tuple(round(float(x), 3) for x in frame.PlanePositionSequence[0].ImagePositionPatient) for frame in frames
        ]
        assert ds.NumberOfFrames == len(frames) == planes, name
        assert len(set(places)) == planes, name


def test_viewers_get_binary_masks_and_float_maps(case: Case) -> None:
    contents = encode_case(case)
    segmentation = read(contents["segmentation.dcm"])
    assert (segmentation.SegmentationType, segmentation.BitsAllocated) == ("BINARY", 1)
    for name in ("error_probability.dcm", "conflict.dcm"):
        ds = read(contents[name])
        values = np.frombuffer(ds.FloatPixelData, np.float32)
        assert "PixelData" not in ds
        assert 0.0 <= values.min() <= values.max() <= 1.0, "percent would be shown a hundred times too large"


@pytest.mark.parametrize("plane", ["axial", "sagittal", "coronal", "oblique"])
def test_frames_of_a_map_ascend_along_the_normal(plane: str, tmp_path: Path) -> None:
    """OHIF lays them on the images' planes in that order, without a look at where they say they are."""
    write_study(tmp_path, usual_grids(plane))
    contents = encode_case(read_case(tmp_path))
    for name in ("error_probability.dcm", "conflict.dcm"):
        ds = read(contents[name])
        orientation = ds.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient
        frames = ds.PerFrameFunctionalGroupsSequence
        places = np.asarray([frame.PlanePositionSequence[0].ImagePositionPatient for frame in frames], float)
        assert (np.diff(places @ np.cross(orientation[:3], orientation[3:])) > 0.0).all(), name
        numbers = [frame.FrameContentSequence[0].DimensionIndexValues for frame in frames]
        assert numbers == list(range(1, len(frames) + 1)), name


def test_a_segmentation_costs_a_bit_a_voxel_and_little_more(case: Case, tmp_path: Path) -> None:
    planes, rows, columns = case.reference.volume.grid.shape
    size = len(encode_case(case)["segmentation.dcm"])
    assert size < planes * (rows * columns / 8 + PER_FRAME_BYTES) + OVERHEAD_BYTES
