"""OHIF in a headless Chromium: what a person would click on, and what is then to be seen."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import TypeVar

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from playwright.sync_api import Browser, Error, Locator, Page, sync_playwright

from deploy.prometheus.server import ServerError, binary

PATIENCE_SECONDS = 300.0
"""Software draws the pixels, on a machine that may be busy."""
SIZE = {"width": 1200, "height": 800}
Found = TypeVar("Found")
_FLAGS = [
    "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]  # fmt: skip
_VIEWPORT = "window.cornerstone?.getEnabledElements()[0]?.viewport"
"""There is none for a moment when OHIF exchanges it, as it does for maps."""
_ACTORS = f"{_VIEWPORT}?.getActors().length ?? 0"
"""How many things the viewport draws."""
_GO_TO = f"point => {{ const viewport = {_VIEWPORT}; viewport?.jumpToWorld(point); return Boolean(viewport); }}"
_PLACES = (
    f"points => {{ const viewport = {_VIEWPORT}; return viewport && points.map(p => viewport.worldToCanvas(p)); }}"
)


class Viewer:
    """A page of OHIF with one viewport.

    Args:
        page: An empty page.
        url: Address of OHIF.
        study_uid: StudyInstanceUID of what is opened.

    Raises:
        ServerError: Here and from all methods that wait: OHIF complains, or shows nothing for too long.
    """

    def __init__(self, page: Page, url: str, study_uid: str) -> None:
        self._page = page
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)[:300]))
        page.on(
            "response", lambda got: self.complaints.append(f"{got.status} {got.url}") if got.status >= 400 else None
        )
        page.goto(f"{url}/viewer?StudyInstanceUIDs={study_uid}", wait_until="domcontentloaded")
        self._click("its tour", page.get_by_text("Skip all"))  # the tour that a first visit begins with
        self._wait("images", lambda: self._actors() > 0)

    def load(self, description: str) -> None:
        """Lay a result over the images that it belongs to."""
        self.wait_for(description)
        series = self._page.get_by_text(description, exact=True).first
        series.scroll_into_view_if_needed()
        series.dblclick()

    def agree(self) -> None:
        """Say *Yes* to what is asked."""
        self._click("a question", self._page.get_by_role("button", name="Yes", exact=True))

    def open_segmentations(self) -> None:
        """Open the panel that lists segments."""
        self._click("the panel of segments", self._page.get_by_test_id("panelSegmentation-btn"))

    def wait_for(self, text: str) -> None:
        """Return once a text is to be read."""
        self._wait(text, self._page.get_by_text(text, exact=True).first.is_visible)

    def wait_for_overlay(self) -> None:
        """Return once the viewport draws something over the images."""
        self._wait("what is laid over the images", lambda: self._actors() > 1)

    def go_to(self, point_mm: Sequence[float]) -> None:
        """Show the plane that holds a point (LPS)."""
        point = [float(x) for x in point_mm]
        self._wait("a plane", lambda: bool(self._page.evaluate(_GO_TO, point)))

    def places(self, points_mm: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 2"]:
        """Return where points (LPS) are in the viewport's picture: x and y in its pixels."""
        points = points_mm.tolist()
        return np.asarray(self._wait("a viewport", lambda: self._page.evaluate(_PLACES, points)), dtype=float)

    def viewport(self) -> UInt8[np.ndarray, "h w 3"]:
        """Return the viewport's picture, once it stands still."""
        element = self._page.locator(".cornerstone-viewport-element").first
        last = b""

        def at_rest() -> bytes:
            nonlocal last
            before, last = last, element.screenshot()
            return last if last == before else b""

        content = self._wait("a viewport that stands still", at_rest, every_ms=2000)
        return np.asarray(Image.open(BytesIO(content)).convert("RGB"))

    def page(self) -> Image.Image:
        """Return the whole page's picture."""
        return Image.open(BytesIO(self._page.screenshot()))

    def _actors(self) -> int:
        return int(self._page.evaluate(_ACTORS))

    def _click(self, what: str, target: Locator) -> None:
        self._wait(what, target.is_visible)
        target.click()

    def _wait(self, what: str, look: Callable[[], Found], every_ms: int = 500) -> Found:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (found := look()):
            if self.complaints:
                raise ServerError(f"OHIF complains while it is to show {what}: {'; '.join(self.complaints)}")
            if time.monotonic() > deadline:
                raise ServerError(f"OHIF did not show {what} within {PATIENCE_SECONDS:.0f} seconds.")
            self._page.wait_for_timeout(every_ms)
        return found


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Run Debian's Chromium until the end of the block; it reaches nothing outside this machine.

    Raises:
        ServerError: It is not installed, or what was to be seen did not come.
    """
    try:
        with sync_playwright() as toolkit:
            toolkit.selectors.set_test_id_attribute("data-cy")
            browser = toolkit.chromium.launch(executable_path=binary("chromium"), args=_FLAGS)
            try:
                yield browser
            finally:
                browser.close()
    except Error as error:
        raise ServerError(f"OHIF did not show what it should: {error.message}") from error


def new_page(browser: Browser) -> Page:
    """Return a page whose patience suits software that draws."""
    page = browser.new_page(viewport={"width": SIZE["width"], "height": SIZE["height"]})
    page.set_default_timeout(PATIENCE_SECONDS * 1000)
    return page
