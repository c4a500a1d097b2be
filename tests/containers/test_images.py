"""What the images are: small enough, pinned, without root, without a trace of where they were built."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.containers.engine import ROOT, Engine
from tests.containers.images import TARGETS, machine_marks, transfer_bytes

GATEWAY_LIMIT_BYTES = 400_000_000
USER = "10001:10001"


def inspect(engine: Engine, image: str) -> dict:
    return json.loads(engine.podman("image", "inspect", image))[0]


def run(engine: Engine, image: str, *command: str) -> str:
    hardened = ["--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges", "--network", "host"]
    return engine.podman("run", "--rm", *hardened, "--entrypoint", command[0], image, *command[1:])


@pytest.mark.parametrize("target", TARGETS)
def test_size(engine: Engine, images: dict[str, str], target: str, tmp_path: Path) -> None:
    size_bytes = transfer_bytes(engine, images[target], tmp_path)
    unpacked_bytes = inspect(engine, images[target])["Size"]
    print(f"{target}: {size_bytes / 1e6:.0f} MB as pulled, {unpacked_bytes / 1e6:.0f} MB unpacked")
    assert target != "gateway" or size_bytes <= GATEWAY_LIMIT_BYTES


@pytest.mark.parametrize("target", ["gateway", "triton-cpu"])
def test_servers_are_without_torch(engine: Engine, images: dict[str, str], target: str) -> None:
    look = "import importlib.util as u; print(u.find_spec('torch'))"
    assert run(engine, images[target], "python3", "-c", look).strip() == "None"


@pytest.mark.parametrize("target", TARGETS)
def test_runs_as_nobody_in_particular(engine: Engine, images: dict[str, str], target: str) -> None:
    assert inspect(engine, images[target])["Config"]["User"] == USER
    assert run(engine, images[target], "id", "-u").strip() == "10001"


@pytest.mark.parametrize("target", TARGETS)
def test_says_what_it_is(engine: Engine, images: dict[str, str], target: str) -> None:
    labels = inspect(engine, images[target])["Labels"]
    wanted = {f"org.opencontainers.image.{name}" for name in ("title", "description", "version", "licenses")}
    assert wanted <= set(labels)


@pytest.mark.parametrize("target", ["gateway", "triton-cpu"])
def test_servers_have_a_health_check_without_curl(engine: Engine, images: dict[str, str], target: str) -> None:
    check = inspect(engine, images[target])["Healthcheck"]["Test"]
    assert check[:2] == ["CMD", "python3"]
    assert run(engine, images[target], "sh", "-c", "command -v curl wget || echo none").strip() == "none"


@pytest.mark.parametrize("target", ["gateway", "exporter"])
def test_packages_have_the_versions_of_the_lock(engine: Engine, images: dict[str, str], target: str) -> None:
    listing = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    installed = json.loads(run(engine, images[target], "python", "-c", listing))
    lines = (line.partition("==") for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line)
    locked = {plain(name): version for name, _, version in lines}
    assert len(installed) > 40
    del installed["entrust-serve"]
    assert {n: v.partition("+")[0] for n, v in installed.items()} == {n: locked[plain(n)] for n in installed}


def plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


@pytest.mark.parametrize("target", TARGETS)
def test_no_trace_of_the_machine_is_left(engine: Engine, images: dict[str, str], target: str) -> None:
    marks = [*machine_marks(), str(ROOT), str(engine.folder), "find-links", "no-index"]
    known = engine.buildah("inspect", "--type", "image", images[target])
    known += engine.podman("history", "--no-trunc", images[target])
    assert not [mark for mark in marks if mark in known]
    mounted = Path(engine.podman("image", "mount", images[target]).strip())
    try:
        assert not list((mounted / "mnt").iterdir())
        assert not (mounted / "run" / "secrets").exists()
        assert not (mounted / "etc" / "pip.conf").exists()
        searched = [str(mounted / folder) for folder in ("etc", "opt", "root", "home", "tmp", "var", "usr/local")]
        patterns = [argument for mark in machine_marks() for argument in ("-e", mark)]
        if patterns:
            grep = subprocess.run(["grep", "-rIlF", *patterns, *searched], capture_output=True, text=True)
            assert grep.returncode == 1, grep.stdout + grep.stderr
    finally:
        engine.podman("image", "unmount", images[target])


def test_exporter_writes_the_committed_repository(engine: Engine, images: dict[str, str], tmp_path: Path) -> None:
    weights, models = tmp_path / "weights", tmp_path / "models"
    for folder in (weights, models):
        folder.mkdir()
    for path in (ROOT / "weights").glob("oncology.*"):
        (weights / path.name).write_bytes(path.read_bytes())
    for path in (*tmp_path.parents[:2], tmp_path, weights, models, *weights.iterdir()):
        path.chmod(0o777)
    engine.podman(
        "run", "--rm", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "all", "--network", "host",
        "--volume", f"{weights}:/weights", "--volume", f"{models}:/models", images["exporter"],
    )  # fmt: skip
    committed = ROOT / "model_repository"
    configs = sorted(path.relative_to(committed) for path in committed.rglob("config.pbtxt"))
    assert len(configs) == 3
    for config in configs:
        assert (models / config).read_bytes() == (committed / config).read_bytes()
        assert (models / config.parent / "1" / "model.onnx").stat().st_size > 10_000
