"""The worked example of docs/selection.md does what the document says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from entrust.volume import Grid
from service.selection.conditions import OPERATORS, SUBJECTS
from service.selection.rules import Exclusion, Role, Rules
from tests.factories.dicom_series import build_series
from tests.factories.studies import DICOM_MODALITY, dicom_bytes, limb, zipped

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "selection.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)


def hospital_study() -> bytes:
    """Return a thick and a thin CT, a derived one, PET, T1 and T2 of one leg, and a phantom's image."""
    shared = {"study_uid": "1.2.3", "frame_of_reference_uid": "1.2.4"}
    attenuation = {"CorrectedImage": ["DECY", "ATTN"]}
    found = []
    for number, slug, description, factor, tags in (
        (2, "ct", "CT 3 mm", 1.0, {}),
        (3, "ct", "CT 1 mm", 0.3, {}),
        (4, "ct", "CT MPR", 0.3, {"ImageType": ["DERIVED", "SECONDARY", "MPR"]}),
        (5, "pet", "PET AC", 1.0, attenuation),
        (6, "t1", "AX T1 TSE", 1.0, {}),
        (7, "t1", "AX T2 TSE", 1.0, {}),
        (8, "ct", "daily", 1.0, {"PatientName": "Phantom 7"}),
    ):
        volume = limb()[slug]
        spacing_mm = (volume.grid.spacing_mm[0] * factor, *volume.grid.spacing_mm[1:])
        grid = Grid.axial(volume.grid.shape, spacing_mm, volume.grid.origin_mm)
        found += build_series(
            volume.array, grid, DICOM_MODALITY[slug], series_number=number, description=description, tags=tags, **shared
        )
    return zipped({f"{i}.dcm": dicom_bytes(ds) for i, ds in enumerate(found)})


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the commands of the document print."""
    folder = tmp_path_factory.mktemp("document")
    (rules,) = blocks("yaml")
    (folder / "rules.yaml").write_text(rules)
    (folder / "study.zip").write_bytes(hospital_study())
    (script,) = blocks("sh")
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "100", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_commands_print_what_it_shows(told: str) -> None:
    first, last = blocks("text")
    assert first in told
    assert told.endswith(last)


def test_it_names_every_key_and_condition() -> None:
    keys = {*Rules.model_fields, *Role.model_fields, *Exclusion.model_fields, *OPERATORS, *SUBJECTS} - {"not_"}
    assert {key for key in keys if not re.search(rf"\b{key}\b", DOCUMENT)} == set()
