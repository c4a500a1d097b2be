"""What the chart takes from elsewhere is current, and its schema knows the gateway's settings."""

import json
import shutil
from pathlib import Path
from typing import Literal

import pytest
import yaml
from pydantic import BaseModel, SecretStr

from deploy.helm import chart as chart_files
from deploy.helm.values import Values
from entrust.contract import TASKS, model_contracts
from service.settings import Settings
from tests.contract.chart.test_chart_schemas import check_custom
from tests.factories import chart
from tests.factories.chart import CHART


@pytest.mark.parametrize("path", chart_files.committed(), ids=lambda path: path.name)
def test_generated_files_are_current(path: Path) -> None:
    assert path.read_text() == chart_files.committed()[path], "run make chart"


def test_every_served_model_has_a_canary() -> None:
    served = {contract.name for task in TASKS.values() for contract in model_contracts(task).values()}
    assert set(json.loads(chart_files.CANARIES.read_text())) == served


def test_the_default_values_are_complete() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    values.pop("settings")
    Values.model_validate(values)


def test_every_setting_can_be_set_or_is_the_charts_own() -> None:
    block = chart_files.values_schema()["properties"]["settings"]["properties"]
    secrets = set(chart_files.settings_schema()[1])
    for group, field in Settings.model_fields.items():
        assert isinstance(field.annotation, type)
        assert issubclass(field.annotation, BaseModel)
        for name in field.annotation.model_fields:
            known = name in block[group]["properties"]
            owned = name in chart_files.OWNED.get(group, ())
            secret = f"ENTRUST_{group}__{name}".upper() in secrets
            assert known + owned + secret == 1, f"{group}.{name}"


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("settings.jobs.max_qued=3", "max_qued"),
        ("settings.jobs.max_queued=0", "max_queued"),
        ("settings.logs.level=loud", "level"),
        ("settings.job.max_queued=3", "job"),
        ("settings.rest.host=127.0.0.1", "host"),
        ("settings.triton.url=elsewhere:8001", "url"),
        ("settings.archive.folder=/tmp", "folder"),
        ("archive.size=much", "size"),
        ("triton.placement=elsewhere", "placement"),
        ("gateway.image.tag=latest", "tag"),
        ("gateway.replica=3", "replica"),
        ("podDisruptionBudget.maxUnavailable=0", "maxUnavailable"),
        ("identity.runAsUser=0", "runAsUser"),
        ("secretSettings[0].setting=PASSWORD,secretSettings[0].name=a,secretSettings[0].key=b", "setting"),
        ("secretSettings[0].value=hunter2", "value"),
    ],
)
def test_a_wrong_value_fails_the_lint(setting: str, complaint: str) -> None:
    done = chart.helm("lint", "--strict", str(CHART), f"--set={setting}")
    assert done.returncode != 0
    assert complaint in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ("triton.models.source=pvc", "claimName"),
        ("triton.models.source=s3,networkPolicy.enabled=false", "s3.url"),
        ("triton.models.source=s3,triton.models.s3.url=s3://a/b", "extraEgress"),
        ("settings.tls.client_ca_file=/etc/ca.crt", "client_ca_file"),
        ("autoscaling.mode=hpa,autoscaling.minReplicas=5", "minReplicas"),
        ("dimse.enabled=true", "archive.enabled"),
        ("archive.enabled=true,gateway.replicas=2", "gateway.replicas"),
        ("archive.enabled=true,autoscaling.mode=keda", "autoscaling.mode"),
    ],
)
def test_values_that_contradict_each_other_are_refused(values: str, complaint: str) -> None:
    done = chart.helm("template", "demo", str(CHART), f"--set={values}")
    assert done.returncode != 0
    assert complaint in done.stderr


def test_a_secret_setting_is_only_taken_by_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    class Doors(BaseModel):
        token: SecretStr | None = None
        token_file: Path | None = None
        kind: Literal["open", "shut"] = "open"

    class WithSecret(Settings):
        doors: Doors = Doors()

    monkeypatch.setattr(chart_files, "Settings", WithSecret)
    block, secrets = chart_files.settings_schema()
    assert set(block["properties"]["doors"]["properties"]) == {"token_file", "kind"}
    assert "ENTRUST_DOORS__TOKEN" in secrets


def test_dashboards_and_rules_come_along_unchanged(tmp_path: Path) -> None:
    deploy, copy = tmp_path / "deploy", tmp_path / "entrust"
    shutil.copytree(CHART, copy, ignore=shutil.ignore_patterns("dashboards", "rules"))
    assert chart_files.copy_monitoring(deploy, copy) == []  # nothing is there yet
    everything = ("--set=monitoring.dashboards.enabled=true,monitoring.prometheusRule.enabled=true",)
    kinds = [m["kind"] for m in chart.manifests(*everything, chart=copy)]
    assert "PrometheusRule" not in kinds

    dashboard = {"title": "Overview", "panels": [{"title": "{{ not Helm's }}"}], "uid": "a"}
    rule = {"alert": "Slow", "expr": "up == 0", "annotations": {"summary": "{{ $labels.pod }} is slow"}}
    groups = {"groups": [{"name": "latency", "rules": [rule]}]}
    for name, content in {
        "grafana/service_overview.json": json.dumps(dashboard, indent=2),
        "grafana/provisioning.json": json.dumps({"apiVersion": 1}),
        "prometheus/alerts.yml": yaml.safe_dump(groups),
        "prometheus/prometheus.yml": yaml.safe_dump({"scrape_configs": []}),
        "prometheus/tests/alerts_test.yml": yaml.safe_dump({"rule_files": ["../alerts.yml"], "tests": []}),
    }.items():
        (deploy / name).parent.mkdir(parents=True, exist_ok=True)
        (deploy / name).write_text(content)
    copied = {path.relative_to(copy).as_posix() for path in chart_files.copy_monitoring(deploy, copy)}
    assert copied == {"files/dashboards/service_overview.json", "files/rules/alerts.yml"}
    chart.rendered.cache_clear()
    found = chart.manifests(*everything, chart=copy)
    (shown,) = [m for m in chart.of_kind(found, "ConfigMap") if "dashboard" in m["metadata"]["name"]]
    assert shown["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(shown["data"]["service_overview.json"]) == dashboard
    (rules,) = chart.of_kind(found, "PrometheusRule")
    assert rules["spec"] == groups


def test_the_repositorys_own_dashboards_and_rules_fit_the_chart(tmp_path: Path) -> None:
    copy = tmp_path / "entrust"
    shutil.copytree(CHART, copy, ignore=shutil.ignore_patterns("dashboards", "rules"))
    copied = chart_files.copy_monitoring(chart=copy)
    everything = "--set=monitoring.dashboards.enabled=true,monitoring.prometheusRule.enabled=true"
    found = chart.manifests(everything, chart=copy)
    shown = [m for m in chart.of_kind(found, "ConfigMap") if "dashboard" in m["metadata"]["name"]]
    rules = chart.of_kind(found, "PrometheusRule")
    assert shown
    assert rules
    assert len(shown) + len(rules) == len(copied)
    sources = [yaml.safe_load(path.read_text()) for path in copied if path.parent.name == "rules"]
    assert [rule["spec"] for rule in rules] == sources
    for rule in rules:
        check_custom(rule)
    assert all(len(json.dumps(m)) < 1_000_000 for m in shown), "Kubernetes takes a MiB"
