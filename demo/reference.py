"""Measure what the calibration set looks like to the released weights: ``python -m demo.reference``.

Each patient goes through the gateway's own pipeline and a real Triton, and what the gateway would have told Prometheus
is kept: the smallest, the median and the largest value of each measure. The file goes with the gateway, which compares
every study with it.
"""

import asyncio
import json
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import SimpleITK as sitk
import typer

from entrust.contract import ONCOLOGY, TASKS, Task, get_task
from entrust.drift import (
    AGREEMENT_MEASURE,
    UNCERTAIN_MEASURE,
    Band,
    CalibrationReference,
    conflict_measure,
    intensity_measure,
)
from service.app import open_pipeline
from service.jobs.job import JobState
from service.observability.metrics import Metrics
from service.observability.references import FOLDER
from service.pipeline import SegmentationRequest, Source
from service.settings import Settings
from training.datasets.oncology import SUV_PER_UNIT, find_root
from training.datasets.phantoms.world.case import get_domain, make_case
from training.datasets.phantoms.world.dicom import write_case
from training.datasets.phantoms.world.splits import get_split

WEIGHTS = Path(__file__).resolve().parents[1] / "weights"


class Recorder(Metrics):
    """Metrics that keep the exact values of the measures, where a histogram keeps only their buckets."""

    def __init__(self, task: Task) -> None:
        super().__init__(pairs={task.name: task.pairs}, states=[s.value for s in JobState])
        self.values: dict[str, list[float]] = defaultdict(list)
        self.digest = ""

    def inputs(
        self,
        *,
        task: str,  # noqa: ARG002  (one task at a time)
        intensities: Mapping[str, Mapping[str, float]],
        coverage: Mapping[str, float],  # noqa: ARG002  (decided by who cropped the images, not by a scanner)
        slice_spacing_mm: Mapping[str, float],  # noqa: ARG002  (the released images were resampled)
    ) -> None:
        """Keep the measures of the input."""
        for slug, statistics in intensities.items():
            for statistic, value in statistics.items():
                self.values[intensity_measure(slug, statistic)].append(value)

    def trust(
        self,
        *,
        task: str,  # noqa: ARG002
        uncertain_share: float,
        conflict_share: Mapping[str, float],
        agreement: float | None = None,
        complete: bool = False,  # noqa: ARG002
        digest: str = "",
    ) -> None:
        """Keep the measures of trust."""
        self.digest = digest
        self.values[UNCERTAIN_MEASURE].append(uncertain_share)
        if agreement is not None:
            self.values[AGREEMENT_MEASURE].append(agreement)
        for pair, share in conflict_share.items():
            self.values[conflict_measure(pair)].append(share)


def write_study(root: Path, patient: str, folder: Path) -> dict[str, Path]:
    """Write a patient's images in the units that the gateway takes: HU, SUV, and T1 where it was acquired."""
    folder.mkdir()
    source = root / patient
    ct, pet, t1, field = (
        sitk.ReadImage(str(source / f"{stem}.nii.gz")) for stem in ("ct", "pet_suvx500", "mr_t1_norm4000", "mr_fov")
    )
    acquired = sitk.GetArrayFromImage(field) > 0
    masked = sitk.GetImageFromArray(np.where(acquired, sitk.GetArrayFromImage(t1), 0))
    masked.CopyInformation(t1)
    images = {"ct": ct, "pet": sitk.Cast(pet, sitk.sitkFloat32) * SUV_PER_UNIT, "t1": masked}
    paths = {slug: folder / f"{slug}.nii.gz" for slug in images}
    for slug, image in images.items():
        sitk.WriteImage(image, str(paths[slug]))
    return paths


def calibration_set(task: Task, folder: Path) -> list[Source]:
    """Write the studies on which the released weights were calibrated: patients, or simulated cases as DICOM.

    Args:
        task: The task; the description of its weights names the calibration set under ``splits``.
        folder: Where to write.
    """
    card = json.loads((WEIGHTS / f"{task.name}.json").read_text(encoding="utf-8"))
    names: list[str] = card["splits"]["calibration"]
    if task is ONCOLOGY:
        root = find_root()
        return [write_study(root, name, folder / name) for name in names]
    for name in names:  # brain-calibration-0007
        split, _, index = name.removeprefix(f"{task.name}-").rpartition("-")
        write_case(make_case(get_domain(task.name), get_split(split), int(index)), folder / name)
    return [folder / name for name in names]


async def measure(task: Task, sources: Sequence[Source]) -> CalibrationReference:
    """Send studies through the pipeline.

    Raises:
        EnTrustError: Whatever stands in the way.
    """
    recorder = Recorder(task)
    async with open_pipeline(Settings(), recorder) as pipeline:
        for number, source in enumerate(sources, start=1):
            await pipeline.segment(SegmentationRequest(task.name, task.num_hypotheses, task.num_steps), source)
            typer.echo(f"{number} of {len(sources)} measured", err=True)
    bands = {name: Band.of(values) for name, values in recorder.values.items()}
    return CalibrationReference(task.name, recorder.digest, len(sources), bands)


def main(
    studies: Annotated[
        list[Path] | None,
        typer.Argument(help="Complete DICOM studies of your own; the released weights' calibration set when absent."),
    ] = None,
    task: Annotated[str, typer.Option(help="Task to measure; every one with released weights when absent.")] = "",
    out: Annotated[Path, typer.Option(help="Folder for <task>.json; ENTRUST_METRICS__REFERENCES names it.")] = FOLDER,
) -> None:
    """Measure what the calibration set looks like, and write it where the gateway reads it."""
    names = [task] if task else [name for name in TASKS if (WEIGHTS / f"{name}.json").is_file()]
    if studies and len(names) != 1:
        raise typer.BadParameter("studies of your own are of one task: name it", param_hint="--task")
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        with tempfile.TemporaryDirectory(prefix="entrust-reference-") as folder:
            sources = list(studies or calibration_set(get_task(name), Path(folder)))
            reference = asyncio.run(measure(get_task(name), sources))
        (out / f"{name}.json").write_text(reference.to_json(), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
