"""The manifests fit each other, the images' programs and the gateway's settings."""

import os
import re
from pathlib import PurePosixPath

import pytest
import yaml

from deploy.helm.chart import CHART
from service.api.rest import health
from service.api.rest.listener import CLOSE_SECONDS
from service.settings import Settings, load_settings
from service.shared_memory import FOLDER
from service.triton.installation import PROJECT
from tests.factories import chart

ROUTES = {route.path for route in health.router.routes}  # type: ignore[attr-defined]


def settings_of(gateway: chart.Manifest, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Read the gateway's environment as the gateway will."""
    for name in [name for name in os.environ if name.startswith("ENTRUST_")]:
        monkeypatch.delenv(name)
    for name, value in chart.variables(gateway).items():
        monkeypatch.setenv(name, value)
    return load_settings()


def test_selectors_find_their_pods_and_no_others(found: list[chart.Manifest]) -> None:
    labels = {name: metadata["labels"] for name, metadata, _ in chart.pods(found)}
    for manifest in chart.of_kind(found, "Deployment", "PodDisruptionBudget"):
        selector = manifest["spec"]["selector"]["matchLabels"]
        assert [name for name, own in labels.items() if chart.selects(selector, own)] == [manifest["metadata"]["name"]]
    for service in chart.of_kind(found, "Service"):
        chosen = [name for name, own in labels.items() if chart.selects(service["spec"]["selector"], own)]
        assert chosen == ["demo-entrust-triton" if service["metadata"]["name"].endswith("-triton") else "demo-entrust"]
    services = [service["metadata"]["labels"] for service in chart.of_kind(found, "Service")]
    for monitor in chart.of_kind(found, "ServiceMonitor"):
        assert sum(chart.selects(monitor["spec"]["selector"]["matchLabels"], own) for own in services) == 1


def test_every_port_that_is_named_exists(found: list[chart.Manifest]) -> None:
    ports = {
        name: {port["name"]: port["containerPort"] for c in chart.containers(pod) for port in c.get("ports", ())}
        for name, _, pod in chart.pods(found)
    }
    labels = {name: metadata["labels"] for name, metadata, _ in chart.pods(found)}
    for service in chart.of_kind(found, "Service"):
        (pod,) = [name for name, own in labels.items() if chart.selects(service["spec"]["selector"], own)]
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in ports[pod]
    for _, _, pod in chart.pods(found):
        for c in chart.containers(pod):
            own = {port["name"] for port in c.get("ports", ())}
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                if "httpGet" in c.get(kind, {}):
                    assert c[kind]["httpGet"]["port"] in own
    for monitor in chart.of_kind(found, "ServiceMonitor"):
        (service,) = [
            s for s in chart.of_kind(found, "Service")
            if chart.selects(monitor["spec"]["selector"]["matchLabels"], s["metadata"]["labels"])
        ]  # fmt: skip
        for endpoint in monitor["spec"]["endpoints"]:
            assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    for target in chart.of_kind(found, "ScaledObject", "HorizontalPodAutoscaler"):
        assert target["spec"]["scaleTargetRef"]["name"] in ports


def test_the_gateway_takes_its_environment(found: list[chart.Manifest], monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = chart.container(found, "gateway")
    settings = settings_of(gateway, monkeypatch)
    assert settings.rest.host == "0.0.0.0"  # noqa: S104
    assert settings.rest.port == gateway["ports"][0]["containerPort"]
    assert str(settings.jobs.work_folder) in {mount["mountPath"] for mount in gateway["volumeMounts"]}
    assert settings.jobs.results_folder is not None  # in the same volume, which outlives a container
    assert settings.jobs.results_folder.parent == settings.jobs.work_folder
    host, port = settings.triton.url.rsplit(":", 1)
    names = {service["metadata"]["name"] for service in chart.of_kind(found, "Service")}
    assert host in {"127.0.0.1", *names}
    assert f"--grpc-port={port}" in chart.container(found, "triton")["args"]


def test_settings_reach_the_gateway(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    values = tmp_path_factory.mktemp("values") / "values.yaml"
    values.write_text(yaml.safe_dump({"settings": {
        "rest": {"max_body_bytes": 2**31}, "ingest": {"max_ratio": 99.5}, "logs": {"level": "debug"},
    }}))  # fmt: skip
    settings = settings_of(chart.container(chart.manifests(f"--values={values}"), "gateway"), monkeypatch)
    assert settings.rest.max_body_bytes == 2**31
    assert settings.ingest.max_ratio == 99.5
    assert settings.logs.level == "debug"


def test_grpc_has_a_port_where_it_is_enabled(monkeypatch: pytest.MonkeyPatch) -> None:
    found = chart.manifests()
    gateway = chart.container(found, "gateway")
    assert {port["name"]: port["containerPort"] for port in gateway["ports"]} == {"http": 8080, "grpc": 8081}
    assert chart.variables(gateway)["ENTRUST_RPC__PORT"] == "8081"
    assert settings_of(gateway, monkeypatch).rpc.enabled


def test_grpc_is_off_where_it_is_not_enabled(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = chart.container(chart.manifests("--set=rpc.enabled=false"), "gateway")
    assert {port["name"] for port in gateway["ports"]} == {"http"}
    assert not settings_of(gateway, monkeypatch).rpc.enabled


def test_the_archive_lies_on_a_volume_that_outlives_the_release(monkeypatch: pytest.MonkeyPatch) -> None:
    found = chart.manifests(*chart.VALUE_SETS["archive"])
    gateway = chart.container(found, "gateway")
    settings = settings_of(gateway, monkeypatch)
    (mount,) = [mount for mount in gateway["volumeMounts"] if mount["mountPath"] == str(settings.archive.folder)]
    (deployment,) = chart.of_kind(found, "Deployment")
    (volume,) = [v for v in deployment["spec"]["template"]["spec"]["volumes"] if v["name"] == mount["name"]]
    (claim,) = chart.of_kind(found, "PersistentVolumeClaim")
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}, "two gateways would meet on one archive"
    given = chart.manifests(*chart.VALUE_SETS["archive"], "--set=archive.existingClaim=scans")
    assert not chart.of_kind(given, "PersistentVolumeClaim")
    (volume,) = [v for v in next(chart.pods(given))[2]["volumes"] if v["name"] == mount["name"]]
    assert volume["persistentVolumeClaim"] == {"claimName": "scans"}


def test_a_pacs_reaches_the_storage_scp_where_it_is_enabled(monkeypatch: pytest.MonkeyPatch) -> None:
    found = chart.manifests(*chart.VALUE_SETS["archive"], "--set=dimse.port=4242")
    gateway = chart.container(found, "gateway")
    settings = settings_of(gateway, monkeypatch)
    assert (settings.dimse.enabled, settings.dimse.host, settings.dimse.port) == (True, "0.0.0.0", 4242)  # noqa: S104
    assert {"name": "dimse", "containerPort": 4242} in gateway["ports"]
    (service,) = [s for s in chart.of_kind(found, "Service") if s["metadata"]["name"] == "demo-entrust"]
    assert {"name": "dimse", "port": 4242, "targetPort": "dimse"} in service["spec"]["ports"]
    without = chart.manifests("--set=archive.enabled=true")
    assert not settings_of(chart.container(without, "gateway"), monkeypatch).dimse.enabled


def test_tls_and_tokens_reach_all_who_call(monkeypatch: pytest.MonkeyPatch) -> None:
    found = chart.manifests(*chart.VALUE_SETS["guarded"])
    gateway = chart.container(found, "gateway")
    settings = settings_of(gateway, monkeypatch)
    mounts = tuple(mount["mountPath"] for mount in gateway["volumeMounts"])
    for file in (settings.tls.certificate_file, settings.tls.key_file, settings.auth.token_file):
        assert str(file).startswith(mounts)
    for kind in ("startup", "readiness", "liveness"):
        assert gateway[f"{kind}Probe"]["httpGet"]["scheme"] == "HTTPS"
    (monitor,) = chart.of_kind(found, "ServiceMonitor")
    assert [endpoint.get("scheme") for endpoint in monitor["spec"]["endpoints"]] == ["https", None]
    test = chart.container(found, "test")
    assert test["args"][1:] == [
        "https://demo-entrust:8080",
        f"--certificate={settings.tls.certificate_file}",
        f"--tokens={settings.auth.token_file}",
    ]
    assert {mount["mountPath"] for mount in test["volumeMounts"]} <= set(mounts)


def test_secrets_come_by_reference() -> None:
    found = chart.manifests(*chart.VALUE_SETS["secrets"])
    gateway = chart.container(found, "gateway")
    (entry,) = [entry for entry in gateway["env"] if "valueFrom" in entry]
    assert entry == {"name": "ENTRUST_LOGS__LEVEL", "valueFrom": {"secretKeyRef": {"name": "words", "key": "level"}}}
    assert "/etc/entrust/tls" in {mount["mountPath"] for mount in gateway["volumeMounts"]}
    s3 = chart.container(chart.manifests(*chart.VALUE_SETS["models from s3"]), "triton")
    assert {e["name"] for e in s3["env"] if "valueFrom" in e} == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


def test_no_manifest_holds_a_secret(found: list[chart.Manifest]) -> None:
    assert not chart.of_kind(found, "Secret")


def test_services_put_no_variables_into_pods(found: list[chart.Manifest]) -> None:
    # a Service named "entrust" would set ENTRUST_PORT, which the gateway refuses as a misspelt setting
    assert all(pod["enableServiceLinks"] is False for _, _, pod in chart.pods(found))


def test_probes_ask_what_is_there(found: list[chart.Manifest]) -> None:
    gateway = chart.container(found, "gateway")
    for kind, path in {"startup": "/health/live", "liveness": "/health/live", "readiness": "/health/ready"}.items():
        assert gateway[f"{kind}Probe"]["httpGet"]["path"] == path
        assert path in ROUTES
    triton = chart.container(found, "triton")
    (files,) = [m for m in chart.of_kind(found, "ConfigMap") if "probe.py" in m["data"]]
    for kind in ("startup", "liveness", "readiness"):
        command = triton[f"{kind}Probe"]["exec"]["command"]
        for path in (PurePosixPath(part) for part in command if part.startswith("/")):
            assert path.name in files["data"]
            assert str(path.parent) == "/opt/entrust"
        assert f"--http-port={command[-2].rsplit(':', 1)[1]}" in triton["args"]


def test_probes_wait_for_the_models(found: list[chart.Manifest]) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    for name, own in (("gateway", values["gateway"]), ("triton", values["triton"])):
        probe = chart.container(found, name)["startupProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] >= own["startupSeconds"]
    gpu = chart.container(chart.manifests(*chart.VALUE_SETS["gpu"]), "triton")["startupProbe"]
    assert gpu["periodSeconds"] * gpu["failureThreshold"] >= 600


def test_a_pod_ends_its_jobs_before_it_is_killed(found: list[chart.Manifest], monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = chart.container(found, "gateway")
    grace = settings_of(gateway, monkeypatch).rest.shutdown_grace_seconds
    waiting = gateway["lifecycle"]["preStop"]["sleep"]["seconds"]
    (pod,) = [pod for name, _, pod in chart.pods(found) if name == "demo-entrust"]
    assert pod["terminationGracePeriodSeconds"] >= waiting + grace + CLOSE_SECONDS + 5
    triton = chart.container(found, "triton")
    (exit_seconds,) = [int(a.split("=")[1]) for a in triton["args"] if a.startswith("--exit-timeout-secs")]
    if triton in pod.get("initContainers", ()):  # stops after the gateway, within the same time
        assert triton["restartPolicy"] == "Always"
        assert pod["terminationGracePeriodSeconds"] >= waiting + grace + 2 * CLOSE_SECONDS + exit_seconds + 5
    else:
        (other,) = [pod for name, _, pod in chart.pods(found) if name == "demo-entrust-triton"]
        assert other["terminationGracePeriodSeconds"] > exit_seconds + 5


def test_memory_is_shared_within_a_pod_alone(found: list[chart.Manifest], monkeypatch: pytest.MonkeyPatch) -> None:
    gateway, triton = chart.container(found, "gateway"), chart.container(found, "triton")
    settings = settings_of(gateway, monkeypatch)
    (pod,) = [pod for name, _, pod in chart.pods(found) if name == "demo-entrust"]
    mounts = [{m["mountPath"]: m["name"] for m in c["volumeMounts"]}.get(str(FOLDER)) for c in (gateway, triton)]
    if triton in chart.containers(pod):
        (volume,) = [volume for volume in pod["volumes"] if volume["name"] == mounts[0]]
        assert volume["emptyDir"]["medium"] == "Memory"
        assert mounts[0] == mounts[1]
        assert settings.triton.shared_memory == "auto"
        assert settings.triton.url.startswith("127.0.0.1:")  # no balancer stands between the two
    else:
        assert settings.triton.shared_memory == "off"
        assert mounts[0] is None
        assert triton["args"][1] == "plain"


def test_shared_memory_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = chart.container(chart.manifests("--set=triton.sharedMemory.enabled=false"), "gateway")
    assert settings_of(gateway, monkeypatch).triton.shared_memory == "off"


def test_every_mount_has_its_volume(found: list[chart.Manifest]) -> None:
    config_maps = {m["metadata"]["name"] for m in chart.of_kind(found, "ConfigMap")}
    for _, _, pod in chart.pods(found):
        volumes = {volume["name"] for volume in pod.get("volumes", ())}
        mounted = {mount["name"] for c in chart.containers(pod) for mount in c.get("volumeMounts", ())}
        assert mounted == volumes
        for volume in pod.get("volumes", ()):
            if "configMap" in volume:
                assert volume["configMap"]["name"] in config_maps


def test_containers_may_do_little(found: list[chart.Manifest]) -> None:
    for _, _, pod in chart.pods(found):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        for c in chart.containers(pod):
            security = c["securityContext"]
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert {"requests", "limits"} <= c["resources"].keys()
            assert "memory" in c["resources"]["limits"]


def test_images_are_pinned(found: list[chart.Manifest]) -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    assert f'version = "{version}"' in (PROJECT / "pyproject.toml").read_text()
    for _, _, pod in chart.pods(found):
        for c in chart.containers(pod):
            repository, tag = c["image"].rsplit(":", 1)
            assert re.fullmatch(r"[A-Za-z0-9._-]+(@sha256:[0-9a-f]{64})?", tag), c["image"]
            assert tag != "latest"
            if repository.startswith("entrust-serve/"):
                assert tag == version


def test_a_budget_lets_nodes_be_drained_and_pods_be_left(found: list[chart.Manifest]) -> None:
    scaled = {
        m["spec"]["scaleTargetRef"]["name"]: m["spec"].get("minReplicas", m["spec"].get("minReplicaCount"))
        for m in chart.of_kind(found, "ScaledObject", "HorizontalPodAutoscaler")
    }
    for budget in chart.of_kind(found, "PodDisruptionBudget"):
        name = budget["metadata"]["name"]
        (deployment,) = [m for m in chart.of_kind(found, "Deployment") if m["metadata"]["name"] == name]
        replicas = scaled[name] if scaled else deployment["spec"]["replicas"]
        unavailable = budget["spec"]["maxUnavailable"]
        assert unavailable >= 1
        assert replicas == 1 or unavailable < replicas
        assert ("replicas" in deployment["spec"]) != (name in scaled), "two would set the number of pods"


def test_gpus_are_asked_for_by_all_who_need_one() -> None:
    found = chart.manifests(*chart.VALUE_SETS["gpu"])
    for name in ("triton", "build-plans"):
        assert chart.container(found, name)["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert "nvidia.com/gpu" not in chart.container(found, "gateway")["resources"]["limits"]
    assert not any("gpu" in argument for argument in chart.container(found, "triton")["args"])
    (pod,) = [pod for name, _, pod in chart.pods(found) if name == "demo-entrust"]
    assert [c["name"] for c in pod["initContainers"]] == ["build-plans", "triton"]
    assert pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}


@pytest.mark.parametrize(
    ("name", "repository", "writer"),
    [
        ("defaults", "/models", None),
        ("gpu", "/models", "build-plans"),
        ("models from an image", "/models", "copy-models"),
        ("models from a claim", "/models", None),
        ("models from s3", "s3://weights/models", None),
    ],
)
def test_the_model_repository_comes_from_where_it_is_said(name: str, repository: str, writer: str | None) -> None:
    found = chart.manifests(*chart.VALUE_SETS[name])
    triton = chart.container(found, "triton")
    assert f"--model-repository={repository}" in triton["args"]
    read_only = [m["readOnly"] for m in triton["volumeMounts"] if m["name"] == "models"]
    assert read_only == ([True] if writer or name == "models from a claim" else [])
    if writer:
        written = {m["name"] for m in chart.container(found, writer)["volumeMounts"]}
        assert "models" in written
