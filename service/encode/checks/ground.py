"""What results are compared with: as it was when they were made, or as it lies on a disk when they leave."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydicom.dataset import Dataset
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ParametricMapStorage,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from service.encode.parametric_map import CONFLICT, ERROR_PROBABILITY
from service.encode.sources import Source, clean_header, quiet, source_of
from service.study import Planes

SEGMENTATION, REPORT = "segmentation.dcm", "report.dcm"
_NAMES: Mapping[str, str] = {
    SegmentationStorage: SEGMENTATION,
    "1.2.840.10008.5.1.4.1.1.66.7": "labelmap.dcm",
    Comprehensive3DSRStorage: REPORT,
    RTStructureSetStorage: "rtstruct.dcm",
    SecondaryCaptureImageStorage: "montage.dcm",
}
_MAPS = {quantity.label: f"{quantity.kind}.dcm" for quantity in (ERROR_PROBABILITY, CONFLICT)}


class Ground(Protocol):
    """The source images, and who made the results."""

    @property
    def header(self) -> Dataset:
        """Patient, study and frame-of-reference attributes, as they shall stand in results."""

    @property
    def sources(self) -> tuple[Source, ...]:
        """Series used, the reference first."""

    @property
    def device_uid(self) -> str:
        """UID of the model as a device."""


@dataclass(frozen=True, eq=False)
class ImagesAtHand:
    """The ground of results that were made earlier, read anew from their images.

    Attributes:
        header: See :class:`Ground`.
        sources: See :class:`Ground`.
        device_uid: See :class:`Ground`; by the segmentation's own word.
    """

    header: Dataset
    sources: tuple[Source, ...]
    device_uid: str

    @classmethod
    def of(cls, planes: Sequence[Planes], segmentation: Dataset) -> "ImagesAtHand":
        """Read what the images say about themselves.

        Args:
            planes: Every series that the segmentation cites, in its order: the reference first.
            segmentation: Names the device, and the space of a reference that has no name for it.

        Raises:
            InternalError: A series whose images do not fit its grid.
        """
        with quiet():
            header = clean_header(planes[0].datasets[0])
            if not header.get("FrameOfReferenceUID"):
                header.FrameOfReferenceUID = segmentation.get("FrameOfReferenceUID")
            return cls(header, tuple(map(source_of, planes)), str(segmentation.get("DeviceUID") or ""))


def name_of(ds: Dataset) -> str:
    """Return the name that a result has among the files of its set; empty where it is none of ours."""
    if ds.get("SOPClassUID") == ParametricMapStorage:
        label = str(ds.get("ContentLabel") or "")
        return _MAPS.get(label, f"{label.lower()}.dcm")
    return _NAMES.get(str(ds.get("SOPClassUID") or ""), "")


def cited_series(segmentation: Dataset) -> list[tuple[str, str]]:
    """Return study and series UID of everything that a segmentation rests on, its reference first."""
    own = str(segmentation.get("StudyInstanceUID") or "")
    found = [(own, str(item.SeriesInstanceUID)) for item in segmentation.get("ReferencedSeriesSequence") or []]
    for study in segmentation.get("StudiesContainingOtherReferencedInstancesSequence") or []:
        found += [(str(study.StudyInstanceUID), str(s.SeriesInstanceUID)) for s in study.ReferencedSeriesSequence]
    return found
