"""Every alert fires in a real Prometheus and reaches a real Alertmanager, after a week in which everything goes wrong.

The week is backfilled; the expressions are the committed ones. Only ``for`` is shortened, and the clock of working
hours is data here, so that the test passes on a Sunday.
"""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from deploy.prometheus.alerts import ALERTS, WORKING_HOURS
from tests.servers.prometheus import StartAlertmanager, StartPrometheus

ROOT = Path(__file__).resolve().parents[3]
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
DAY, STEP, RECENT, RECENT_STEP = 86_400, 1800, 5400, 30
SLOW_SINCE = 50 * 60
"""Seconds before now since when sampling steps are slow."""

Series = Callable[[float, float], float]
"""Value at a time since the beginning, and before the end, in seconds."""


def grows(each_minute: float) -> Series:
    return lambda since, _before: round(since / 60 * each_minute, 6)


def stays(value: float) -> Series:
    return lambda _since, _before: value


def faster_since(seconds: float, each_minute: float, then_each_minute: float) -> Series:
    """A counter that grows faster since some seconds before the end."""

    def value(since: float, before: float) -> float:
        fast = max(seconds - before, 0.0)
        return round((since - fast) / 60 * each_minute + fast / 60 * then_each_minute, 6)

    return value


FINISHED, JOB = "entrust_jobs_finished_total", "entrust_job_duration_seconds"
STEPS, COMPARED = "entrust_sampling_step_duration_seconds", "entrust_calibration_comparisons_total"
WEEK: dict[str, Series] = {
    'up{job="entrust-gateway",instance="gone:8080"}': stays(0),
    f'{FINISHED}{{instance="a",task="oncology",outcome="succeeded"}}': grows(7),
    f'{FINISHED}{{instance="a",task="oncology",outcome="internal"}}': grows(2),
    'entrust_jobs_rejected_total{instance="a"}': grows(1),
    f'{JOB}_count{{instance="a",task="oncology",outcome="succeeded"}}': grows(10),
    f'{JOB}_bucket{{instance="a",task="oncology",outcome="succeeded",le="100.0"}}': grows(1),
    'entrust_triton_canaries_total{instance="a",model="m",outcome="wrong"}': grows(1),
    'entrust_triton_canaries_total{instance="a",model="m",outcome="ok"}': grows(10),
    'entrust_triton_stub_deaths_total{instance="a",model="m"}': grows(0.5),
    f'{STEPS}_sum{{task="oncology",sampler="ddim",precision="fp32"}}': faster_since(SLOW_SINCE, 0.5, 3.25),
    f'{STEPS}_count{{task="oncology",sampler="ddim",precision="fp32"}}': grows(10),
    'entrust_queue_depth_jobs{instance="a"}': stays(16),
    'entrust_queue_capacity_jobs{instance="a"}': stays(16),
    'entrust_jobs_accepted_total{instance="a",task="oncology",priority="routine"}': stays(5),
    'entrust_studies{instance="a",state="failed"}': stays(1),
    'entrust_studies_oldest_queued_seconds{instance="a"}': stays(7200),
    'entrust_archive_free_ratio{instance="a"}': stays(0.1),
    'entrust_delivery_targets_down{instance="a",target="pacs"}': stays(1),
    'entrust_delivery_attempts_total{instance="a",target="pacs",stage="deliver",outcome="refused"}': grows(1),
    WORKING_HOURS: stays(1),
    'entrust_calibration_reference_studies{task="oncology"}': stays(6),
    f'{COMPARED}{{task="oncology",measure="ct-intensity-mean",verdict="above"}}': grows(0.9),
    f'{COMPARED}{{task="oncology",measure="ct-intensity-mean",verdict="within"}}': grows(0.1),
}


def write_week(path: Path, now: int) -> None:
    """Write the week as OpenMetrics: coarse, and fine towards its end."""
    start = now - 7 * DAY - 3600
    times = [*range(start, now - RECENT, STEP), *range(now - RECENT, now + 1, RECENT_STEP)]
    with path.open("w") as out:
        for series, value in WEEK.items():
            out.writelines(f"{series} {value(t - start, now - t)} {t}\n" for t in times)
        out.write("# EOF\n")


def shortened(path: Path) -> Path:
    """Write the committed rules without waiting, and with working hours as data."""
    content: dict[str, Any] = yaml.safe_load(RULES.read_text())
    for group in content["groups"]:
        group["rules"] = [rule for rule in group["rules"] if rule.get("record") != WORKING_HOURS]
        for rule in group["rules"]:
            if "alert" in rule:
                rule["for"] = "0s"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def fired(
    start_prometheus: StartPrometheus,
    start_alertmanager: StartAlertmanager,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, dict[str, Any]]]:
    """What has reached Alertmanager, by the alert's name."""
    folder = tmp_path_factory.mktemp("week")
    write_week(folder / "week.txt", int(time.time()))
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", "-q", folder / "week.txt", folder / "data"],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    # sent anew soon: the first time, Prometheus has not heard of its Alertmanager yet
    flags = ["--storage.tsdb.retention.time=30d", "--rules.alert.resend-delay=1s"]
    rules = shortened(folder / "rules.yml")
    with (
        start_alertmanager(folder) as alertmanager,
        start_prometheus({}, rules=rules, alertmanager=alertmanager, folder=folder, flags=flags),
    ):
        deadline = time.monotonic() + 90.0
        found: dict[str, dict[str, Any]] = {}
        while set(found) != {alert.name for alert in ALERTS} and time.monotonic() < deadline:
            time.sleep(0.5)
            answer = httpx.get(f"{alertmanager}/api/v2/alerts", timeout=10.0, trust_env=False).json()
            found = {alert["labels"]["alertname"]: alert for alert in answer}
        yield found


@pytest.mark.parametrize("name", [alert.name for alert in ALERTS])
def test_an_alert_reaches_alertmanager(name: str, fired: dict[str, dict[str, Any]]) -> None:
    assert name in fired
    received, expected = fired[name], next(alert for alert in ALERTS if alert.name == name)
    assert received["status"]["state"] == "active"
    assert received["labels"]["severity"] == expected.severity
    assert received["annotations"]["runbook_url"] == f"docs/runbook.md#{expected.anchor}"
    assert "{{" not in received["annotations"]["summary"]
    assert "<no value>" not in received["annotations"]["summary"]


def test_their_words_hold_the_numbers(fired: dict[str, dict[str, Any]]) -> None:
    words = {name: alert["annotations"]["summary"] for name, alert in fired.items()}
    assert words["EntrustAvailabilityBurnsFast"].startswith("30% of studies")
    assert words["EntrustStepSlowerThanItsWeek"] == "A sampling step of oncology takes 325ms, far above its week."
    assert "oncology" in words["EntrustCalibrationDrift"]
    assert words["EntrustTargetDown"] == "entrust-gateway at gone:8080 does not answer Prometheus."
