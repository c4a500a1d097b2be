"""What the autoscalers ask Prometheus exists, and answers as meant."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from service.startup import make_metrics
from tests.factories import chart

ADAPTER = chart.ROOT / "deploy" / "helm" / "prometheus-adapter-values.yaml"
SERIES = 'namespace="scans",service="demo-entrust-metrics"'


def keda_queries() -> dict[str, str]:
    (scaled,) = chart.of_kind(chart.manifests(*chart.VALUE_SETS["prod"]), "ScaledObject")
    return {trigger["name"]: trigger["metadata"]["query"] for trigger in scaled["spec"]["triggers"]}


def adapter_queries() -> dict[str, str]:
    rules = yaml.safe_load(ADAPTER.read_text())["rules"]["external"]
    return {rule["name"]["as"]: rule["metricsQuery"].replace("<<.LabelMatchers>>", SERIES) for rule in rules}


def test_the_gateway_has_the_series_that_are_asked_for() -> None:
    body, _ = make_metrics().render("")
    known = set(re.findall(rb"^# TYPE (entrust_\w+) ", body, re.MULTILINE))
    for query in (*keda_queries().values(), *adapter_queries().values()):
        asked = set(re.findall(r"\bentrust_\w+", query.replace("_bucket", "").replace("demo-entrust-metrics", "")))
        assert asked
        assert asked <= {name.decode() for name in known}


def test_both_autoscalers_ask_the_same() -> None:
    def words(query: str) -> str:
        return re.sub(r"\s+", " ", query)

    keda, adapter = keda_queries(), adapter_queries()
    assert words(keda["queue-depth"]) == words(adapter["entrust_queue_depth_jobs"])
    assert words(keda["step-latency"]) == words(adapter["entrust_sampling_step_duration_p95_seconds"])


def test_the_autoscaler_asks_for_what_the_adapter_serves() -> None:
    (scaler,) = chart.of_kind(chart.manifests(*chart.VALUE_SETS["gpu"]), "HorizontalPodAutoscaler")
    asked = {metric["external"]["metric"]["name"]: metric["external"] for metric in scaler["spec"]["metrics"]}
    assert asked.keys() == adapter_queries().keys()
    for external in asked.values():
        assert external["metric"]["selector"]["matchLabels"] == {"service": "demo-entrust-metrics"}
    assert asked["entrust_queue_depth_jobs"]["target"] == {"type": "AverageValue", "averageValue": "2"}
    assert asked["entrust_sampling_step_duration_p95_seconds"]["target"] == {"type": "Value", "value": "100m"}


def test_series_are_labelled_as_the_monitor_labels_them() -> None:
    found = chart.manifests(*chart.VALUE_SETS["prod"])
    labels = [s["metadata"] for s in chart.of_kind(found, "Service") if s["metadata"]["name"] == "demo-entrust-metrics"]
    (monitor,) = chart.of_kind(found, "ServiceMonitor")
    assert len(labels) == 1
    assert chart.selects(monitor["spec"]["selector"]["matchLabels"], labels[0]["labels"])
    assert all(SERIES in query for query in keda_queries().values())


def test_with_a_triton_of_its_own_both_are_scaled() -> None:
    scaled = chart.of_kind(chart.manifests(*chart.VALUE_SETS["separate"]), "ScaledObject")
    assert {m["spec"]["scaleTargetRef"]["name"] for m in scaled} == {"demo-entrust", "demo-entrust-triton"}


def test_prometheus_answers_the_queries_as_meant(tmp_path: Path) -> None:
    """Its own rule tester evaluates them over made series: busy, slow without a queue, and silent."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    queries = keda_queries()
    rules = [{"record": name.replace("-", "_"), "expr": query} for name, query in queries.items()]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "scaling", "rules": rules}]}))
    bucket = f"entrust_sampling_step_duration_seconds_bucket{{{SERIES},pod=%r,le=%r}}"

    def series(waiting: int, steps_per_minute: int) -> list[dict[str, str]]:
        depth = [
            {"series": f'entrust_queue_depth_jobs{{{SERIES},pod="{pod}"}}', "values": f"{waiting}+0x20"}
            for pod in ("a", "b")
        ]
        return depth + [  # all steps last between one and two seconds
            {"series": (bucket % (pod, le)).replace("'", '"'), "values": f"0+{count}x20"}
            for pod in ("a", "b")
            for le, count in (("1", 0), ("2", steps_per_minute), ("+Inf", steps_per_minute))
        ]

    def case(given: list[dict[str, str]], depth: float | None, latency: float) -> dict[str, object]:
        samples = {"queue_depth": depth, "step_latency": latency}
        tests = [
            {
                "expr": name,
                "eval_time": "15m",
                "exp_samples": [] if value is None else [{"labels": name, "value": value}],
            }
            for name, value in samples.items()
        ]
        return {"interval": "1m", "input_series": given, "promql_expr_test": tests}

    tests = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            case(series(waiting=3, steps_per_minute=6), 6, 1.95),
            case(series(waiting=0, steps_per_minute=6), 0, 0),  # slow, but nobody waits
            case(series(waiting=3, steps_per_minute=0), 6, 0),  # no step: no latency, and no NaN
            case([], None, 0),
        ],
    }
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(tests))
    done = subprocess.run(
        [promtool, "test", "rules", tmp_path / "tests.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
