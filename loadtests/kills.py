"""Kill -9 of a model's process, of Triton, and of the gateway, each under load; until the next request is answered.

The gateway's supervisor is played by :class:`loadtests.service.SupervisedGateway`, as compose or Kubernetes would: it
starts the gateway again when it has died. The gateway is killed in both ways of running: with its embedded Triton,
which dies with it, and with a Triton of its own, which survives.
"""

import asyncio
import contextlib
import gzip
import os
import signal
import statistics
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx

from loadtests.offered_load import Load
from loadtests.records import Record
from loadtests.service import SupervisedGateway, running_service
from service.startup import REPOSITORY, tasks_in
from service.triton.canary import task_canaries
from service.triton.embedded import EmbeddedTriton

Target = Literal["model", "triton", "gateway", "gateway beside its Triton"]
TARGETS: tuple[Target, ...] = ("model", "triton", "gateway", "gateway beside its Triton")
PROBE = {"task": "oncology", "num_hypotheses": "1", "num_steps": "1", "priority": "stat"}
ZIP = {"Content-Type": "application/zip"}
RESEND_SECONDS = 0.05
GIVE_UP_SECONDS = 120.0
QUIET_SECONDS = 3.0
BASELINES = 5
LOAD_SECONDS = 15.0
"""Of load for each kill: to wait, to kill, and to come back."""


@dataclass(frozen=True)
class Kill:
    """One kill.

    Attributes:
        target: What was killed.
        sent_after_seconds: From the kill to the sending of the first request that was answered.
        answered_after_seconds: From the kill to its results.
        undisturbed_seconds: The same request under the same load without a kill (median).
        kept: Studies acknowledged as finished before the kill whose results were there after it.
        lost: Those that were not.
        same_answer: Whether a study sent again gave the mask that it gave before, bit for bit.
    """

    target: Target
    sent_after_seconds: float
    answered_after_seconds: float
    undisturbed_seconds: float
    kept: int
    lost: int
    same_answer: bool


@dataclass(frozen=True)
class KillRun:
    """The kills of one target, and what the load beside them saw."""

    kills: list[Kill]
    records: list[Record]


def measure_kills(
    target: Target, times: int, rate: float, *, folder: Path, archives: Path, settings: Mapping[str, str] | None = None
) -> KillRun:
    """Kill a target some times under a light load.

    Args:
        target: What is killed.
        times: How often.
        rate: Small studies per second beside it.
        folder: For records and logs.
        archives: Folder of the studies.
        settings: Further settings of the gateway.
    """
    study = (archives / "small.zip").read_bytes()
    with contextlib.ExitStack() as stack:
        more = dict(settings or {})
        if target == "gateway beside its Triton":
            more["ENTRUST_TRITON__URL"] = stack.enter_context(triton_apart())
        service = stack.enter_context(running_service(folder / "service", more))
        client = stack.enter_context(httpx.Client(base_url=service.url, timeout=GIVE_UP_SECONDS, trust_env=False))
        seconds = LOAD_SECONDS * times
        load = stack.enter_context(
            Load(service, "kills", rate, seconds, folder=folder, archives=archives, seed=0, deck="small")
        )
        undisturbed = statistics.median(_answer(client, study, time.monotonic())[1] for _ in range(BASELINES))
        kills = [_kill(service, client, target, study, undisturbed) for _ in range(times)]
        return KillRun(kills, load.finish())


def _kill(
    service: SupervisedGateway, client: httpx.Client, target: Target, study: bytes, undisturbed_seconds: float
) -> Kill:
    """Kill once, and look at what is left."""
    time.sleep(QUIET_SECONDS)
    collected, uncollected = _finish(client, study), _finish(client, study)
    before = _mask(client, collected)
    pid = {
        "model": lambda: service.stub_of("denoiser"),
        "triton": lambda: service.triton_pid,
        "gateway": lambda: service.pid,
        "gateway beside its Triton": lambda: service.pid,
    }[target]()
    os.kill(pid, signal.SIGKILL)
    sent, answered = _answer(client, study, time.monotonic())
    there = [_mask(client, job) is not None for job in (collected, uncollected)]
    again = _mask(client, _finish(client, study))
    same = before is not None and again == before
    return Kill(target, sent, answered, undisturbed_seconds, sum(there), len(there) - sum(there), same)


def _answer(client: httpx.Client, study: bytes, since: float) -> tuple[float, float]:
    """Send a study until it is answered; return when that one was sent, and when it was answered (seconds)."""
    while time.monotonic() - since < GIVE_UP_SECONDS:
        sent = time.monotonic() - since
        with contextlib.suppress(httpx.HTTPError):
            answer = client.post("/v1/segmentations", params={**PROBE, "wait": "true"}, content=study, headers=ZIP)
            if answer.status_code == httpx.codes.OK:
                return sent, time.monotonic() - since
        time.sleep(RESEND_SECONDS)
    return GIVE_UP_SECONDS, GIVE_UP_SECONDS


def _finish(client: httpx.Client, study: bytes) -> str:
    """Send a study, and wait until the gateway says that it has finished; return the job's address.

    Raises:
        RuntimeError: It does not.
    """
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while time.monotonic() < deadline:
        answer = client.post("/v1/segmentations", params=PROBE, content=study, headers=ZIP)
        if answer.status_code == httpx.codes.ACCEPTED:
            job = str(answer.json()["links"]["self"])
            while client.get(job).json()["state"] in ("queued", "running"):
                time.sleep(0.1)
            if client.get(job).json()["state"] == "succeeded":
                return job
        time.sleep(0.5)
    raise RuntimeError("no study finished")


def _mask(client: httpx.Client, job: str) -> bytes | None:
    """Return the voxels of a job's mask, or ``None`` where the job is not known any more."""
    answer = client.get(f"{job}/results/mask.nii.gz")
    return gzip.decompress(answer.content) if answer.status_code == httpx.codes.OK else None


@contextlib.contextmanager
def triton_apart() -> Iterator[str]:
    """Run a supervised Triton in this process, as a pod's other container would; give its address."""
    ready, stop, address = threading.Event(), threading.Event(), [""]

    async def run() -> None:
        async with _open_triton() as triton:
            address[0] = triton.url
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="triton", daemon=True)
    thread.start()
    try:
        while not ready.wait(0.1):
            if not thread.is_alive():
                raise RuntimeError("Triton did not start")
        yield address[0]
    finally:
        stop.set()
        thread.join()


@contextlib.asynccontextmanager
async def _open_triton() -> AsyncIterator[EmbeddedTriton]:
    canaries = {model: canary for task in tasks_in(REPOSITORY) for model, canary in task_canaries(task).items()}
    async with EmbeddedTriton(REPOSITORY, canaries) as triton:
        yield triton
