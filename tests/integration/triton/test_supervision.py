"""What kills a Triton in the field, done to a real one."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from entrust.contract import ONCOLOGY
from entrust.errors import ModelUnavailableError
from service.inference import TritonClient, load_card, run_inference
from service.observability.events import Silence
from service.shared_memory import FOLDER
from service.triton.canary import Canary, task_canaries
from service.triton.embedded import EmbeddedTriton
from service.triton.installation import SOURCES, Installation
from service.triton.processes import stubs
from tests.factories.cases import small_case
from tests.factories.triton_models import copy_model
from tests.integration.triton.test_inference import assert_same_bits

DENOISER, HEAD = "oncology_denoiser", "oncology_calibration_head"


class Repairs(Silence):
    def __init__(self) -> None:
        self.actions: list[str] = []
        self.canaries: list[tuple[str, str]] = []
        self.deaths: list[str] = []

    def triton_repair(self, *, action: str) -> None:
        self.actions.append(action)

    def triton_canary(self, *, model: str, outcome: str) -> None:
        self.canaries.append((model, outcome))

    def triton_stub_death(self, *, model: str) -> None:
        self.deaths.append(model)


async def until(condition: Callable[[], bool], *, seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def repairs() -> Repairs:
    return Repairs()


@pytest.fixture(scope="module")
async def doomed(
    triton_installation: Installation, model_repository: Path, repairs: Repairs
) -> AsyncIterator[EmbeddedTriton]:
    """A server to be hurt."""
    server = EmbeddedTriton(
        model_repository,
        task_canaries(ONCOLOGY),
        installation=triton_installation,
        canary_interval_seconds=1.0,
        observer=repairs,
    )
    async with server:
        yield server


def denoiser_stub(server: EmbeddedTriton) -> int:
    return next(pid for pid, command in stubs(server.pid).items() if any(DENOISER in part for part in command))


@pytest.mark.parametrize("victim", ["stub", "server"])
@pytest.mark.parametrize("shared_memory", ["auto", "off"])
async def test_a_request_survives_a_kill_and_so_does_the_next(
    doomed: EmbeddedTriton, repairs: Repairs, victim: str, shared_memory: str
) -> None:
    case = small_case(ONCOLOGY)
    async with TritonClient(doomed.url, shared_memory=shared_memory, recovery_seconds=60.0) as client:
        card = await load_card(client, ONCOLOGY)

        def run(on_progress: Callable[[str, int, int], None] | None = None):
            return run_inference(
                client, case, card, num_hypotheses=4, num_steps=4, seed=0, chunk=2, on_progress=on_progress
            )

        untouched = (await run()).hypotheses
        url, before, deaths, killed = doomed.url, len(repairs.actions), len(repairs.deaths), []

        def strike(stage: str, step: int, of: int) -> None:
            if stage == "sampling" and not killed:
                killed.append(denoiser_stub(doomed) if victim == "stub" else doomed.pid)
                os.kill(killed[0], signal.SIGKILL)

        assert_same_bits((await run(strike)).hypotheses, untouched)
        assert killed
        assert_same_bits((await run()).hypotheses, untouched)
        await until(lambda: len(repairs.actions) > before)
        assert repairs.actions[before] == ("reload" if victim == "stub" else "restart")
        assert repairs.deaths[deaths:] == ([DENOISER] if victim == "stub" else [])
        assert doomed.url == url


async def test_a_killed_server_leaves_no_shared_memory_behind(doomed: EmbeddedTriton) -> None:
    def held() -> set[Path]:
        return set(FOLDER.glob(f"{doomed.shared_memory_prefix}*"))

    async with TritonClient(doomed.url, recovery_seconds=60.0) as client:
        await load_card(client, ONCOLOGY)
        before, old_pid = held(), doomed.pid
        os.kill(old_pid, signal.SIGKILL)
        await until(lambda: bool(held()) and not held() & before - {FOLDER / f"{doomed.shared_memory_prefix}.lock"})
    await until(lambda: doomed.log_tail() != "")


async def test_a_hung_model_is_noticed(
    triton_installation: Installation, model_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.triton.embedded.MISSED_CANARIES", 1)
    monkeypatch.setattr("service.triton.embedded.CANARY_SECONDS", 1.0)
    repairs = Repairs()
    server = EmbeddedTriton(
        model_repository,
        {HEAD: task_canaries(ONCOLOGY)[HEAD]},
        installation=triton_installation,
        canary_interval_seconds=0.5,
        observer=repairs,
    )
    async with server:
        os.kill(server.pid, signal.SIGSTOP)
        await until(lambda: bool(repairs.actions), seconds=60)
        assert repairs.actions == ["restart"]
        assert (HEAD, "late") in repairs.canaries


async def test_an_answer_that_changes_is_noticed(
    triton_installation: Installation, model_repository: Path, tmp_path: Path
) -> None:
    copy_model(model_repository, tmp_path, HEAD)
    repairs = Repairs()
    server = EmbeddedTriton(
        tmp_path,
        {HEAD: task_canaries(ONCOLOGY)[HEAD]},
        installation=triton_installation,
        canary_interval_seconds=0.5,
        observer=repairs,
    )
    async with server:
        server._known[HEAD] = "another answer"  # as if the running model had begun to lie
        await until(lambda: "restart" in repairs.actions, seconds=60)
        assert repairs.actions[:2] == ["reload", "restart"], "first the model, then the server"
        assert (HEAD, "wrong") in repairs.canaries
        assert repairs.deaths == []


@pytest.mark.usefixtures("nothing_left_in_shared_memory")
async def test_a_broken_model_fails_the_start_with_the_servers_words(
    triton_installation: Installation, model_repository: Path, tmp_path: Path
) -> None:
    copy_model(model_repository, tmp_path, HEAD)
    (tmp_path / HEAD / "1" / "model.onnx").write_bytes(b"not a model")
    server = EmbeddedTriton(tmp_path, {HEAD: task_canaries(ONCOLOGY)[HEAD]}, installation=triton_installation)
    with pytest.raises(
        ModelUnavailableError, match=r"(?s)stopped while it was starting.*(INVALID_PROTOBUF|[Pp]rotobuf)"
    ):
        await server.start()


async def test_a_missing_model_is_named(triton_installation: Installation, tmp_path: Path) -> None:
    server = EmbeddedTriton(tmp_path, {HEAD: task_canaries(ONCOLOGY)[HEAD]}, installation=triton_installation)
    with pytest.raises(ModelUnavailableError, match=HEAD):
        await server.start()


async def test_an_environment_that_mangles_tensors_does_not_serve(triton_installation: Installation) -> None:
    class WithNumpy2(Installation):
        environment = Path(sys.prefix)  # this interpreter's environment: numpy 2 and onnxruntime

    server = EmbeddedTriton(
        SOURCES / "selftest",
        {"identity": Canary({"x": task_canaries(ONCOLOGY)[HEAD].inputs["features"].reshape(1, -1)})},
        installation=WithNumpy2(triton_installation.home),
    )
    with pytest.raises(ModelUnavailableError, match="tensors do not survive"):
        await server.start()


def test_without_an_installation_the_error_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match=r"python -m service\.triton\.install"):
        Installation(tmp_path).require()


ORPHAN = """
import asyncio, sys
from pathlib import Path
from entrust.contract import ONCOLOGY
from service.triton.canary import task_canaries
from service.triton.embedded import EmbeddedTriton

