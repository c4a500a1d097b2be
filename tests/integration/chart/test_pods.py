"""The pods' very command lines, users, read-only roots, probes and signals, with a study through them."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from service.api.rest.listener import CLOSE_SECONDS
from service.triton.processes import stubs
from tests.factories import chart
from tests.factories.studies import dicom_zip
from tests.servers.pod import Container, Pod, StartPod, gateway_image, triton_image

URL = "http://127.0.0.1:8080"
FAST = "task=oncology&num_hypotheses=2&num_steps=1&wait=true"
SLOW = "task=oncology&num_hypotheses=8&num_steps=24&wait=true"


def wait_for(what: Callable[[], bool], seconds: float, container: Container) -> None:
    """Poll as the kubelet does."""
    deadline = time.monotonic() + seconds
    while not what():
        assert container.process is not None
        assert container.process.poll() is None, container.log.read_text()[-3000:]
        assert time.monotonic() < deadline, container.log.read_text()[-3000:]
        time.sleep(0.5)


def answers(pod: Pod, container: Container, kind: str) -> Callable[[], bool]:
    """Return the HTTP probe of a container."""
    probe = container.manifest[f"{kind}Probe"]
    (port,) = [p["containerPort"] for p in container.manifest["ports"] if p["name"] == probe["httpGet"]["port"]]
    address = f"{probe['httpGet']['scheme'].lower()}://127.0.0.1:{port}{probe['httpGet']['path']}"
    # the kubelet does not look at certificates either
    return lambda: pod.curl("--insecure", "--max-time", str(probe["timeoutSeconds"]), address).returncode == 0


def start_triton(pod: Pod) -> Container:
    triton = pod.add("triton", triton_image())
    triton.start()
    wait_for(lambda: triton.probe("startup"), 120, triton)
    assert triton.probe("readiness")
    assert triton.probe("liveness")
    return triton


def start_gateway(pod: Pod) -> Container:
    gateway = pod.add("gateway", gateway_image())
    gateway.start()
    wait_for(answers(pod, gateway, "startup"), 60, gateway)
    wait_for(answers(pod, gateway, "readiness"), 30, gateway)
    return gateway


def posting(study: Path, query: str) -> list[str]:
    headers = ["--header", "Content-Type: application/zip", "--header", "Accept: application/json"]
    return ["--data-binary", f"@{study}", *headers, f"{URL}/v1/segmentations?{query}"]


def post(pod: Pod, study: Path, query: str) -> subprocess.CompletedProcess[bytes]:
    return pod.curl(*posting(study, query))


def check_study(pod: Pod, gateway: Container, study: Path) -> None:
    done = post(pod, study, FAST)
    assert done.returncode == 0, done.stderr.decode() + gateway.log.read_text()[-2000:]
    summary = json.loads(done.stdout)
    assert {modality["slug"] for modality in summary["modalities"]} == {"ct", "pet", "t1"}
    assert summary["segments"][0]["volume_ml"] >= 0


def helms_own_test(found: list[chart.Manifest]) -> list[str]:
    """Return the command line of `helm test`."""
    test = chart.container(found, "test")
    return [*test["command"], *test["args"]]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "study.zip"
    path.write_bytes(dicom_zip())
    return path


def test_a_pod_with_triton_inside(start_pod: StartPod, study: Path) -> None:
    found = chart.manifests(*chart.VALUE_SETS["defaults"])
    pod = start_pod(found)
    triton = start_triton(pod)
    gateway = start_gateway(pod)
    check_study(pod, gateway, study)
    helm_test = helms_own_test(found)
    assert gateway.run(*helm_test).returncode == 0

    # tensors went through the pod's own memory
    assert [name for name in pod.shared_memory() if name.startswith("entrust_client_")]
    assert "shared-memory" not in gateway.log.read_text()

    # one process of a model dies, while the other goes on answering every second question: Triton says ready for ever,
    # the probe does not, as often in a row as the kubelet wants to hear it, and the kubelet starts it again
    assert triton.process is not None
    victim, *_ = [pid for pid, of in stubs(triton.process.pid).items() if any("denoiser" in part for part in of)]
    subprocess.run(["kill", "-9", str(victim)], check=True)
    time.sleep(0.2)  # until the kernel has ended it
    times = triton.manifest["livenessProbe"]["failureThreshold"]
    assert [triton.probe("liveness") for _ in range(times)] == [False] * times
    assert triton.probe("readiness")
    triton.run("touch", "/dev/shm/entrust_triton_left_behind")  # noqa: S108
    triton.stop(40)
    assert "entrust_triton_left_behind" in pod.shared_memory()
    wait_for(lambda: "503" in gateway.run(*helm_test).stderr, 30, gateway)
    triton.start()
    wait_for(lambda: triton.probe("startup"), 120, triton)
    assert "entrust_triton_left_behind" not in pod.shared_memory()
    wait_for(answers(pod, gateway, "readiness"), 30, gateway)
    check_study(pod, gateway, study)

    # the pod is told to go: the running study is still answered, then the gateway goes, then Triton
    assert gateway.process is not None
    curl = [*pod.enter[:2], "--net", "curl", "--silent", "--fail"]
    waiting = subprocess.Popen([*curl, *posting(study, SLOW)], stdout=subprocess.PIPE)
    wait_for(lambda: b'entrust_jobs{state="running"} 1.0' in pod.curl(f"{URL}/metrics").stdout, 30, gateway)
    gateway.process.send_signal(signal.SIGTERM)
    answer, _ = waiting.communicate(timeout=120)
    assert waiting.returncode == 0
    assert json.loads(answer)["parameters"]["num_steps"] == 24
    assert gateway.process.wait(CLOSE_SECONDS + 10) == 0
    assert triton.stop(pod.manifest["terminationGracePeriodSeconds"]) == 0


def test_a_gateway_and_a_triton_in_pods_of_their_own(start_pod: StartPod, study: Path) -> None:
    found = chart.manifests(*chart.VALUE_SETS["separate"])
    pod, other = start_pod(found), None
    # two pods in one network, with two memories: what stands between them is a name
    other = start_pod(found, "demo-entrust-triton")
    other.enter = pod.enter
    start_triton(other)
    gateway = start_gateway(pod)
    check_study(pod, gateway, study)
    assert not [name for name in other.shared_memory() if name.startswith("entrust_client_")]


def test_a_pod_that_asks_for_tokens_over_tls(start_pod: StartPod) -> None:
    authority = trustme.CA()
    ours, other = (authority.issue_cert("elsewhere") for _ in range(2))
    certificates = {
        "tls.crt": ours.cert_chain_pems[0], "tls.key": ours.private_key_pem, "other.crt": other.cert_chain_pems[0],
    }  # fmt: skip
    found = chart.manifests(*chart.VALUE_SETS["guarded"])
    pod = start_pod(found, secrets={
        "certificate": {name: blob.bytes().decode() for name, blob in certificates.items()},
        "tokens": {"tokens": "a-token-of-more-than-sixteen-characters\n"},
    })  # fmt: skip
    start_triton(pod)
    gateway = start_gateway(pod)
    assert pod.curl("--insecure", "https://127.0.0.1:8080/v1/models").returncode == 22  # 401
    helm_test = helms_own_test(found)
    done = gateway.run(*helm_test)
    assert done.returncode == 0, done.stderr
    stranger = [part.replace("tls.crt", "other.crt") for part in helm_test]
    assert "CERTIFICATE_VERIFY_FAILED" in gateway.run(*stranger).stderr  # and no token was told to a stranger


def test_the_exporter_gets_as_far_as_tensorrt(start_pod: StartPod) -> None:
    pod = start_pod(chart.manifests(*chart.VALUE_SETS["gpu"]))
    done = pod.add("build-plans", gateway_image()).run(timeout_seconds=200)
    assert done.returncode == 1
    assert "the package 'tensorrt' is not installed" in " ".join(done.stderr.split())


def test_models_are_copied_from_an_image(start_pod: StartPod, model_repository: Path) -> None:
    pod = start_pod(chart.manifests(*chart.VALUE_SETS["models from an image"]))
    done = pod.add("copy-models", gateway_image()).run()
    assert done.returncode == 0, done.stderr
    triton = pod.add("triton", triton_image())
    seen = triton.run("find", "/models", "-type", "f", "-printf", "%P\n").stdout.split()
    assert sorted(seen) == sorted(
        str(p.relative_to(model_repository)) for p in model_repository.rglob("*") if p.is_file()
    )
