"""Results in the space of the patient, read without any code of the gateway."""

from dataclasses import dataclass
from io import BytesIO

import httpx
import numpy as np
from jaxtyping import Float, Int, Shaped
from pydicom import dcmread
from pydicom.dataset import Dataset

from deploy.orthanc.server import Orthanc


@dataclass(frozen=True)
class Frames:
    """A segmentation or a map.

    Attributes:
        description: SeriesDescription.
        labels: SegmentLabels; none of a map.
        values: Its pixels by frame: of the first segment, or of the map.
        corners_mm: Where the first pixel of each frame lies (LPS).
        steps_mm: From a pixel to the next within its row, and to the next row (LPS).
    """

    description: str
    labels: tuple[str, ...]
    values: Shaped[np.ndarray, "n h w"]
    corners_mm: Float[np.ndarray, "n 3"]
    steps_mm: Float[np.ndarray, "2 3"]

    @classmethod
    def of(cls, ds: Dataset) -> "Frames":
        """Read an object whose frames have one orientation."""
        shape = (int(ds.NumberOfFrames), int(ds.Rows), int(ds.Columns))
        stored = np.frombuffer(ds.FloatPixelData, "<f4") if "FloatPixelData" in ds else ds.pixel_array
        shared = ds.SharedFunctionalGroupsSequence[0]
        axes = np.asarray(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float).reshape(2, 3)
        between_rows, within_row = shared.PixelMeasuresSequence[0].PixelSpacing
        groups = ds.PerFrameFunctionalGroupsSequence
        segments = ds.get("SegmentSequence") or []
        first = [number for number, group in enumerate(groups) if not segments or _segment(group, shared) == 1]
        corners = [groups[number].PlanePositionSequence[0].ImagePositionPatient for number in first]
        return cls(
            str(ds.SeriesDescription),
            tuple(str(segment.SegmentLabel) for segment in segments),
            stored.reshape(shape)[first],
            np.asarray(corners, dtype=float),
            axes * np.asarray([[float(within_row)], [float(between_rows)]]),
        )

    def points_mm(self, frame: int, pixels: Int[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 3"]:
        """Return where pixels (row, column) of a frame lie (LPS)."""
        points: np.ndarray = self.corners_mm[frame] + pixels[:, ::-1] @ self.steps_mm
        return points


def _segment(group: Dataset, shared: Dataset) -> int:
    """Return the number of a frame's segment, which stands with all frames where there is but one."""
    named = group if "SegmentIdentificationSequence" in group else shared
    return int(named.SegmentIdentificationSequence[0].ReferencedSegmentNumber)


def results_in(orthanc: Orthanc) -> tuple[Frames, Frames]:
    """Return the segmentation and the map of the error probability that a PACS has."""
    found: dict[str, Frames] = {}
    results = [one for one in orthanc.get("/series?expand") if one["MainDicomTags"]["Modality"] in ("SEG", "OT")]
    for instance in (name for one in results for name in one["Instances"]):
        content = httpx.get(f"{orthanc.url}/instances/{instance}/file", timeout=120.0, trust_env=False).content
        ds = dcmread(BytesIO(content))
        found[str(ds.ContentLabel)] = Frames.of(ds)
    return found["SEGMENTATION"], found["ERROR_PROB"]
