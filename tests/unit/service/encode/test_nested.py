"""Nested structures in every result: each is written, counted and drawn whole, not as the ring around the next one."""

import gzip
from io import BytesIO

import numpy as np
import pytest
from highdicom.seg import Segmentation, segread
from jaxtyping import Bool
from pydicom import dcmread
from pydicom.dataset import Dataset

from entrust.contract import BRAIN, LESION
from entrust.errors import InvalidInputError
from entrust.structures import structure_masks
from entrust.trustmap import TrustMap
from service.encode.encoding import encode, encode_dicom
from service.encode.identity import Identity
from service.encode.results import to_source_geometry
from service.extra_results import Extra, check_label_map
from service.pipeline import SegmentationRequest
from service.study import Case
from service.summary import Summary
from tests.factories.dicom_cases import summary_of
from tests.factories.nested_cases import CENTRE_MM, RADII_MM, SHIFTS_MM, brain_case, label_map_of, nested_answer
from tests.factories.trust_maps import CARD, PROVENANCE, ball

EXTRAS = tuple(extra for extra in Extra if extra is not Extra.LABELMAP)
MM3_PER_ML = 1000.0


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return brain_case(tmp_path_factory.mktemp("brain"))


@pytest.fixture(scope="module")
def answer(case: Case) -> TrustMap:
    return nested_answer(case)


@pytest.fixture(scope="module")
def summary(case: Case, answer: TrustMap) -> Summary:
    return summary_of(case, answer)


@pytest.fixture(scope="module")
def masks(case: Case, answer: TrustMap) -> Bool[np.ndarray, "l d h w"]:
    return structure_masks(BRAIN, answer.label_map)


@pytest.fixture(scope="module")
def files(case: Case, answer: TrustMap, summary: Summary) -> dict[str, bytes]:
    return {f.name: f.content for f in encode(case, answer, summary, CARD, PROVENANCE, EXTRAS)}


def read(files: dict[str, bytes], name: str) -> Dataset:
    return dcmread(BytesIO(files[name]))


def test_the_segments_overlap_and_say_so(files: dict[str, bytes], masks: Bool[np.ndarray, "l d h w"]) -> None:
    ds: Segmentation = segread(BytesIO(files["segmentation.dcm"]))
    assert (ds.SegmentationType, ds.SegmentsOverlap) == ("BINARY", "YES")
    stored = ds.get_volume().array  # [d, h, w, l]
    assert np.array_equal(np.moveaxis(stored, -1, 0) > 0, masks)
    assert [item.SegmentLabel for item in ds.SegmentSequence] == [label.title for label in BRAIN.labels]
    assert {item.AnatomicRegionSequence[0].CodeValue for item in ds.SegmentSequence} == {"12738006"}


def test_volumes_are_those_of_whole_structures(case: Case, summary: Summary) -> None:
    voxel_ml = case.grid.voxel_volume_ml
    for found, radius_mm in zip(summary.segments, RADII_MM, strict=True):
        inside_ml = float(ball(case.grid, CENTRE_MM, radius_mm).sum()) * voxel_ml
        assert found.volume_ml == pytest.approx(inside_ml, abs=1e-3)
    whole_ml = [float((label_map_of(case.grid, shift) > 0).sum()) * voxel_ml for shift in SHIFTS_MM]
    assert summary.segments[0].hypothesis_volumes_ml == pytest.approx(whole_ml, abs=1e-3)
    for outer, inner in zip(summary.segments, summary.segments[1:], strict=False):
        assert all(a > b for a, b in zip(outer.hypothesis_volumes_ml, inner.hypothesis_volumes_ml, strict=True))


def test_the_report_says_the_same_volumes_and_where_they_lie(files: dict[str, bytes], summary: Summary) -> None:
    text = str(read(files, "report.dcm"))
    for found in summary.segments:
        assert f"'{round(found.volume_ml * MM3_PER_ML, 1)}'" in text
    assert "Finding Site" in text


def test_contours_enclose_whole_structures(files: dict[str, bytes], case: Case) -> None:
    ds = read(files, "rtstruct.dcm")
    for item, mask in zip(ds.ROIContourSequence, structure_masks(BRAIN, label_map_of(case.grid)), strict=True):
        planes = {c.ContourImageSequence[0].ReferencedSOPInstanceUID for c in item.ContourSequence}
        assert len(planes) == int(mask.any(axis=(1, 2)).sum())
        for contour in item.ContourSequence:
            points_mm = np.asarray(contour.ContourData, dtype=float).reshape(-1, 3)
            from_centre_mm = np.linalg.norm(points_mm[:, :2] - np.asarray(CENTRE_MM[:2]), axis=1)
            assert from_centre_mm.min() > from_centre_mm.max() - 4.0, "a keyhole would lead to an inner outline"


def test_probabilities_are_those_of_whole_structures(case: Case, answer: TrustMap) -> None:
    results = to_source_geometry(case, answer)
    assert np.array_equal(results.label_map, answer.label_map)
    assert results.probability.max() <= 1.0
    assert np.all(np.diff(results.probability, axis=0) <= 1e-6), "further in is never more probable"
    np.testing.assert_allclose(results.probability[0], 1.0 - answer.probability[0], atol=1e-5)


def test_the_mask_holds_the_number_of_structures(files: dict[str, bytes], answer: TrustMap) -> None:
    stored = np.frombuffer(gzip.decompress(files["mask.nii.gz"])[352:], dtype=np.uint8)
    assert np.array_equal(np.bincount(stored), np.bincount(answer.label_map.ravel()))


def test_a_label_map_is_refused_before_anything_is_done(case: Case, answer: TrustMap, summary: Summary) -> None:
    with pytest.raises(InvalidInputError, match="within each other"):
        SegmentationRequest(task="brain", num_hypotheses=1, num_steps=1, extra_results=(Extra.LABELMAP,))
    identity = Identity.of(case, CARD, PROVENANCE)
    with pytest.raises(InvalidInputError, match="within each other"):
        encode_dicom(case, to_source_geometry(case, answer), summary, identity, extras=[Extra.LABELMAP])
    check_label_map(LESION)
