"""A simulated glioma as DICOM through the command line and a Triton that serves the brain task alone."""

import json
import shutil
import subprocess
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from highdicom.seg import segread
from pydicom import dcmread

from entrust.contract import BRAIN, TASKS, model_contracts
from service.startup import REPOSITORY
from service.triton.installation import PROJECT
from tests.e2e.test_service_process import run_cli
from tests.validators.programs import NotInstalledError, entity_errors, object_errors
from training.datasets.phantoms.world.case import DOMAINS, make_case
from training.datasets.phantoms.world.dicom import write_case
from training.datasets.phantoms.world.splits import TEST

pytestmark = pytest.mark.timeout(600)  # a Triton of its own for every test


@pytest.fixture(scope="module")
def brain_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The released models of the brain task alone."""
    folder = tmp_path_factory.mktemp("repository")
    for contract in model_contracts(BRAIN).values():
        shutil.copytree(REPOSITORY / contract.name, folder / contract.name)
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("glioma")
    write_case(make_case(DOMAINS["brain"], TEST, 0), folder)
    return folder


@pytest.fixture(scope="module")
def results(
    study: Path, tmp_path_factory: pytest.TempPathFactory, brain_repository: Path, triton_installation: object
) -> Path:
    """Nobody names the task: the study does."""
    out = tmp_path_factory.mktemp("out")
    done = run_cli(
        "segment", str(study), "--out", str(out), "--num-hypotheses", "3", "--num-steps", "2",
        "--extra-result", "rtstruct", ENTRUST_TRITON__REPOSITORY=str(brain_repository),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Enhancing tumour" in done.stdout
    return out


def test_the_study_is_recognised_and_every_series_used(results: Path) -> None:
    summary = json.loads((results / "summary.json").read_bytes())
    assert summary["task"]["name"] == "brain"
    assert [m["slug"] for m in summary["modalities"]] == list(BRAIN.slugs)
    assert [m["slug"] for m in summary["modalities"] if m["reference"]] == ["t1c"]
    card = json.loads((PROJECT / "weights" / "brain.json").read_text())
    assert summary["model"]["version"] == card["version"]
    assert summary["grid"]["spacing_mm"] == list(BRAIN.spacing_mm)


def test_segments_volumes_and_probabilities_are_nested(results: Path) -> None:
    summary = json.loads((results / "summary.json").read_bytes())
    ds = segread(BytesIO((results / "segmentation.dcm").read_bytes()))
    masks = np.moveaxis(ds.get_volume().array > 0, -1, 0)
    assert masks.any(axis=(1, 2, 3)).all()
    assert not (masks[1:] & ~masks[:-1]).any()
    label_map = sitk.GetArrayFromImage(sitk.ReadImage(str(results / "mask.nii.gz")))
    assert np.array_equal(np.sort(masks.sum(axis=0).ravel()), np.sort(label_map.ravel()))
    volumes = [segment["volume_ml"] for segment in summary["segments"]]
    assert volumes == sorted(volumes, reverse=True)
    for outer, inner in zip(summary["segments"], summary["segments"][1:], strict=False):
        pairs = zip(outer["hypothesis_volumes_ml"], inner["hypothesis_volumes_ml"], strict=True)
        assert all(a >= b for a, b in pairs)


def test_validators_find_no_fault(results: Path, study: Path) -> None:
    made = sorted(results.glob("*.dcm"))
    assert {path.name for path in made} >= {"segmentation.dcm", "report.dcm", "rtstruct.dcm", "conflict.dcm"}
    try:
        assert {path.name: object_errors(path) for path in made} == {path.name: [] for path in made}
        assert entity_errors([*study.rglob("*.dcm"), *made]) == []
    except NotInstalledError as error:
        pytest.skip(str(error))


def test_results_lie_in_the_space_of_the_study(results: Path, study: Path) -> None:
    source = dcmread(next((study / "t1c").glob("*.dcm")))
    for name in ("segmentation.dcm", "error_probability.dcm"):
        result = dcmread(results / name)
        assert result.FrameOfReferenceUID == source.FrameOfReferenceUID
        assert result.BodyPartExamined == "HEAD"


def test_what_is_not_deployed_is_listed_and_refused_at_once(
    study: Path, tmp_path: Path, brain_repository: Path, triton_installation: object
) -> None:
    repository = {"ENTRUST_TRITON__REPOSITORY": str(brain_repository)}
    listed: subprocess.CompletedProcess[str] = run_cli("models", **repository, COLUMNS="240")
    assert listed.returncode == 0, listed.stderr
    ready = [name for name in TASKS if any(name in line and "ready" in line for line in listed.stdout.splitlines())]
    assert ready == ["brain"]
    refused = run_cli("segment", str(study), "--task", "lesion", "--out", str(tmp_path / "none"), **repository)
    assert refused.returncode == 69
    assert "'lesion' is not served here" in refused.stderr
    assert "Served here: brain" in refused.stderr
    assert not (tmp_path / "none").exists()
