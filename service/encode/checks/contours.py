"""The structure set: contours that lie on the planes of the images they cite."""

from collections.abc import Iterator

import numpy as np
from pydicom.dataset import Dataset

from service.encode.checks.faults import Fault, Finding
from service.encode.checks.frames import PLACE_TOLERANCE_MM
from service.encode.checks.ground import Ground


def check_contours(ds: Dataset, origin: Ground, segmentation: Dataset) -> Iterator[Finding]:
    """Yield what is wrong with the space, the names and the contours of a structure set.

    Args:
        ds: The structure set.
        origin: What the results started from.
        segmentation: The binary segmentation with the same structures.
    """
    frame_uid = origin.header.FrameOfReferenceUID
    spaces = [frame.FrameOfReferenceUID for frame in ds.ReferencedFrameOfReferenceSequence]
    if {*spaces, *(roi.ReferencedFrameOfReferenceUID for roi in ds.StructureSetROISequence)} != {frame_uid}:
        yield Finding(Fault.DIFFERS, "FrameOfReferenceUID")
    reference = origin.sources[0]
    (series,) = ds.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0].RTReferencedSeriesSequence
    cited = {str(item.ReferencedSOPInstanceUID) for item in series.ContourImageSequence}
    if (series.SeriesInstanceUID, cited) != (reference.series_uid, set(reference.instances)):
        yield Finding(Fault.SERIES_NOT_CITED)
    segments = {int(s.SegmentNumber): (s.TrackingID, s.TrackingUID) for s in segmentation.SegmentSequence}
    if {int(roi.ROINumber): (roi.TrackingID, roi.TrackingUID) for roi in ds.StructureSetROISequence} != segments:
        yield Finding(Fault.TRACKING_DIFFERS)
    contours = (contour for roi in ds.ROIContourSequence for contour in roi.get("ContourSequence") or [])
    if not all(_lies_on_its_image(contour, origin) for contour in contours):
        yield Finding(Fault.CONTOUR_ELSEWHERE)


def _lies_on_its_image(contour: Dataset, origin: Ground) -> bool:
    reference = origin.sources[0]
    image = contour.ContourImageSequence[0]
    named = (str(image.ReferencedSOPInstanceUID), image.get("ReferencedFrameNumber"))
    names = [(plane.sop_instance_uid, plane.frame_number) for plane in reference.planes]
    if named not in names:
        return False
    points_mm = np.asarray(contour.ContourData, dtype=float).reshape(-1, 3)
    index = reference.grid.to_index(points_mm)
    off_plane_mm = np.abs(index[:, 0] - names.index(named)) * reference.grid.spacing_mm[0]
    inside = (index[:, 1:] >= -1.0) & (index[:, 1:] <= np.asarray(reference.grid.shape[1:]))
    return bool(off_plane_mm.max() <= PLACE_TOLERANCE_MM and inside.all())
