"""Whether OHIF shows results where they are, by colour: images are grey, and what lies over them is not."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy.ndimage import binary_dilation
from scipy.stats import spearmanr

from deploy.ohif.browser import Viewer
from deploy.ohif.results import Frames
from deploy.prometheus.server import ServerError

COLOURED = 24
"""Difference between a pixel's strongest and weakest channel, of 255, from which it is no grey."""
MIN_INSIDE, MAX_OUTSIDE, MAX_BEFORE = 0.95, 0.02, 0.01
MIN_CORRELATION = 0.8
AWAY_PIXELS = 3


@dataclass(frozen=True)
class Verdict:
    """What was measured.

    Attributes:
        name: Of the result.
        numbers: By their names.
        passed: Whether they are as they should be.
    """

    name: str
    numbers: dict[str, float]
    passed: bool

    def __str__(self) -> str:
        numbers = ", ".join(f"{name} {value:.2f}" for name, value in self.numbers.items())
        return f"{self.name}: {numbers}{'' if self.passed else ' – not as it should be'}"


def look_at_segmentation(viewer: Viewer, found: Frames) -> Verdict:
    """Load a segmentation, and see that its first segment colours its own pixels and no others.

    Raises:
        ServerError: OHIF complains, or lists other segments.
    """
    frame = int(found.values.sum(axis=(1, 2)).argmax())
    mask = found.values[frame] > 0
    inside, outside = np.argwhere(mask), np.argwhere(~binary_dilation(mask, iterations=AWAY_PIXELS))
    viewer.go_to(found.points_mm(frame, inside)[0])
    before = _chroma(viewer, found, frame, inside)
    viewer.load(found.description)
    viewer.agree()
    viewer.open_segmentations()
    for label in found.labels:
        viewer.wait_for(label)
    viewer.go_to(found.points_mm(frame, inside)[0])
    picture = viewer.viewport()
    numbers = {
        "coloured before": _share(before),
        "inside": _share(_chroma(viewer, found, frame, inside, picture)),
        "outside": _share(_chroma(viewer, found, frame, outside, picture)),
    }
    shown, spilt = numbers["inside"] >= MIN_INSIDE, numbers["outside"] > MAX_OUTSIDE
    return _judged(viewer, found, numbers, shown and not spilt and numbers["coloured before"] <= MAX_BEFORE)


def look_at_map(viewer: Viewer, found: Frames) -> Verdict:
    """Load a map, and see that colours follow its values on its strongest plane, and not those of the mirrored one.

    Raises:
        ServerError: OHIF complains.
    """
    frame = int(found.values.sum(axis=(1, 2)).argmax())
    pixels = np.argwhere(np.ones_like(found.values[frame], dtype=bool))
    viewer.load(found.description)
    viewer.wait_for_overlay()
    viewer.go_to(found.points_mm(frame, pixels)[len(pixels) // 2])
    chroma = _chroma(viewer, found, frame, pixels)
    numbers = {
        "correlation": _correlation(chroma, found.values[frame]),
        "with the mirrored plane": _correlation(chroma, found.values[-1 - frame]),
    }
    correlation, mirrored = numbers.values()
    return _judged(viewer, found, numbers, correlation >= MIN_CORRELATION and correlation > mirrored)


def _judged(viewer: Viewer, found: Frames, numbers: dict[str, float], passed: bool) -> Verdict:
    if viewer.complaints:
        raise ServerError(f"OHIF complains about {found.description}: {'; '.join(viewer.complaints)}")
    return Verdict(found.description, numbers, passed)


def _chroma(
    viewer: Viewer,
    found: Frames,
    frame: int,
    pixels: Int[np.ndarray, "n 2"],
    picture: UInt8[np.ndarray, "h w 3"] | None = None,
) -> Float[np.ndarray, "n"]:
    """Return how far from grey the pixels of a frame are on the screen; what is off the screen is NaN."""
    shown = viewer.viewport() if picture is None else picture
    x, y = np.rint(viewer.places(found.points_mm(frame, pixels))).astype(int).T
    on: Bool[np.ndarray, "n"] = (x >= 0) & (y >= 0) & (x < shown.shape[1]) & (y < shown.shape[0])
    colours = shown[np.where(on, y, 0), np.where(on, x, 0)].astype(float)
    return np.where(on, np.ptp(colours, axis=1), np.nan)


def _share(chroma: Float[np.ndarray, "n"]) -> float:
    """Return the share of the pixels on the screen that are coloured."""
    return float((chroma[~np.isnan(chroma)] >= COLOURED).mean())


def _correlation(chroma: Float[np.ndarray, "n"], values: Float[np.ndarray, "h w"]) -> float:
    """Return the rank correlation of colour and value over the pixels on the screen."""
    return float(spearmanr(chroma, values.ravel(), nan_policy="omit").statistic)
