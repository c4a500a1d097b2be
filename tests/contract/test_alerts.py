"""The rules are what the table says; each alert is tested and has a heading in the runbook; Prometheus accepts all."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.prometheus.__main__ import FILE, content
from deploy.prometheus.alerts import ALERTS, FAULTS, SLOW_SECONDS
from entrust.errors import ErrorKind
from service.observability.definitions import BY_NAME

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
TESTS = sorted(FOLDER.glob("*_test.yml"))
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (apt-get install prometheus)")
    return subprocess.run(
        ["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_committed_rules_are_what_the_table_says() -> None:
    assert FILE.read_text(encoding="utf-8") == content(), "python -m deploy.prometheus"


def test_another_address_of_the_runbook_goes_into_every_alert() -> None:
    groups = yaml.safe_load(content("https://example.org/r"))["groups"]
    urls = [rule["annotations"]["runbook_url"] for group in groups for rule in group["rules"] if "alert" in rule]
    assert len(urls) == len(ALERTS)
    assert all(url.startswith("https://example.org/r#") for url in urls)


def test_prometheus_accepts_the_configuration_and_the_rules() -> None:
    done = promtool("check", "config", "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert promtool("check", "rules", "rules.yml").returncode == 0


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_the_rule_tests_pass(path: Path) -> None:
    done = promtool("test", "rules", path.name)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", [alert.name for alert in ALERTS])
def test_each_alert_is_tested_with_its_text_and_with_silence(name: str) -> None:
    cases: list[dict[str, Any]] = [
        case
        for path in TESTS
        for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
        for case in test.get("alert_rule_test", [])
        if case["alertname"] == name
    ]
    texts = [alert["exp_annotations"] for case in cases for alert in case["exp_alerts"]]
    assert texts, "no test in which it fires"
    assert all(text.keys() == {"summary", "description", "runbook_url"} for text in texts)
    if name != "EntrustCanaryFails":  # whose silence about a busy model is part of the test in which it fires
        assert any(not case["exp_alerts"] for case in cases), "no test in which it is silent"


@pytest.mark.parametrize("name", [alert.name for alert in ALERTS])
def test_each_alert_has_a_heading_in_the_runbook(name: str) -> None:
    section = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
    assert section, f"docs/runbook.md has no heading {name}"
    for word in ("**Means.**", "**Look", "do.**"):
        assert word in section[1] or word.replace("do.**", "**Do.**") in section[1]


def test_every_anchor_resolves() -> None:
    headings = {heading.lower() for heading in re.findall(r"^## (\w+)$", RUNBOOK, re.MULTILINE)}
    rules = yaml.safe_load(FILE.read_text(encoding="utf-8"))["groups"]
    urls = [rule["annotations"]["runbook_url"] for group in rules for rule in group["rules"] if "alert" in rule]
    for url in urls:
        path, _, anchor = url.partition("#")
        assert (ROOT / path).is_file()
        assert anchor in headings
    assert set(re.findall(r"\(#(\w+)\)", RUNBOOK)) <= headings


def test_the_objectives_stand_on_what_is_measured() -> None:
    assert set(FAULTS.split("|")) <= {kind.value for kind in ErrorKind}
    assert SLOW_SECONDS in BY_NAME["entrust_job_duration_seconds"].buckets
    used = set(re.findall(r"\bentrust_\w+", "\n".join(alert.expression for alert in ALERTS)))
    known = set(BY_NAME) | {f"{name}_{part}" for name in BY_NAME for part in ("bucket", "sum", "count")}
    assert used <= known
