"""Whether OHIF shows results where they are, by colour: images are grey, and what lies over them is not."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8
from scipy.ndimage import binary_dilation

from deploy.ohif.browser import Viewer
from deploy.ohif.results import Frames
from deploy.prometheus.server import ServerError

COLOURED = 24
"""Difference between a pixel's strongest and weakest channel, of 255, from which it is no grey."""
MIN_INSIDE, MAX_OUTSIDE = 0.95, 0.02
LARGE, SMALL = 0.3, 0.02
"""Values of a map."""
AWAY_PIXELS = 3
"""Outlines of segments are drawn on their edges."""
SETTLE_SECONDS = 60.0
"""OHIF draws a map that came late only once another plane is asked for, as by a person who scrolls."""


@dataclass(frozen=True)
class Verdict:
    """Shares of coloured pixels on one plane.

    Attributes:
        description: Of the result.
        before: Where the result is to be, before it was loaded.
        inside: There, afterwards.
        outside: Where nothing is to be.
    """

    description: str
    before: float
    inside: float
    outside: float

    @property
    def passed(self) -> bool:
        """Whether the result is shown where it is."""
        return self.before <= MAX_OUTSIDE and self.inside >= MIN_INSIDE and self.outside <= MAX_OUTSIDE

    def __str__(self) -> str:
        return (
            f"{self.description}: {'shown where it is' if self.passed else 'NOT shown where it is'} (coloured inside "
            f"{self.inside:.1%}, before {self.before:.1%}; outside {self.outside:.1%})"
        )


def look_at_segmentation(viewer: Viewer, found: Frames) -> Verdict:
    """Load a segmentation, and see that its first segment colours its own pixels and no others.

    Raises:
        ServerError: OHIF complains, or lists other segments.
    """
    frame = int(found.values.sum(axis=(1, 2)).argmax())
    mask = found.values[frame] > 0
    inside, outside = np.argwhere(mask), np.argwhere(~binary_dilation(mask, iterations=AWAY_PIXELS))

    def load() -> None:
        viewer.load(found.description)
        viewer.agree()
        viewer.open_segmentations()
        for label in found.labels:
            viewer.wait_for(label)

    return _compared(viewer, found, frame, inside, outside, load)


def look_at_map(viewer: Viewer, found: Frames) -> Verdict:
    """Load a map, and see that large values are coloured, and small ones are not, on a plane unlike its mirrored one.

    Raises:
        ServerError: OHIF complains, or there is no such plane.
    """
    large_here = (found.values >= LARGE) & (found.values[::-1] <= SMALL)
    if not large_here.any():
        raise ServerError("Every plane of the map is like its mirrored one: take another seed.")
    frame = int(large_here.sum(axis=(1, 2)).argmax())
    inside, outside = np.argwhere(large_here[frame]), np.argwhere(found.values[frame] <= SMALL)
    return _compared(viewer, found, frame, inside, outside, lambda: viewer.load(found.description))


def _compared(
    viewer: Viewer,
    found: Frames,
    frame: int,
    inside: Int[np.ndarray, "n 2"],
    outside: Int[np.ndarray, "m 2"],
    load: Callable[[], None],
) -> Verdict:
    """Look at a frame before and after a result is laid over it."""

    def coloured(pixels: Int[np.ndarray, "n 2"]) -> float:
        return _coloured(picture, viewer.places(found.points_mm(frame, pixels)))

    plane_mm, other_plane_mm = found.points_mm(frame, inside)[0], found.points_mm(frame - 1, inside)[0]
    viewer.go_to(plane_mm)
    picture = viewer.viewport()
    before = coloured(inside)
    load()
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        viewer.wait_for_overlay()
        viewer.go_to(other_plane_mm)
        viewer.go_to(plane_mm)
        picture = viewer.viewport()
        verdict = Verdict(found.description, before, coloured(inside), coloured(outside))
        if viewer.complaints:
            raise ServerError(f"OHIF complains. {verdict}; {'; '.join(viewer.complaints)}")
        if verdict.passed or time.monotonic() > deadline:
            return verdict


def _coloured(picture: UInt8[np.ndarray, "h w 3"], places: Float[np.ndarray, "n 2"]) -> float:
    """Return the share of places on the screen that are coloured."""
    x, y = np.rint(places).astype(int).T
    on = (x >= 0) & (y >= 0) & (x < picture.shape[1]) & (y < picture.shape[0])
    chroma = np.ptp(picture[y[on], x[on]].astype(int), axis=1)
    return float((chroma >= COLOURED).mean())
