"""The command line: its failures are one line with the cause and one with the fix; its options are forgiving."""

import socket
import sys

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
        (("segment", "--out", "x", "--modality", "flair=a.nii"), "slug"),
        (("segment", "--out", "x", "--modality", "ct=a", "ct=b"), "once"),
        (("segment", ".", "--out", "x", "--num-steps", "100000"), "limit"),
        (("segment", ".", "--out", "x", "--sampler", "euler"), "sampler"),
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
