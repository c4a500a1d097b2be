"""The loop with a PACS, by both protocols: ``python -m deploy.orthanc``."""

import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, get_args

import typer
from pydicom.uid import UID

from deploy.orthanc.loop import Way, open_site, run_loop
from deploy.prometheus.server import ServerError
from training.datasets.phantoms.dicom import write_study
from training.datasets.phantoms.limb import make_phantom


def main(
    hypotheses: Annotated[int, typer.Option(min=1, help="K.")] = 2,
    steps: Annotated[int, typer.Option(min=1, help="S.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Of the simulated patient.")] = 9004,
) -> None:
    """Send a simulated study to Orthanc, and see its results come back, by DIMSE and by DICOMweb."""
    settings = {"ENTRUST_STUDIES__NUM_HYPOTHESES": str(hypotheses), "ENTRUST_STUDIES__NUM_STEPS": str(steps)}
    for way in get_args(Way):
        with tempfile.TemporaryDirectory(prefix="entrust-pacs-") as name:
            folder, began = Path(name), time.monotonic()
            images = folder / "images"
            write_study(make_phantom(seed), images)
            try:
                with open_site(way, folder, settings) as site:
                    found = run_loop(site, images)
            except ServerError as error:
                typer.echo(f"{way}: {error}", err=True)
                sys.exit(1)
            words = ", ".join(f"{count} {UID(uid).name}" for uid, count in found.items())
            typer.echo(f"{way}: {words}; found in the PACS after {time.monotonic() - began:.0f} seconds")


if __name__ == "__main__":
    typer.run(main)
