"""Multi-frame results: series cited, and frames that lie where the source's planes lie and cite them.

Source: PS3.3 C.7.6.16.2.6 (Derivation Image).
"""

from collections.abc import Iterator
from itertools import chain

import numpy as np
from pydicom.dataset import Dataset

from entrust.volume import Grid
from service.encode.checks.faults import Fault, Finding
from service.encode.checks.ground import Ground
from service.encode.references import SOURCE_IMAGE, frame_depths, planes_at

PLACE_TOLERANCE_MM = 0.2
"""Frames lie where the source's images say; the regular grid may differ by what ingest tolerates in spacing."""


def check_frames(ds: Dataset, origin: Ground) -> Iterator[Finding]:
    """Yield what is wrong with the references and the frames of a segmentation or a map."""
    yield from _series_faults(ds, origin)
    yield from _frame_faults(ds, origin)


def _series_faults(ds: Dataset, origin: Ground) -> Iterator[Finding]:
    other_studies = ds.get("StudiesContainingOtherReferencedInstancesSequence") or []
    cited = {
        str(item.SeriesInstanceUID): {str(i.ReferencedSOPInstanceUID) for i in item.ReferencedInstanceSequence}
        for item in chain(
            ds.get("ReferencedSeriesSequence") or [], *(study.ReferencedSeriesSequence for study in other_studies)
        )
    }
    if cited != {source.series_uid: set(source.instances) for source in origin.sources}:
        yield Finding(Fault.SERIES_NOT_CITED)


def _frame_faults(ds: Dataset, origin: Ground) -> Iterator[Finding]:
    reference = origin.sources[0].grid
    groups = ds.PerFrameFunctionalGroupsSequence
    # a binary segmentation has a frame per plane and segment, everything else one per plane
    num_segments = len(ds.SegmentSequence) if ds.get("SegmentationType") == "BINARY" else 1
    if (int(ds.Rows), int(ds.Columns)) != reference.shape[1:] or len(groups) != reference.shape[0] * num_segments:
        yield Finding(Fault.FRAMES_OTHERS)
        return
    if not _lies_on(ds, reference):
        yield Finding(Fault.FRAMES_ELSEWHERE)
        return
    for group, depth in zip(groups, frame_depths(ds, reference), strict=True):
        items = [item for derived in group.get("DerivationImageSequence") or [] for item in derived.SourceImageSequence]
        if any(item.PurposeOfReferenceCodeSequence[0].CodeValue != SOURCE_IMAGE.value for item in items):
            yield Finding(Fault.PURPOSE)
        named = {(str(item.ReferencedSOPInstanceUID), item.get("ReferencedFrameNumber")) for item in items}
        wanted = {
            (plane.sop_instance_uid, plane.frame_number)
            for source in origin.sources[1:]
            for plane in planes_at(source, reference, depth)
        }
        own = origin.sources[0].planes[depth]
        if named != wanted | {(own.sop_instance_uid, own.frame_number)}:
            yield Finding(Fault.DERIVATION)


def _lies_on(ds: Dataset, reference: Grid) -> bool:
    shared = ds.SharedFunctionalGroupsSequence[0]
    orientation = np.asarray(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float)
    spacing_mm = np.asarray(shared.PixelMeasuresSequence[0].PixelSpacing, dtype=float)
    positions_mm = np.asarray(
        [group.PlanePositionSequence[0].ImagePositionPatient for group in ds.PerFrameFunctionalGroupsSequence],
        dtype=float,
    )
    _, row, column = reference.direction.T
    depths = np.asarray(frame_depths(ds, reference), dtype=float)
    expected_mm = reference.to_world(np.stack([depths, 0 * depths, 0 * depths], axis=1))
    places = np.unique(depths, return_counts=True)[1]
    return (
        np.allclose(orientation, np.r_[column, row], atol=1e-5)
        and np.allclose(spacing_mm, reference.spacing_mm[1:], rtol=1e-5)
        and float(np.abs(positions_mm - expected_mm).max()) <= PLACE_TOLERANCE_MM
        and len(places) == reference.shape[0]
        and len(set(places.tolist())) == 1
    )
