"""Who reaches whom, as a network plugin would decide it from the policies."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.factories import chart

GATEWAY, TRITON = (
    {"app.kubernetes.io/name": "entrust", "app.kubernetes.io/instance": "demo", "app.kubernetes.io/component": part}
    for part in ("gateway", "triton")
)
TEST = GATEWAY | {"app.kubernetes.io/component": "test"}
STRANGER = {"app.kubernetes.io/name": "viewer"}
CLIENT = STRANGER | {"entrust-client": "true"}
OTHER_RELEASE = GATEWAY | {"app.kubernetes.io/instance": "other"}
HERE, MONITORING = chart.NAMESPACE, "monitoring"


def labels_match(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    assert not selector.keys() - {"matchLabels"}, "this evaluator knows of no expressions"
    return chart.selects(selector.get("matchLabels", {}), labels)


def is_peer(peer: Mapping[str, Any], labels: Mapping[str, str], namespace: str) -> bool:
    """Return whether a pod is one of a rule's peers; without a namespace selector it must be of this namespace."""
    assert not peer.keys() - {"podSelector", "namespaceSelector"}
    if "namespaceSelector" in peer:
        if not labels_match(peer["namespaceSelector"], {"kubernetes.io/metadata.name": namespace}):
            return False
    elif namespace != HERE:
        return False
    return "podSelector" not in peer or labels_match(peer["podSelector"], labels)


def admits(
    found: list[chart.Manifest],
    direction: str,
    pod: Mapping[str, str],
    peer: Mapping[str, str],
    namespace: str,
    port: int,
) -> bool:
    """Return whether the policies of one side let a connection to a port pass: ``Ingress`` or ``Egress`` of a pod."""
    policies = [
        m["spec"] for m in chart.of_kind(found, "NetworkPolicy")
        if labels_match(m["spec"]["podSelector"], pod) and direction in m["spec"]["policyTypes"]
    ]  # fmt: skip
    if not policies:
        return True
    key, side = direction.lower(), {"Ingress": "from", "Egress": "to"}[direction]
    return any(
        (not rule.get(side) or any(is_peer(p, peer, namespace) for p in rule[side]))
        and (
            not rule.get("ports") or any(p["port"] == port and p.get("protocol", "TCP") == "TCP" for p in rule["ports"])
        )
        for policy in policies
        for rule in policy.get(key) or ()
    )


def reaches(
    found: list[chart.Manifest], source: Mapping[str, str], target: Mapping[str, str], port: int, namespace: str = HERE
) -> bool:
    """Return whether a pod reaches another's port; pods of other namespaces have no policies of ours."""
    leaves = namespace != HERE or admits(found, "Egress", source, target, HERE, port)
    return leaves and admits(found, "Ingress", target, source, namespace, port)


@pytest.mark.parametrize("name", ["separate", "separate on gpu", "models from s3"])
def test_only_the_gateway_reaches_triton(name: str) -> None:
    found = chart.manifests(*chart.VALUE_SETS[name])
    assert reaches(found, GATEWAY, TRITON, 8001)
    for source in (STRANGER, CLIENT, TEST, OTHER_RELEASE, TRITON):
        for namespace in (HERE, MONITORING, "elsewhere"):
            assert not reaches(found, source, TRITON, 8001, namespace), source
    for namespace in (HERE, "elsewhere", MONITORING):
        assert not reaches(found, GATEWAY, TRITON, 8001, namespace) or namespace == HERE
        assert not reaches(found, GATEWAY, TRITON, 8000, namespace)
        assert not reaches(found, STRANGER, TRITON, 8000, namespace)


@pytest.mark.parametrize("name", ["defaults", "prod", "gpu", "models from a claim"])
def test_nobody_reaches_a_triton_inside_the_gateways_pod(name: str) -> None:
    found = chart.manifests(*chart.VALUE_SETS[name])
    for source in (STRANGER, CLIENT, TEST, GATEWAY):
        for namespace in (HERE, MONITORING, "elsewhere"):
            for port in (8000, 8001):
                assert not reaches(found, source, GATEWAY, port, namespace)
    triton = chart.container(found, "triton")["args"]  # and without a plugin that enforces policies neither
    assert "--grpc-address=127.0.0.1" in triton


def test_inference_over_http_never_leaves_the_pod(found: list[chart.Manifest]) -> None:
    assert "--http-address=127.0.0.1" in chart.container(found, "triton")["args"]
    assert "--model-control-mode=none" in chart.container(found, "triton")["args"]
    for service in chart.of_kind(found, "Service"):
        assert not {8000, "triton-http"} & {port["targetPort"] for port in service["spec"]["ports"]}


@pytest.mark.parametrize("name", ["defaults", "prod", "separate"])
def test_prometheus_scrapes_and_nobody_else_does(name: str) -> None:
    found = chart.manifests(*chart.VALUE_SETS[name])
    target = TRITON if name == "separate" else GATEWAY
    assert reaches(found, STRANGER, target, 8002, MONITORING)
    assert reaches(found, STRANGER, GATEWAY, 8080, MONITORING)
    assert not reaches(found, STRANGER, target, 8002)
    assert not reaches(found, STRANGER, target, 8002, "elsewhere")


def test_production_takes_named_clients_alone() -> None:
    found = chart.manifests(*chart.VALUE_SETS["prod"])
    assert reaches(found, CLIENT, GATEWAY, 8080)
    assert reaches(found, TEST, GATEWAY, 8080)  # helm test
    assert not reaches(found, STRANGER, GATEWAY, 8080)
    assert not reaches(found, CLIENT, GATEWAY, 8080, "elsewhere")


def test_clients_reach_the_storage_scp_where_there_is_one() -> None:
    named = "--set-string=networkPolicy.clients[0].podSelector.matchLabels.entrust-client=true"
    found = chart.manifests(*chart.VALUE_SETS["archive"], named)
    assert reaches(found, CLIENT, GATEWAY, 11112)
    assert not reaches(found, STRANGER, GATEWAY, 11112)
    assert not reaches(chart.manifests(), CLIENT, GATEWAY, 11112)


def test_gateway_and_triton_reach_the_collector_of_traces() -> None:
    found = chart.manifests(*chart.VALUE_SETS["traced"])
    for pod in (GATEWAY, TRITON):
        assert admits(found, "Egress", pod, STRANGER, "elsewhere", 443)
    arguments = chart.container(found, "triton")["args"]
    assert "--trace-config=opentelemetry,url=http://collector.elsewhere:4318/v1/traces" in arguments
    assert "--trace-config=opentelemetry,resource=service.name=limb-triton" in arguments
    for container, variable in (("gateway", "ENTRUST_TRACES__INSTANCE"), ("triton", "POD_NAME")):
        (entry,) = (each for each in chart.container(found, container)["env"] if each["name"] == variable)
        assert entry["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert not any("trace-config" in each for each in chart.container(chart.manifests(), "triton")["args"])
    refused = chart.helm("template", "demo", str(chart.CHART), "--set=settings.traces.endpoint=http://collector:4318")
    assert refused.returncode != 0
    assert "networkPolicy.extraEgress" in refused.stderr


def test_triton_goes_nowhere_but_to_its_models() -> None:
    assert not admits(chart.manifests(*chart.VALUE_SETS["separate"]), "Egress", TRITON, STRANGER, "elsewhere", 443)
    assert admits(chart.manifests(*chart.VALUE_SETS["models from s3"]), "Egress", TRITON, STRANGER, "elsewhere", 443)
