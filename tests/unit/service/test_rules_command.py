"""``entrust rules``: faults with their lines, and a study explained series by series."""

import json
import sys
from pathlib import Path

import pytest

from entrust.contract import TASKS as SERVED
from service.__main__ import main
from service.selection import Explanation, default_rules, parse_rules
from tests.factories.dicom_series import write_series
from tests.factories.rules_files import BOTH_TASKS
from tests.factories.studies import dicom_datasets, dicom_zip


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["entrust", "rules", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_series(tmp_path / "study", dicom_datasets())


def test_a_file_is_checked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("version: 1\ntasks:\n  - task: oncology\n    roles:\n      ct: {take: [{tag: Kvp, equals: 1}]}\n")
    assert run(monkeypatch, "check", str(file)) == 2
    error, fix = capsys.readouterr().err.strip().splitlines()
    assert "line 5: the standard has no attribute of this name (did you mean KVP?)" in error
    assert fix.startswith("fix: ")
    assert run(monkeypatch, "check", "default") == 0
    assert "oncology: ct, pet, t1" in capsys.readouterr().out
    assert run(monkeypatch, "check", str(tmp_path / "none.yaml")) == 2
    assert str(tmp_path) not in capsys.readouterr().err


def test_the_shipped_rules_can_be_copied(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "default") == 0
    assert parse_rules(capsys.readouterr().out.encode(), SERVED) == default_rules()


def test_a_study_is_explained(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], study: Path) -> None:
    assert run(monkeypatch, "test", "default", str(study)) == 0
    told = capsys.readouterr().out
    assert "oncology: chosen. It is the first that fits." in told
    for words in ("ct: series 1, by rules", "✓ oncology: t1", "t1, by its description", "priority: routine"):
        assert words in told
    assert "Phantom" not in told.replace("Limb phantom", "")


def test_a_zip_is_explained_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "study.zip").write_bytes(dicom_zip())
    assert run(monkeypatch, "test", "default", str(tmp_path / "study.zip"), "--json", "--task", "oncology") == 0
    explanation = Explanation.model_validate(json.loads(capsys.readouterr().out))
    assert [series.role for series in explanation.series] == ["ct", "pet", "t1"]


def test_nothing_that_fits_is_an_exit_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, study: Path
) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("version: 1\ntasks: [{task: oncology, roles: {ct: {take: [contrast: true]}}}]")
    assert run(monkeypatch, "test", str(file), str(study)) == 1
    assert "oncology: not chosen. No series fits any of its roles." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("test", "default", "/does/not/exist"), "STUDY does not exist"),
        (("test", "default", ".", "--task", "everything"), "no task"),
        (("test", "/does/not/exist", "."), "rules file cannot be read"),
    ],
)
def test_failures_are_two_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    assert run(monkeypatch, *arguments) == 2
    error, _fix = capsys.readouterr().err.strip().splitlines()
    assert words in error


def test_rules_of_unknown_tasks_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "rules.yaml").write_text(BOTH_TASKS.replace("brain", "knitting"))
    assert run(monkeypatch, "check", str(tmp_path / "rules.yaml")) == 2
    assert "line 3: there is no such task" in capsys.readouterr().err