async def main():
    canaries = {name: canary for name, canary in task_canaries(ONCOLOGY).items() if name.endswith("head")}
    async with EmbeddedTriton(Path(sys.argv[1]), canaries) as server:
        print(server.pid, server.shared_memory_prefix, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and ") Z" not in Path(f"/proc/{pid}/stat").read_text()


def test_the_server_goes_with_its_gateway(triton_installation: Installation, model_repository: Path) -> None:
    gateway = subprocess.Popen(
        [sys.executable, "-c", ORPHAN, str(model_repository)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, cwd=SOURCES.parents[1],
    )  # fmt: skip
    assert gateway.stdout is not None
    server_line = next(line for line in gateway.stdout if line.split()[0].isdigit())
    pid, prefix = int(server_line.split()[0]), server_line.split()[1]
    children = [*stubs(pid), pid]
    assert len(children) > 1
    gateway.kill()  # no chance to tidy up
    gateway.wait()
    gateway.stdout.close()
    deadline = time.monotonic() + 30
    while any(alive(child) for child in children):
        assert time.monotonic() < deadline, "the server outlived its gateway"
        time.sleep(0.1)
    left = [path.name for path in FOLDER.glob(f"{prefix}*")]
    assert left in ([], [f"{prefix}.lock"]), "the server removes its own; the lock falls to the next gateway's sweep"


def test_the_server_environment_has_no_numpy_2(triton_installation: Installation) -> None:
    code = "import numpy, onnxruntime; print(numpy.__version__, onnxruntime.__version__)"
    python = triton_installation.environment / "bin" / "python"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    numpy_version, ort_version = done.stdout.split()
    wanted = (SOURCES / "requirements.txt").read_text()
    assert f"numpy=={numpy_version}\n" in wanted
    assert numpy_version.startswith("1.")
    assert f"onnxruntime=={ort_version}\n" in wanted
    assert shutil.which("tritonserver", path=str(triton_installation.binary.parent))
