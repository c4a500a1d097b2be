"""A real tritonserver for the session, and the model repository that it serves."""

import hashlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from entrust.contract import ONCOLOGY, model_contracts
from service.inference import TritonClient
from service.shared_memory import FOLDER
from service.triton.canary import task_canaries
from service.triton.embedded import EmbeddedTriton
from service.triton.install import install
from service.triton.installation import Installation

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def triton_installation() -> Installation:
    """The server's files; the first run on a machine fetches them."""
    installation = Installation()
    install(installation)
    return installation


@pytest.fixture(scope="session")
def model_repository() -> Path:
    """The committed repository; before there are released weights, one with random weights, kept in ``.cache``."""
    names = [contract.name for contract in model_contracts(ONCOLOGY).values()]
    committed = ROOT / "model_repository"
    if all((committed / name / "1" / "model.onnx").is_file() for name in names):
        return committed
    sources = [
        *(ROOT / "entrust" / "contract").glob("*.py"),
        *(ROOT / "entrust" / "networks").glob("*.py"),
        *ROOT.glob("export/*.py"),
    ]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(sources))).hexdigest()[:16]
    folder = ROOT / ".cache" / f"untrained_repository_{digest}"
    if not all((folder / name / "config.pbtxt").is_file() for name in names):
        command = [sys.executable, "-m", "export", "--task", ONCOLOGY.name, "--untrained", "--out", str(folder)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder


@pytest.fixture(scope="session")
async def triton(triton_installation: Installation, model_repository: Path) -> AsyncIterator[EmbeddedTriton]:
    """A server that lives as long as the session. Tests that break servers start their own."""
    server = EmbeddedTriton(model_repository, task_canaries(ONCOLOGY), installation=triton_installation)
    async with server:
        yield server


@pytest.fixture(scope="session", params=["shared memory", "plain gRPC"])
async def triton_client(triton: EmbeddedTriton, request: pytest.FixtureRequest) -> AsyncIterator[TritonClient]:
    """A client by each way of carrying tensors."""
    async with TritonClient(triton.url, shared_memory="auto" if request.param == "shared memory" else "off") as client:
        yield client


@pytest.fixture
def nothing_left_in_shared_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail when a test leaves shared memory behind; a prefix of its own keeps other processes out of the count."""
    prefix = f"entrust_test{os.getpid()}_"
    monkeypatch.setattr("service.shared_memory.PREFIX", prefix)
    yield
    left = [path.name for path in FOLDER.glob(f"{prefix}*")]
    assert not left, f"left behind: {sorted(left)}"
