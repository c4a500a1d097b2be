"""The policy of licences refuses what nobody has looked at."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.containers.licences import is_allowed, load_policy, refused

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = ROOT / "deploy" / "containers" / "licences.py"


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("MIT OR GPL-3.0-only", True),
        ("BSD-3-Clause AND 0BSD AND Zlib", True),
        ("BSD License; MIT License", True),
        ("GPL-3.0-only", False),
        ("AGPL-3.0-or-later", False),
        ("MIT AND GPL-2.0-only", False),
        ("BSD License; GNU General Public License v3 (GPLv3)", False),
        ("CC-BY-NC-4.0", False),
        ("MPL-2.0", False),
        ("UNKNOWN", False),
        ("", False),
    ],
)
def test_a_package_without_a_reason(licence: str, allowed: bool) -> None:
    assert is_allowed("anything", licence, load_policy()) is allowed


def test_weak_copyleft_needs_a_reason_by_name() -> None:
    policy = load_policy() | {"reasons": {"certifi": "a list"}}
    assert is_allowed("certifi", "MPL-2.0", policy)
    assert not is_allowed("certifi", "GPL-3.0-only", policy)
    assert not is_allowed("other", "MPL-2.0", policy)


def test_every_reason_is_for_a_package_that_is_locked() -> None:
    locked = {line.partition("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines()}
    assert set(load_policy()["reasons"]) <= locked


def test_faults_are_named_and_fail_the_program() -> None:
    packages = [
        {"Name": "good", "Version": "1", "License": "MIT"},
        {"Name": "bad", "Version": "2", "License": "GPL-3.0-only"},
    ]
    assert refused(packages, load_policy()) == ["bad 2: GPL-3.0-only"]
    for listed, code in ((packages, 1), ([], 1), ([packages[0], packages[0]], 0)):
        done = subprocess.run([sys.executable, str(PROGRAM)], input=json.dumps(listed), capture_output=True, text=True)
        assert done.returncode == code, done.stderr
