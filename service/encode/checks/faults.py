"""What can be wrong with a result although every validator is content."""

from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """A kind of disagreement. Each one is a defect of this program, never of the input."""

    DIFFERS = "differs"
    """An attribute by which receivers match is not the source's; the finding names it."""
    UID_NOT_UNIQUE = "uid-not-unique"
    """A series or instance has the UID of a source, or of another result."""
    DEVICE_DIFFERS = "device-differs"
    """A result names another device than the model."""
    REFERENCE_UNRESOLVED = "reference-unresolved"
    """An instance is cited that is neither a source nor part of the result, or under another class."""
    SERIES_NOT_CITED = "series-not-cited"
    """The cited series and instances are not those that were used."""
    FRAMES_OTHERS = "frames-not-those-of-the-reference"
    """Rows, columns or number of frames are not the reference's."""
    FRAMES_ELSEWHERE = "frames-elsewhere"
    """Orientation, spacing or position of the frames are not the reference's."""
    PURPOSE = "purpose-of-reference"
    """A source image of a frame is cited for another purpose."""
    DERIVATION = "frame-derivation"
    """A frame does not cite exactly the images of its plane in every modality."""
    SEGMENT_UNKNOWN = "segment-unknown"
    """The report speaks of a segment that the segmentation does not have, or leaves one out."""
    TRACKING_DIFFERS = "tracking-differs"
    """A structure has another tracking identifier than in the segmentation."""
    CONTOUR_ELSEWHERE = "contour-elsewhere"
    """A contour does not lie on the plane of the image it cites, or outside of it."""


@dataclass(frozen=True)
class Finding:
    """One disagreement.

    Attributes:
        fault: Its kind.
        where: Keyword of the attribute, where the kind does not say it.
    """

    fault: Fault
    where: str = ""

    def __str__(self) -> str:
        return f"{self.fault}-{self.where}" if self.where else str(self.fault)
