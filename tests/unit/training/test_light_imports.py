"""What trains on the machine with the GPU needs torch, numpy, scipy and onnx, and one pure package from the archive."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from training.datasets.packed import write_pack
from training.pack import PACKAGES

ROOT = Path(__file__).resolve().parents[3]
GIVEN = ("torch", "numpy", "scipy", "onnx")
NEEDED = (
    "entrust.trustmap",
    "entrust.metrics",
    "entrust.networks.calibration_head",
    "training.fit",
    "training.fit_head",
    "training.fit_calibration",
    "training.augment",
    "training.entrust_model",
    "training.predict",
    "training.scorecard",
    "training.cohort",
    "training.datasets.case",
    "training.datasets.simulated",
    "training.datasets.phantoms.world.case",
    "training.baselines.rival",
    "training.baselines.features",
    "training.baselines.volume",
    "training.gpu",
    "training.pack",
)


def closure(names: tuple[str, ...]) -> set[str]:
    """Return distributions and all that they require."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            required = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # for another platform
        found.add(name)
        waiting += [re.split(r"[\s;<>=!~\[(]", line)[0] for line in required if "extra ==" not in line]
    return found


def blocked_modules() -> set[str]:
    """Return the top-level modules of everything else that is installed, the archive's packages among it."""
    given = closure(GIVEN)
    owners = {
        module: {re.sub(r"[-_.]+", "-", d).lower() for d in owned}
        for module, owned in metadata.packages_distributions().items()
    }
    ours = {"entrust", "training", "tests"}
    return {module for module, owned in owners.items() if not owned & given} - ours


BLOCKER = """
import importlib, sys

class Hiding:  # to look for a hidden module is no error, as torch does; only to import it is
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in blocked else self.finder.find_spec(name, path, target)

blocked = set(sys.argv[1].split(","))
sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
for module in sys.argv[2].split(","):
    importlib.import_module(module)
import jaxtyping
print(jaxtyping.__file__)
"""
FIT = """
import tempfile, pathlib, torch
from training.augment import Batch
from training.baselines.rival import SMALL_WIDTHS, rivals
from training.config import FitConfig
from training.fit import fit

rival, images = rivals(SMALL_WIDTHS)["ssn"], torch.zeros(2, 2, 1, 16, 16)
label = torch.zeros(2, 16, 16, dtype=torch.int64)
batch = Batch(images, torch.ones_like(images), label, torch.zeros(2, 16, 16), label[:, None].expand(2, 2, 16, 16))
folder = pathlib.Path(tempfile.mkdtemp(dir=sys.argv[3]))
module = fit(rival.build(2, 2, 1), rival.loss, lambda: lambda _: batch, FitConfig(iterations=4), folder)
rival.predict([module], images, torch.ones_like(images), num_hypotheses=2, seed=0)
print("fitted", (folder / "checkpoint.pt").stat().st_size)
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pack") / "pack.zip"
    write_pack(path, [], PACKAGES)
    return path


def imports(
    blocked: set[str], modules: tuple[str, ...], archive: Path, more: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BLOCKER + more, ",".join(sorted(blocked)), ",".join(modules), str(archive.parent)],
        cwd=ROOT,
        env={"PYTHONPATH": f"{archive}:{ROOT}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(900)  # torch and scipy from the beginning, and its optimisers: a minute on a busy machine
def test_the_training_path_needs_nothing_else(archive: Path) -> None:
    blocked = blocked_modules()
    assert {"SimpleITK", "pydantic", "typer", "rich", "safetensors", "monai"} <= blocked
    from_archive = blocked - {"jaxtyping", "wadler_lindig"}
    run = imports(from_archive, NEEDED, archive, FIT)
    assert run.returncode == 0, run.stderr
    assert str(archive) in run.stdout, "the archive comes first, and serves"
    assert "fitted" in run.stdout


def test_the_blocker_blocks(archive: Path) -> None:
    run = imports(blocked_modules(), ("SimpleITK",), archive)
    assert run.returncode != 0
    assert "No module named 'SimpleITK'" in run.stderr
