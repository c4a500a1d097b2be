"""The chart's pod from the built images: its very command lines, probes, shared memory, its own test, its end."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.containers.engine import Engine
from tests.containers.pod import Pod
from tests.factories import chart

URL = "http://127.0.0.1:8080"
QUERY = "task=oncology&num_hypotheses=2&num_steps=2&wait=true"
START_SECONDS = 180


@pytest.fixture(scope="module")
def found() -> list[chart.Manifest]:
    return chart.manifests(*chart.VALUE_SETS["defaults"])


@pytest.fixture(scope="module")
def pod(
    engine: Engine, images: dict[str, str], found: list[chart.Manifest], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pod]:
    folder = tmp_path_factory.mktemp("pod")
    for each in (folder, *folder.parents[:2]):
        each.chmod(0o755)  # the pod's user is another than ours
    made = Pod(engine, found, "demo-entrust", folder)
    assert {made.containers[name]["image"] for name in ("gateway", "triton")} <= {
        image.removeprefix("localhost/") for image in images.values()
    }
    try:
        made.start()
        made.up("triton")
        wait_for(lambda: made.probe("triton", "startup").returncode == 0, lambda: made.logs("triton"))
        made.up("gateway")
        wait_for(lambda: made.curl(f"{URL}/health/ready").returncode == 0, lambda: made.logs("gateway"))
        yield made
    finally:
        made.close()


def wait_for(what: Callable[[], bool], explain: Callable[[], str]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not what():
        assert time.monotonic() < deadline, explain()[-3000:]
        time.sleep(0.5)


def test_probes_pass(pod: Pod) -> None:
    for kind in ("startup", "readiness", "liveness"):
        done = pod.probe("triton", kind)
        assert done.returncode == 0, done.stderr


def test_a_study_goes_through_the_pods_own_memory(pod: Pod, upload: Path) -> None:
    headers = ["--header", "Content-Type: application/zip", "--header", "Accept: application/json"]
    done = pod.curl("--data-binary", f"@{upload}", *headers, f"{URL}/v1/segmentations?{QUERY}")
    assert done.returncode == 0, done.stderr.decode() + pod.logs("gateway")[-2000:]
    assert {modality["slug"] for modality in json.loads(done.stdout)["modalities"]} == {"ct", "pet", "t1"}
    assert "entrust_client_" in pod.inside("triton", "ls", "/dev/shm").stdout
    assert "shared-memory" not in pod.logs("gateway")


def test_the_charts_own_test_passes(pod: Pod, found: list[chart.Manifest]) -> None:
    test = chart.container(found, "test")
    inside = {"name": "test", "securityContext": pod.containers["gateway"]["securityContext"]}
    # the service's name leads here in a cluster; in the pod's own network the gateway is on the loopback address
    command = [part.replace("demo-entrust", "127.0.0.1") for part in (*test["command"], *test["args"])]
    pod.once(inside | {"image": test["image"], "command": command, "volumeMounts": []})


def test_the_pod_ends_in_order(pod: Pod) -> None:
    seconds = pod.manifest["terminationGracePeriodSeconds"]
    assert pod.stop("gateway", seconds) == 0
    assert pod.stop("triton", seconds) == 0
