"""``python -m demo``: simulate or take a study, have it segmented over HTTP, and say how good the answer is."""

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from demo.client import Client, Progress
from demo.evaluation import evaluate, read_volume
from demo.gateway import running_gateway
from demo.report import print_report, write_report
from demo.timings import read_timings
from demo.truth import Truth, contour_truth, phantom_truth
from entrust.contract import ONCOLOGY
from entrust.errors import EnTrustError, NotFoundError
from training.datasets.phantoms.dicom import write_study, zip_study
from training.datasets.phantoms.limb import LimbPhantom, make_phantom

DEFAULT_SEED = 9004
STAGES = ("queued", "ingest", "prepare", "conditioning", "sampling", "probing", "calibration", "trust", "encode")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demonstration and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--study", type=Path, help="folder or zip of DICOM, or folder of NIfTI; else a phantom is made")
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="where the results go (%(default)s)")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="phantom to draw; from 9000 none was trained on")
    parser.add_argument("--url", help="a gateway that runs already; else one is started")
    parser.add_argument("--num-hypotheses", type=int, help="K; the task's default when absent")
    parser.add_argument("--num-steps", type=int, help="S; the task's default when absent")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console()
    try:
        run(console, options)
    except EnTrustError as error:
        console.print(f"[bold red]{type(error).__name__}[/]:", end=" ")
        console.print(str(error), markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("Stopped, and everything that was started with it.")
        return 130
    return 0


def run(console: Console, options: argparse.Namespace) -> None:
    """Do it all.

    Raises:
        EnTrustError: The study cannot be sent, or the gateway refused it or failed.
    """
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="entrust-demo-study-") as temporary:
        phantom, upload = _prepare(console, options, Path(temporary))
        start = nullcontext(options.url) if options.url else running_gateway(out / "gateway.log")
        if not options.url:
            console.print("Starting the gateway with an embedded Triton …")
        with start as url, Client(url) as client:
            before, began = client.metrics(), time.perf_counter()
            job = client.submit(upload, ONCOLOGY.slugs, _parameters(options))
            try:
                _follow(console, client, job)
            except KeyboardInterrupt:
                client.cancel(job)
                raise
            names = client.fetch(job, out)
            total_seconds = time.perf_counter() - began
            timings = read_timings(before, client.metrics())
    summary = json.loads((out / "summary.json").read_bytes())
    truth = _truth(phantom, options.study, out, summary)
    scores = evaluate(out, summary, truth) if truth else None
    print_report(console, summary, scores, timings, total_seconds)
    write_report(out / "report.json", summary, scores, timings, total_seconds)
    console.print(f"{len(names)} results in {out}/; look at {out / 'montage.png'} first.", highlight=False)


def _prepare(console: Console, options: argparse.Namespace, folder: Path) -> tuple[LimbPhantom | None, Path]:
    """Return the phantom, if one was made, and what is to be sent."""
    study: Path | None = options.study
    if study is None:
        phantom = make_phantom(options.seed, conflict=True)
        files = write_study(phantom, folder / "study")
        console.print(f"Phantom {options.seed}: {len(files)} DICOM files of CT, PET and MR, no patient.")
        return phantom, zip_study(folder / "study", folder / "study.zip")
    if not study.exists():
        raise NotFoundError("There is no study at the given path.", fix="Name a folder or a zip.")
    if study.is_file() and study.suffix == ".zip":
        return None, study
    if any((study / f"{slug}.nii.gz").is_file() or (study / f"{slug}.nii").is_file() for slug in ONCOLOGY.slugs):
        return None, study
    if study.is_file():
        (folder / "study").mkdir()
        study = Path(shutil.copy(study, folder / "study"))
        return None, zip_study(study.parent, folder / "study.zip")
    return None, zip_study(study, folder / "study.zip")


def _parameters(options: argparse.Namespace) -> dict[str, str | int]:
    given = {"num_hypotheses": options.num_hypotheses, "num_steps": options.num_steps}
    return {"task": ONCOLOGY.name, **{name: value for name, value in given.items() if value is not None}}


def _follow(console: Console, client: Client, job: str) -> None:
    columns = (TextColumn("{task.description:<28}"), BarColumn(40), TimeElapsedColumn())
    with Bar(*columns, console=console) as bar:
        row = bar.add_task("waiting", total=len(STAGES))

        def show(progress: Progress) -> None:
            if progress.state == "succeeded":
                bar.update(row, completed=len(STAGES), description="finished")
                return
            place = STAGES.index(progress.stage) if progress.stage in STAGES else 0
            words = progress.stage + (f", step {progress.step} of {progress.of}" if progress.of > 1 else "")
            bar.update(row, completed=place + progress.step / max(progress.of, 1), description=words)

        client.follow(job, show)


def _truth(phantom: LimbPhantom | None, study: Path | None, out: Path, summary: Mapping[str, Any]) -> Truth | None:
    grid = read_volume(out / "mask.nii.gz").grid
    if phantom is not None:
        return phantom_truth(phantom, grid)
    reference = next(m["dicom_modality"] for m in summary["modalities"] if m["reference"])
    return contour_truth(study, grid, reference) if study is not None and study.is_dir() else None


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
