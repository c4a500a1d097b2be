"""Kubernetes and the operators take every manifest: nothing misspelt, nothing of the wrong type."""

import copy
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.keda.v1alpha1 import ScaledObject
from cloudcoil.models.prometheus_operator.v1 import PrometheusRule, ServiceMonitor
from cloudcoil.pydantic import BaseModel
from kubernetes_validate.utils import ValidationError

from tests.factories import chart
from tests.factories.chart import CHART

CUSTOM: dict[str, type[BaseModel]] = {
    "ScaledObject": ScaledObject, "ServiceMonitor": ServiceMonitor, "PrometheusRule": PrometheusRule,
}  # fmt: skip


def check_custom(manifest: chart.Manifest) -> None:
    """Compare with the operator's own schema; a field that it does not know does not come back."""
    model = CUSTOM[manifest["kind"]].model_validate(manifest)
    assert model.model_dump(by_alias=True, exclude_unset=True, mode="json") == manifest


@cache
def check(text: str) -> None:
    """Check one manifest; many are the same in all sets of values."""
    manifest = yaml.safe_load(text)
    if manifest["kind"] in CUSTOM:
        check_custom(manifest)
    else:
        kubernetes_validate.validate(manifest, "1.37", strict=True)


def test_the_chart_passes_the_lint(arguments: tuple[str, ...]) -> None:
    done = chart.helm("lint", "--strict", str(CHART), *arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def test_kubernetes_takes_every_manifest(found: list[chart.Manifest]) -> None:
    for manifest in found:
        check(yaml.safe_dump(manifest))


def test_kubectl_reads_every_manifest(found: list[chart.Manifest], tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(found))
    command = [chart.kube_tool("kubectl"), "label", "--local", "-o", "name", "-f", tmp_path / "all.yaml", "a=b"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == len(found)


def test_no_two_manifests_have_one_name(found: list[chart.Manifest]) -> None:
    names = [(m["apiVersion"], m["kind"], m["metadata"]["name"]) for m in found]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", ("spec", "template", "spec", "containers", 0, "imagePullPolcy"), "Always"),
        ("Deployment", ("spec", "template", "spec", "terminationGracePeriodSeconds"), "long"),
        ("NetworkPolicy", ("spec", "ingres"), []),
        ("ScaledObject", ("spec", "maxReplicas"), 3),
        ("ScaledObject", ("spec", "triggers", 0, "kind"), "prometheus"),
        ("ServiceMonitor", ("spec", "endpoints", 0, "period"), "15s"),
    ],
)
def test_the_schemas_notice_mistakes(kind: str, path: tuple[Any, ...], value: Any) -> None:
    manifest = copy.deepcopy(chart.of_kind(chart.manifests(*chart.VALUE_SETS["prod"]), kind)[0])
    place = manifest
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises((ValidationError, AssertionError)):
        check(yaml.safe_dump(manifest))
