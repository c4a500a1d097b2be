"""The Dockerfile and the compose files keep what docs/deployment.md promises, and do not drift apart."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".cache" / "tools" / "bin"
COMPOSE = ROOT / "docker-compose.yml"
HOST_NETWORK = ROOT / "deploy" / "compose" / "host-network.yml"
AS_JSON = """
import json, sys, yaml
yaml.SafeLoader.add_multi_constructor("!", lambda loader, tag, node: None)
print(json.dumps(yaml.safe_load(open(sys.argv[1]))))
"""
SERVICES = {"gateway", "triton", "triton-gpu", "prometheus", "grafana", "orthanc"}
TRITONS = ("triton", "triton-gpu")


def run(tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of the tools that ``make check-containers`` installs."""
    if not (TOOLS / tool).is_file():
        pytest.skip("the tools for containers are not installed (make check-containers)")
    return subprocess.run([TOOLS / tool, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60)


def read_yaml(path: Path) -> dict[str, Any]:
    done = run("python", "-c", AS_JSON, str(path))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    return read_yaml(COMPOSE)["services"]


def test_compose_file_is_valid(tmp_path: Path) -> None:
    schema = ("--builtin-schema", "vendor.compose-spec")
    assert run("check-jsonschema", *schema, str(COMPOSE)).returncode == 0
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(COMPOSE.read_text().replace("read_only: true", "read_onyl: true"))
    assert run("check-jsonschema", *schema, str(wrong)).returncode != 0


@pytest.mark.parametrize("files", [(COMPOSE,), (COMPOSE, HOST_NETWORK)])
def test_compose_resolves(files: tuple[Path, ...]) -> None:
    done = run("podman-compose", *(argument for path in files for argument in ("--file", str(path))), "config")
    assert done.returncode == 0, done.stderr
    assert "gateway:" in done.stdout


def test_dockerfiles_are_clean(tmp_path: Path) -> None:
    files = [ROOT / "Dockerfile", ROOT / "tests" / "containers" / "stand-ins.Dockerfile"]
    done = run("hadolint", *map(str, files))
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "Dockerfile"
    wrong.write_text("FROM debian\nRUN cd /tmp && sudo ls\n")
    assert run("hadolint", str(wrong)).returncode != 0


def test_services_are_hardened(services: dict[str, dict[str, Any]]) -> None:
    assert set(services) == SERVICES
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] or name == "orthanc", name
        assert service["healthcheck"]["test"], name
        assert service["deploy"]["resources"]["limits"]["memory"], name
        assert service["deploy"]["resources"]["limits"]["pids"], name
        assert "privileged" not in service, name


def test_images_are_pinned(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        tag = re.fullmatch(r"\$\{\w+:-[\w./-]+:(?P<tag>[\w.-]+)\}", service["image"])
        assert tag, f"{name}: {service['image']}"
        assert tag["tag"] != "latest"


def test_only_loopback_addresses_are_published(services: dict[str, dict[str, Any]]) -> None:
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert not any("ports" in services[name] for name in TRITONS)


def test_only_the_gateway_and_prometheus_reach_triton(services: dict[str, dict[str, Any]]) -> None:
    reach = {name for name, service in services.items() if "models" in service["networks"]}
    assert reach == {"gateway", "prometheus", *TRITONS}
    for name in TRITONS:
        assert services[name]["networks"]["models"]["aliases"] == ["triton"]


def test_one_triton_by_profile(services: dict[str, dict[str, Any]]) -> None:
    assert "COMPOSE_PROFILES=cpu\n" in (ROOT / ".env").read_text()
    profiles = {name: service["profiles"] for name, service in services.items() if "profiles" in service}
    assert profiles == {"triton": ["cpu"], "triton-gpu": ["gpu"], "orthanc": ["pacs"]}
    assert services["gateway"]["depends_on"] == {
        name: {"condition": "service_healthy", "required": False} for name in TRITONS
    }


def test_memory_is_shared_with_whichever_triton(services: dict[str, dict[str, Any]]) -> None:
    for name in ("gateway", *TRITONS):
        assert "shared-memory:/dev/shm" in services[name]["volumes"], name
        assert services[name]["user"] == services["gateway"]["user"], name  # what one makes the other must open
    volume = read_yaml(COMPOSE)["volumes"]["shared-memory"]["driver_opts"]
    assert volume["type"] == "tmpfs"
    assert "mode=1777" in volume["o"]


def test_nvidias_triton_serves_the_same_repository(services: dict[str, dict[str, Any]]) -> None:
    assert "./model_repository:/models:ro" in services["triton-gpu"]["volumes"]
    assert "COPY model_repository /models\n" in (ROOT / "Dockerfile").read_text()
    assert "--model-repository=/models" in services["triton-gpu"]["command"]


def test_host_network_changes_addresses_only() -> None:
    text = (ROOT / "Dockerfile").read_text()
    stage = text[text.index("AS triton-cpu") : text.index("AS exporter-builder")]
    image = json.loads(re.search(r"^CMD (\[.*?\])$", stage, re.MULTILINE | re.DOTALL)[1].replace("\\\n", ""))
    override = read_yaml(HOST_NETWORK)["services"]["triton"]["command"]
    moved = re.compile(r"--(grpc|http|metrics)-(address|port)=")
    assert [flag for flag in image if not moved.match(flag)] == [flag for flag in override if not moved.match(flag)]
    assert all("=127.0.0.1" in flag for flag in override if "-address=" in flag)


def test_grafana_finds_its_files(services: dict[str, dict[str, Any]]) -> None:
    provisioning = ROOT / "deploy" / "grafana" / "provisioning"
    (provider,) = read_yaml(provisioning / "dashboards" / "entrust.yml")["providers"]
    (source,) = read_yaml(provisioning / "datasources" / "prometheus.yml")["datasources"]
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in services["grafana"]["volumes"]
    assert source["url"] == "http://prometheus:9090"


def test_prometheus_scrapes_the_services() -> None:
    scraped = read_yaml(ROOT / "deploy" / "prometheus" / "prometheus.compose.yml")["scrape_configs"]
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in scraped}
    assert targets == {"entrust-gateway": ["gateway:8080"], "entrust-triton": ["triton:8002"]}


def test_the_context_holds_what_is_named_and_nothing_else() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "**"
    for line in lines[1:]:
        if line.startswith("!"):
            assert (ROOT / line[1:]).exists(), line
