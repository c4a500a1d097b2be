"""A real Prometheus that scrapes what a test names, and a real Alertmanager."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.prometheus.server import Prometheus, running_alertmanager, running_prometheus

StartPrometheus = Callable[..., AbstractContextManager[Prometheus]]
"""``start_prometheus({"job": ["127.0.0.1:8080"]}, rules=…)`` gives a Prometheus that scrapes every second."""
NEEDED = {
    "promtool": ("promtool",),
    "prometheus": ("prometheus",),
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
}


@pytest.fixture(scope="session")
def prometheus_programs() -> None:
    """Skip where Debian's prometheus and prometheus-alertmanager are not installed."""
    missing = [name for name, programs in NEEDED.items() if not any(shutil.which(program) for program in programs)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (apt-get install prometheus prometheus-alertmanager)")


@pytest.fixture(scope="session")
def start_prometheus(prometheus_programs: None, tmp_path_factory: pytest.TempPathFactory) -> StartPrometheus:
    """Start servers with data of their own on free ports; they stop at the end of their block."""

    def start(
        targets: Mapping[str, Sequence[str]],
        *,
        rules: Path | None = None,
        alertmanager: str = "",
        folder: Path | None = None,
        flags: Sequence[str] = (),
    ) -> AbstractContextManager[Prometheus]:
        config: dict[str, Any] = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": list(addresses)}]}
                for job, addresses in targets.items()
            ],
        }
        if rules is not None:
            config["rule_files"] = [str(rules)]
        if alertmanager:
            address = alertmanager.removeprefix("http://")
            config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [address]}]}]}
        where = folder or tmp_path_factory.mktemp("prometheus")
        return running_prometheus(yaml.safe_dump(config), where, flags=flags)

    return start


StartAlertmanager = Callable[[Path], AbstractContextManager[str]]
"""``start_alertmanager(folder)`` gives the address of a server that shows every alert at once."""


@pytest.fixture(scope="session")
def start_alertmanager(prometheus_programs: None) -> StartAlertmanager:
    """Start servers in a folder of the test's own."""
    config = {"route": {"receiver": "nobody", "group_wait": "0s"}, "receivers": [{"name": "nobody"}]}
    return lambda folder: running_alertmanager(yaml.safe_dump(config), folder)
