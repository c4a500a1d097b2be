"""The command line: its failures are one line with the cause and one with the fix; its options are forgiving."""

import socket
import sys
from pathlib import Path

import pytest

from service.__main__ import main, spread


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["entrust", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("segment", "/does/not/exist", "--out", "x"), "does not exist"),
        (("segment", "--out", "x"), "Nothing to segment"),
        (("segment", ".", "--out", "x", "--task", "everything"), "no task"),
        (("segment", "--out", "x", "--modality", "ultrasound=a.nii"), "slug"),
        (("segment", "--out", "x", "--modality", "ct=a", "ct=b"), "once"),
        (("segment", ".", "--out", "x", "--num-steps", "100000"), "limit"),
        (("segment", ".", "--out", "x", "--sampler", "euler"), "sampler"),
        (("deliver", "/does/not/exist", "--target", "pacs"), "no DICOM results"),
    ],
)
def test_failures_are_two_lines_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    assert run(monkeypatch, *arguments) == 2
    told = capsys.readouterr()
    error, fix = told.err.strip().splitlines()
    assert error.startswith("error: ")
    assert words in error
    assert fix.startswith("fix: ")
    assert told.out == ""


def test_wrong_settings_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("ENTRUST_REST__PROT", "1")
    assert run(monkeypatch, "serve") == 2
    assert "ENTRUST_REST__PROT" in capsys.readouterr().err


def test_a_taken_port_is_told_before_anything_is_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("ENTRUST_REST__PORT", str(taken.getsockname()[1]))
        assert run(monkeypatch, "serve") == 2
    assert "cannot be listened on" in capsys.readouterr().err


def test_a_taken_port_of_grpc_is_told_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("ENTRUST_REST__PORT", "0")
        monkeypatch.setenv("ENTRUST_RPC__PORT", str(taken.getsockname()[1]))
        assert run(monkeypatch, "serve") == 2
    assert "ENTRUST_RPC__PORT" in capsys.readouterr().err


def test_a_folder_for_uploads_that_cannot_be_made_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    for name, value in {"REST__PORT": "0", "RPC__PORT": "0", "TRITON__URL": "127.0.0.1:1"}.items():
        monkeypatch.setenv(f"ENTRUST_{name}", value)
    monkeypatch.setenv("ENTRUST_JOBS__WORK_FOLDER", str(tmp_path / "file" / "work"))
    assert run(monkeypatch, "serve") == 2
    assert "ENTRUST_JOBS__WORK_FOLDER" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, "", "zebra", "a-token-that-is-long-enough x", "ein-schlüssel-mit-umlaut"])
def test_a_file_of_tokens_that_guards_nothing_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "tokens"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    monkeypatch.setenv("ENTRUST_AUTH__TOKEN_FILE", str(file))
    assert run(monkeypatch, "serve") == 2
    told = capsys.readouterr().err
    assert "tokens" in told
    assert not content or content not in told


def test_a_certificate_that_cannot_be_used_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("ENTRUST_TLS__KEY_FILE", str(tmp_path / "key.pem"))
    assert run(monkeypatch, "serve") == 2
    assert "belong together" in capsys.readouterr().err
    monkeypatch.setenv("ENTRUST_TLS__CERTIFICATE_FILE", str(tmp_path / "chain.pem"))
    for name in ("key.pem", "chain.pem"):
        (tmp_path / name).write_text("nonsense")
    assert run(monkeypatch, "serve") == 2
    assert "certificate or its key cannot be used" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["--modality", "ct=a", "pet=b"], ["--modality", "ct=a", "--modality", "pet=b"]),
        (["--modality", "ct=a", "--modality", "pet=b"], ["--modality", "ct=a", "--modality", "pet=b"]),
        (["--modality", "ct=a", "--out", "x=y"], ["--modality", "ct=a", "--out", "x=y"]),
        (["in", "--modality", "ct=a", "pet=b", "--seed", "1"],
         ["in", "--modality", "ct=a", "--modality", "pet=b", "--seed", "1"]),
        (["--modality=ct=a"], ["--modality=ct=a"]),
    ],
)  # fmt: skip
def test_modalities_may_follow_each_other(given: list[str], read: list[str]) -> None:
    assert spread(given) == read
