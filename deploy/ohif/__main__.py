"""Results in OHIF, from a PACS and from the gateway: ``python -m deploy.ohif``."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from deploy.ohif.browser import Viewer, new_page, open_browser
from deploy.ohif.results import results_in
from deploy.ohif.verdict import Verdict, look_at_map, look_at_segmentation
from deploy.ohif.viewer import running_viewer
from deploy.orthanc.loop import Site, open_site, run_loop
from deploy.prometheus.server import ServerError
from training.datasets.phantoms.dicom import write_study
from training.datasets.phantoms.limb import make_phantom

SEED = 9001
"""Of a patient whose planes of 108 × 112 pixels OHIF and Orthanc can handle (docs/viewers.md)."""
COLOURS = 128
"""Of a picture; more would make its file larger and nothing clearer."""


def main(
    pictures: Annotated[Path, typer.Option(help="Where pictures of the pages go.")] = Path("docs/images"),
    hypotheses: Annotated[int, typer.Option(min=1, help="K.")] = 2,
    steps: Annotated[int, typer.Option(min=1, help="S.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Of the simulated patient.")] = SEED,
) -> None:
    """Have a simulated study segmented and delivered, and look at its results in OHIF, before Orthanc and before us."""
    settings = {"ENTRUST_STUDIES__NUM_HYPOTHESES": str(hypotheses), "ENTRUST_STUDIES__NUM_STEPS": str(steps)}
    passed = True
    with tempfile.TemporaryDirectory(prefix="entrust-ohif-") as name:
        folder = Path(name)
        write_study(make_phantom(seed), folder / "images")
        try:
            with open_site("dicomweb", folder, settings) as site:
                run_loop(site, folder / "images")
                for server, verdict in look(site, folder, pictures):
                    typer.echo(f"{server}: {verdict}")
                    passed = passed and verdict.passed
        except ServerError as error:
            typer.echo(str(error), err=True)
            sys.exit(1)
    sys.exit(0 if passed else 1)


def look(site: Site, folder: Path, pictures: Path) -> Iterator[tuple[str, Verdict]]:
    """Look at the results of the only study by each server that has them, and tell what was seen.

    Args:
        site: The PACS and the gateway.
        folder: Where configuration and logs go.
        pictures: Where pictures of the pages go.

    Raises:
        ServerError: OHIF did not show what it should.
    """
    (study,) = site.orthanc.get("/studies?expand")
    segmentation, error_probability = results_in(site.orthanc)
    glances = {
        "segmentation": (look_at_segmentation, segmentation),
        "error-probability": (look_at_map, error_probability),
    }
    servers = {"pacs": site.orthanc.url, "gateway": site.gateway}
    with open_browser() as browser:
        for server, root in servers.items():
            with running_viewer(folder / server, f"{root}/dicom-web") as url:
                for result, (glance, frames) in glances.items():
                    page = new_page(browser)
                    viewer = Viewer(page, url, study["MainDicomTags"]["StudyInstanceUID"])
                    yield server, glance(viewer, frames)
                    viewer.page().quantize(COLOURS).save(pictures / f"ohif-{server}-{result}.png", optimize=True)
                    page.close()


if __name__ == "__main__":
    typer.run(main)
