"""Every command block of the README does what the README says."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.gateway import running_gateway
from training.datasets.phantoms.dicom import write_study, zip_study
from training.datasets.phantoms.limb import make_phantom

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
QUICK_OPTIONS = ["--num-hypotheses", "2", "--num-steps", "2"]  # appended: the same way, walked faster
QUICK_QUERY = "num_hypotheses=2&num_steps=2"
SHELL_BLOCKS = [text for language, text in BLOCKS if language == "sh"]
MAKE_TARGETS = [
    line.removeprefix("$ make ")
    for language, text in BLOCKS
    if language == "console"
    for line in text.splitlines()
    if line.startswith("$ make ")
]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    write_study(make_phantom(9000, conflict=True), folder)
    return folder


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_gateway(tmp_path_factory.mktemp("log") / "gateway.log") as url:
        yield url


def _promised_files() -> set[str]:
    """The names in the README's table of results."""
    names: set[str] = set()
    for row in re.findall(r"^\| (`.*?`(?:, `.*?`)*) \|", README, flags=re.MULTILINE):
        first = ""
        for name in re.findall(r"`(.*?)`", row):
            first = first or name.split(".")[0]
            full = first + name if name.startswith(".") else name
            names |= {full.replace("<modality>", slug) for slug in ("ct", "pet", "t1")}
    return names


def test_every_block_is_run_by_a_test() -> None:
    assert {language for language, _ in BLOCKS} == {"console", "sh"}
    assert MAKE_TARGETS == ["demo", "test"]
    assert len(SHELL_BLOCKS) == 2


@pytest.mark.parametrize("target", [*MAKE_TARGETS, "help", "check", "serve", "train", "export"])
def test_make_targets_exist(target: str) -> None:
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if target == "demo":
        assert "-m demo --out out/demo" in done.stdout


def test_demo_prints_its_tables_and_writes_what_is_promised(gateway: str, tmp_path: Path) -> None:
    """What ``make demo`` runs once all is installed, with the gateway that runs already."""
    command = [sys.executable, "-m", "demo", "--url", gateway, "--out", str(tmp_path), "--seed", "9000", *QUICK_OPTIONS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for words in ("Dice", "Error detection (AUROC)", "Conflict found / injected", "interval", "sampling step 0"):
        assert words in done.stdout
    promised = _promised_files()
    assert len(promised) > 10
    assert not promised - {path.name for path in tmp_path.iterdir()}


def test_curl_block_fetches_all_results(gateway: str, study: Path, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    zip_study(study, tmp_path / "study.zip")
    block = SHELL_BLOCKS[0].replace("http://127.0.0.1:8080", gateway).replace("wait=true", f"wait=true&{QUICK_QUERY}")
    assert gateway in block
    assert QUICK_QUERY in block
    subprocess.run(["bash", "-euc", block], cwd=tmp_path, check=True, capture_output=True)
    with zipfile.ZipFile(tmp_path / "results.zip") as results:
        assert not _promised_files() - set(results.namelist())


def test_command_line_block_writes_all_results(study: Path, tmp_path: Path) -> None:
    """Without a gateway: the command starts an embedded Triton, and stops it."""
    block = SHELL_BLOCKS[1].replace(".venv/bin/entrust", f"{sys.executable} -m service")
    block = f"{block.replace('path/to/study', 'study').rstrip()} {' '.join(QUICK_OPTIONS)}"
    shutil.copytree(study, tmp_path / "study")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-euc", block], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not _promised_files() - {path.name for path in (tmp_path / "results").iterdir()}
