"""The command: what it prints, what it writes, and when it fails."""

import sys
from pathlib import Path

import pytest
from matplotlib.image import imread

from training.datasets.phantoms.__main__ import main


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["phantoms", *words])
    return main()


def test_preview_draws_one_row_a_case(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for cases in ("1", "2"):
        assert (
            run(monkeypatch, "--preview", "--domain", "lesion", "--cases", cases, "--out", str(tmp_path / cases)) == 0
        )
    one, two = (imread(tmp_path / n / "preview-lesion.png") for n in "12")
    assert two.shape[0] > 1.7 * one.shape[0]
    assert one.std() > 0.1


def test_export_writes_a_study_and_refuses_what_does_not_fit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--domain", "oncology", "--cases", "1", "--out", str(tmp_path))
    assert run(monkeypatch, "--export", "dicom", *words) == 0
    assert len(list(tmp_path.rglob("*.dcm"))) == 15
    assert run(monkeypatch, "--export", "brats20", *words) == 1
    assert "hecktor22" in capsys.readouterr().err


def test_check_fails_when_a_case_has_changed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import training.datasets.phantoms.__main__ as command

    monkeypatch.setattr(command, "published", lambda: {"cardiac": {"shift-missing": {"cases": 100, "sha256": "0"}}})
    assert run(monkeypatch, "--check", "--domain", "cardiac", "--split", "shift-missing") == 1
    assert "DIFFERS" in capsys.readouterr().out
