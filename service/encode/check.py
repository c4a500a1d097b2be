"""The last gate: a DICOM result is read back and compared with its sources before it leaves.

Validators look at one object and its tables; none notices a wrong frame of reference, a series that is not cited, or
frames that lie elsewhere. A finding is a defect of this program, never of the input.

Source: IHE RAD TF-3 6.5.3, PS3.3 C.7.6.16.2.6 (Derivation Image).
"""

from collections.abc import Iterator
from io import BytesIO
from itertools import chain

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from entrust.errors import InternalError
from entrust.volume import Grid
from service.encode.objects import Origin
from service.encode.references import SOURCE_IMAGE, frame_depths, planes_at
from service.encode.sources import VERBATIM, quiet

PLACE_TOLERANCE_MM = 0.2
"""Frames lie where the source's images say; the regular grid may differ by what ingest tolerates in spacing."""


def check_result(content: bytes, origin: Origin) -> None:
    """Compare a result with its sources.

    Args:
        content: The DICOM file that is about to leave.
        origin: What it started from.

    Raises:
        InternalError: It does not fit; ``details`` names what.
    """
    with quiet():
        ds = dcmread(BytesIO(content), defer_size=1024)
        fault = next(_faults(ds, origin), None)
    if fault is not None:
        raise InternalError(
            "A result does not agree with the images it was made from and was held back.",
            fix="Report this with the version of the program; the input is not at fault.",
            details={"fault": fault},
        )


def _faults(ds: Dataset, origin: Origin) -> Iterator[str]:
    """Yield a slug per disagreement."""
    for keyword in VERBATIM:
        if str(ds.get(keyword) or "") != str(origin.header.get(keyword) or ""):
            yield f"differs-{keyword}"
    if ds.SeriesInstanceUID in {source.series_uid for source in origin.sources}:
        yield "series-not-new"
    yield from _series_faults(ds, origin)
    yield from _frame_faults(ds, origin)


def _series_faults(ds: Dataset, origin: Origin) -> Iterator[str]:
    other_studies = ds.get("StudiesContainingOtherReferencedInstancesSequence") or []
    cited = {
        str(item.SeriesInstanceUID): {str(i.ReferencedSOPInstanceUID) for i in item.ReferencedInstanceSequence}
        for item in chain(
            ds.get("ReferencedSeriesSequence") or [], *(study.ReferencedSeriesSequence for study in other_studies)
        )
    }
    if cited != {source.series_uid: set(source.instances) for source in origin.sources}:
        yield "series-not-cited"


def _frame_faults(ds: Dataset, origin: Origin) -> Iterator[str]:
    reference = origin.sources[0].grid
    groups = ds.PerFrameFunctionalGroupsSequence
    num_segments = len(ds.get("SegmentSequence") or [None])
    if (int(ds.Rows), int(ds.Columns)) != reference.shape[1:] or len(groups) != reference.shape[0] * num_segments:
        yield "frames-not-those-of-the-reference"
        return
    if not _lies_on(ds, reference):
        yield "frames-elsewhere"
        return
    for group, depth in zip(groups, frame_depths(ds, reference), strict=True):
        items = [item for derived in group.get("DerivationImageSequence") or [] for item in derived.SourceImageSequence]
        if any(item.PurposeOfReferenceCodeSequence[0].CodeValue != SOURCE_IMAGE.value for item in items):
            yield "purpose-of-reference"
        named = {(str(item.ReferencedSOPInstanceUID), item.get("ReferencedFrameNumber")) for item in items}
        wanted = {
            (plane.sop_instance_uid, plane.frame_number)
            for source in origin.sources[1:]
            for plane in planes_at(source, reference, depth)
        }
        own = origin.sources[0].planes[depth]
        if named != wanted | {(own.sop_instance_uid, own.frame_number)}:
            yield "frame-derivation"


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
