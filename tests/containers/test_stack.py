"""The containers at work: the same answer as outside, shared memory and its absence, hardening, health, the end."""

import io
import json
import os
import signal
import time
import zipfile
from pathlib import Path

import httpx
import pytest

from demo.gateway import running_gateway
from tests.containers.engine import Engine
from tests.containers.stack import Stack, free_ports, wait_for

PARAMETERS = {"task": "oncology", "num_hypotheses": "2", "num_steps": "2", "seed": "7", "wait": "true"}
MASKS = ("mask.nii.gz", "probability.nii.gz", "error_probability.nii.gz", "conflict.nii.gz")
STOP_SECONDS = 20.0
STUB = "triton_python_b"  # a model's process, as long as the kernel keeps its name


def segment(url: str, upload: Path) -> dict[str, bytes]:
    """Post a study and return the results' files."""
    answer = httpx.post(
        f"{url}/v1/segmentations", params=PARAMETERS, content=upload.read_bytes(), timeout=300.0, trust_env=False,
        headers={"Content-Type": "application/zip", "Accept": "application/zip"},
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def value(metrics: str, start: str) -> float:
    """Return the sum of the samples whose line begins so."""
    return sum(float(line.rpartition(" ")[2]) for line in metrics.splitlines() if line.startswith(start))


@pytest.fixture(scope="module")
def inside(stack: Stack, upload: Path) -> dict[str, bytes]:
    """The containers' answer."""
    return segment(stack.url, upload)


@pytest.fixture(scope="module")
def outside(upload: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The answer of this checkout without any container."""
    with running_gateway(tmp_path_factory.mktemp("outside") / "gateway.log") as url:
        return segment(url, upload)


def test_answers_are_those_of_the_checkout(inside: dict[str, bytes], outside: dict[str, bytes]) -> None:
    assert set(inside) == set(outside)
    for name in MASKS:
        assert inside[name] == outside[name], name
    assert any(inside["mask.nii.gz"])


def test_tensors_go_through_shared_memory(stack: Stack, inside: dict[str, bytes]) -> None:
    known = stack.shared_memory()
    assert known
    assert all(name.startswith("entrust_client_") for name in known)
    listed = stack.inside("triton", "ls", "/dev/shm").stdout.split()
    assert set(known) <= set(listed)
    assert "shared-memory-refused" not in stack.engine.logs(stack.container("gateway"))


def test_without_common_memory_the_answer_is_the_same(
    stack: Stack, images: dict[str, str], upload: Path, inside: dict[str, bytes]
) -> None:
    before = set(stack.shared_memory())
    (port,) = free_ports(1)
    engine: Engine = stack.engine
    engine.podman(
        "run", "--detach", "--name", "alone", "--network", "host", "--read-only", "--cap-drop", "all",
        "--tmpfs", "/tmp", "--env", "ENTRUST_JOBS__WORK_FOLDER=/tmp", "--env", "ENTRUST_REST__HOST=127.0.0.1",
        "--env", f"ENTRUST_REST__PORT={port}", "--env", "ENTRUST_RPC__ENABLED=false",
        "--env", f"ENTRUST_TRITON__URL=127.0.0.1:{stack.ports['TRITON_GRPC_PORT']}", images["gateway"],
    )  # fmt: skip
    try:
        wait_for(f"http://127.0.0.1:{port}/health/ready", lambda: engine.logs("alone"))
        answer = segment(f"http://127.0.0.1:{port}", upload)
        assert "shared-memory-refused" in engine.logs("alone")
        assert set(stack.shared_memory()) <= before
        assert {name: answer[name] for name in MASKS} == {name: inside[name] for name in MASKS}
    finally:
        engine.podman("rm", "--force", "--time", "5", "alone")


def test_metrics_of_both_are_told_and_scraped(stack: Stack, inside: dict[str, bytes]) -> None:
    gateway = httpx.get(f"{stack.url}/metrics", trust_env=False).text
    assert value(gateway, 'entrust_jobs_finished_total{outcome="succeeded",task="oncology"}') >= 1
    assert value(gateway, "entrust_sampling_steps_total") >= 2
    triton = httpx.get(f"http://127.0.0.1:{stack.ports['TRITON_METRICS_PORT']}/metrics", trust_env=False).text
    assert value(triton, 'nv_inference_request_success{model="oncology_denoiser"') >= 2
    wanted = {"entrust-gateway": "1", "entrust-triton": "1"}
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = {s["metric"]["job"]: s["value"][1] for s in ask(stack, "up")}
        steps = ask(stack, "sum(entrust_sampling_steps_total)")
        if found == wanted and steps and float(steps[0]["value"][1]) >= 2:
            return
        time.sleep(1)
    raise AssertionError(f"Prometheus has {found} and {steps}")


def ask(stack: Stack, query: str) -> list[dict]:
    url = f"http://127.0.0.1:{stack.ports['PROMETHEUS_PORT']}/api/v1/query"
    return httpx.get(url, params={"query": query}, trust_env=False).raise_for_status().json()["data"]["result"]


def test_orthanc_comes_by_its_profile_and_asks_who_calls(stack: Stack, tmp_path: Path) -> None:
    users = tmp_path / "users.json"
    users.write_text(json.dumps({"RegisteredUsers": {"reader": "a-password-of-the-test"}}))
    stack.up_orthanc(users)
    url = "http://127.0.0.1:8042/system"
    deadline = time.monotonic() + 60
    while True:
        try:
            stranger = httpx.get(url, trust_env=False)
            break
        except httpx.TransportError:
            assert time.monotonic() < deadline, stack.engine.logs(stack.container("orthanc"))[-2000:]
            time.sleep(0.5)
    assert stranger.status_code == 401
    known = httpx.get(url, auth=("reader", "a-password-of-the-test"), trust_env=False)
    assert known.json()["DicomAet"]
    plugins = httpx.get(url.replace("system", "plugins"), auth=("reader", "a-password-of-the-test"), trust_env=False)
    assert "dicom-web" in plugins.json()


@pytest.mark.parametrize("service", ["gateway", "triton"])
def test_hardened(stack: Stack, service: str) -> None:
    status = dict(line.split(":\t", 1) for line in stack.inside(service, "cat", "/proc/1/status").stdout.splitlines())
    assert set(status["Uid"].split()) == {"10001"}
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    for path in ("/touched", "/opt/touched", "/usr/touched"):
        assert "Read-only file system" in stack.inside(service, "touch", path).stderr
    assert stack.inside(service, "touch", "/tmp/touched").returncode == 0
    host = stack.inspect(service)["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["Memory"] == 6 * 1024**3
    assert host["PidsLimit"] > 0


@pytest.mark.parametrize("service", ["gateway", "triton"])
def test_healthy(stack: Stack, service: str) -> None:
    checked = stack.check_health(service)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert stack.inspect(service)["State"]["Health"]["Status"] == "healthy"


def test_a_dead_model_is_seen_and_repaired(stack: Stack, upload: Path, inside: dict[str, bytes]) -> None:
    """Triton goes on saying ready; the health check does not, and a restarted server shares memory again."""
    find = "for p in /proc/[0-9]*; do grep -qa oncology_denoiser $p/cmdline && echo ${p#/proc/}; done"
    found = stack.inside("triton", "sh", "-c", find).stdout.split()
    stubs = [pid for pid in found if stack.inside("triton", "cat", f"/proc/{pid}/comm").stdout.strip() == STUB]
    started = stack.inspect("triton")["State"]["StartedAt"]
    assert len(stubs) >= 2
    assert stack.inside("triton", "sh", "-c", f"kill -9 {stubs[0]}").returncode == 0  # the other goes on answering
    deadline = time.monotonic() + 60
    while stack.check_health("triton").returncode == 0:
        assert time.monotonic() < deadline, "the health check does not see a dead model"
        time.sleep(0.5)
    while stack.inspect("triton")["State"]["StartedAt"] == started:
        assert time.monotonic() < deadline + 60, stack.engine.logs(stack.container("triton"))[-2000:]
        time.sleep(0.5)
    stack.wait_until_ready()
    answer = segment(stack.url, upload)
    assert {name: answer[name] for name in MASKS} == {name: inside[name] for name in MASKS}
    assert stack.shared_memory()


def test_results_outlive_a_killed_gateway(stack: Stack, upload: Path) -> None:
    asked = {name: value for name, value in PARAMETERS.items() if name != "wait"}
    with httpx.Client(base_url=stack.url, timeout=60.0, trust_env=False) as client:
        headers = {"Content-Type": "application/zip"}
        accepted = client.post("/v1/segmentations", params=asked, content=upload.read_bytes(), headers=headers)
        job = accepted.headers["Location"]
        deadline = time.monotonic() + 120
        while (state := client.get(job).json()["state"]) != "succeeded":
            assert state in ("queued", "running")
            assert time.monotonic() < deadline
            time.sleep(0.2)
        mask = client.get(f"{job}/results/mask.nii.gz").content
        before = stack.inspect("gateway")["State"]
        os.kill(before["Pid"], signal.SIGKILL)
        while stack.inspect("gateway")["State"]["StartedAt"] == before["StartedAt"]:
            assert time.monotonic() < deadline + 60, "it is not started again"
            time.sleep(0.2)
        stack.wait_until_ready()
        assert client.get(job).json()["state"] == "succeeded"
        assert client.get(f"{job}/results/mask.nii.gz").content == mask


def test_stops_in_order(stack: Stack, inside: dict[str, bytes]) -> None:
    for service in ("gateway", "triton"):
        began = time.monotonic()
        stack.engine.podman("stop", "--time", "30", stack.container(service))
        assert time.monotonic() - began < STOP_SECONDS
        assert stack.inspect(service)["State"]["ExitCode"] == 0
    events = [json.loads(line)["event"] for line in stack.engine.logs(stack.container("gateway")).splitlines() if line]
    assert events[-1] == "stopped"
