"""A model repository with the brain task alone, of small random networks."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from entrust.contract import BRAIN, model_contracts

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def brain_repository() -> Path:
    """Export them as any release is exported; kept in ``.cache``, for it takes a minute and more."""
    sources = [*ROOT.glob("entrust/contract/*.py"), *ROOT.glob("entrust/networks/*.py"), *ROOT.glob("export/*.py")]
    content = b"".join(path.read_bytes() for path in sorted([*sources, ROOT / "tests" / "factories" / "releases.py"]))
    folder = ROOT / ".cache" / f"brain_repository_{hashlib.sha256(content).hexdigest()[:16]}"
    if not all((folder / contract.name / "config.pbtxt").is_file() for contract in model_contracts(BRAIN).values()):
        weights = folder / "weights"
        for arguments in (
            ("tests.factories.releases", BRAIN.name, str(weights)),
            ("export", "--weights", str(weights), "--out", str(folder)),
        ):
            done = subprocess.run(
                [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder
