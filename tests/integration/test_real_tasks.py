"""Brains, a stroke and a heart of real people by the shipped rules: what is taken, refused and prepared."""

import shutil
from pathlib import Path

import pytest

from entrust.contract import BRAIN, LESION, TASKS, Task
from entrust.errors import InvalidInputError
from service.ingest import IngestLimits, inspect_study, read_nifti_study
from service.pipeline import prepare_study
from service.selection import default_rules, select, settle_task
from service.study import Case

RULES = default_rules()


def prepared(task: Task, **files: Path) -> Case:
    return prepare_study(read_nifti_study(files, limits=IngestLimits()), task, RULES)


def test_a_stroke_is_told_by_its_files_names(shared_data: Path) -> None:
    (folder,) = (shared_data / "stroke_isles22" / "rawdata").glob("sub-*/ses-*")
    series = inspect_study(folder)
    assert settle_task(series, RULES, TASKS) == "lesion"
    found = select(series, RULES, TASKS, task="lesion")
    assert {slug: series[index].description.rsplit("_", 1)[-1] for slug, index in found.chosen.items()} == {
        slug: slug for slug in LESION.slugs
    }


def test_a_stroke_is_prepared_on_the_grid_of_the_task(shared_data: Path) -> None:
    (folder,) = (shared_data / "stroke_isles22" / "rawdata").glob("sub-*/ses-*")
    case = prepared(LESION, **{slug: next(folder.glob(f"*_{slug}.nii.gz")) for slug in LESION.slugs})
    assert case.reference is case.used["dwi"]
    assert case.grid.spacing_mm == pytest.approx(LESION.spacing_mm)
    assert not case.missing
    flair = case.presence[LESION.slugs.index("flair")]
    assert 0.2 < flair.mean() < 1.0, "it covers less than the diffusion-weighted series, on a grid of its own"


@pytest.mark.parametrize("patient", ["p07", "p19"])
def test_a_brain_with_multiple_sclerosis_is_prepared_though_its_names_say_no_task(
    patient: str, shared_data: Path, tmp_path: Path
) -> None:
    files = {"t1": "t1", "t1c": "t1post", "t2": "t2", "flair": "flair"}
    paths = {slug: shared_data / "brain_ms" / f"{patient}_{stem}.nii.gz" for slug, stem in files.items()}
    for path in paths.values():
        shutil.copy(path, tmp_path)
    with pytest.raises(InvalidInputError, match="No task has the modalities"):
        settle_task(inspect_study(tmp_path), RULES, TASKS)
    case = prepared(BRAIN, **paths)
    assert (case.missing, case.reference) == ((), case.used["t1c"])
    assert case.grid.spacing_mm == pytest.approx(BRAIN.spacing_mm)
    assert all(image[present].std() > 0.1 for image, present in zip(case.images, case.presence, strict=True))


def test_native_scans_name_no_task(shared_data: Path) -> None:
    with pytest.raises(InvalidInputError, match="No task"):
        settle_task(inspect_study(shared_data / "brain_ms_native" / "patient03"), RULES, TASKS)


@pytest.mark.parametrize("series", ["Se3", "Se8"])
def test_cine_series_of_many_phases_are_no_volume(series: str, shared_data: Path) -> None:
    found = select(inspect_study(shared_data / "cardiac_bivme" / "dicom" / series), RULES, TASKS, task="cardiac")
    assert not found.chosen
    refusals = [one.refusal for one in found.explanation.series if one.refusal]
    assert refusals
    assert {refusal.kind for refusal in refusals} == {"geometry-conflict"}
