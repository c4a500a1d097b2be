"""The rooms and who may enter them: ``.importlinter``, and what a fresh process really loads."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

LOADS_ALL_OF_THE_GATEWAY = """
import importlib, pkgutil, sys
import entrust, service
for package in (entrust, service):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.startswith("entrust.networks") and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"torch", "onnx", "onnxruntime", "tensorrt"}))
"""


def test_imports_keep_the_architecture() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_module_of_the_gateway_loads_without_torch() -> None:
    result = subprocess.run(
        [sys.executable, "-c", LOADS_ALL_OF_THE_GATEWAY],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []
