"""Throughput against offered load: the same crowd at growing rates, over HTTP and gRPC at once."""

import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx

from deploy.prometheus.server import Prometheus
from loadtests.mix import DECKS, LONGEST_SECONDS, STUDIES, job_share
from loadtests.records import Record, read_records
from loadtests.service import SupervisedGateway

REST_SHARE = 0.75
LOCUSTFILE = Path(__file__).with_name("locustfile.py")
STAGE = "entrust_stage_duration_seconds_bucket"
STEP = "entrust_sampling_step_duration_seconds_bucket"


@dataclass(frozen=True)
class LoadStage:
    """What one offered load came to.

    Attributes:
        name: What it is for.
        offered: Jobs asked for per second; visits that are refused at the door are beside them.
        seconds: Length of the window in which visits began.
        began_at_seconds: Unix time of its start.
        ended_at_seconds: Unix time of its last answer.
        records: Every visit.
        stages_seconds: p50, p95, p99 of each stage of a study and of the sampling step, from Prometheus.
    """

    name: str
    offered: float
    seconds: float
    began_at_seconds: float
    ended_at_seconds: float
    records: list[Record]
    stages_seconds: Mapping[str, Mapping[str, float]]

    @property
    def jobs(self) -> list[Record]:
        """The visits that wanted a job."""
        return [record for record in self.records if record.job]

    @property
    def accepted(self) -> list[Record]:
        """Those of them for which there was room."""
        return [record for record in self.jobs if not record.refused_for_load]

    @property
    def answered_share(self) -> float:
        """Share of the jobs asked for that ended as they should, refusals for want of room not among them."""
        return sum(record.expected for record in self.accepted) / max(len(self.jobs), 1)

    @property
    def lasted_seconds(self) -> float:
        """From the first request to the last answer, and no less than the window."""
        return max(self.ended_at_seconds - self.began_at_seconds, self.seconds)

    @property
    def throughput(self) -> float:
        """Accepted jobs that ended, per second."""
        return len(self.accepted) / self.lasted_seconds

    @property
    def waits_seconds(self) -> list[float]:
        """From request to results, of the studies that got theirs."""
        return [r.seconds for r in self.accepted if r.outcome == "succeeded" and r.kind in ("study", "detached")]


def estimate_capacity(service: SupervisedGateway, archives: Mapping[str, Path]) -> float:
    """Send each kind of study once, one after another; return the jobs per second that their mix makes."""
    spent = []
    with httpx.Client(base_url=service.url, timeout=LONGEST_SECONDS, trust_env=False) as client:
        for visit in dict.fromkeys((s.archive, tuple(sorted(s.parameters.items()))) for s in STUDIES):
            archive, asked = visit
            content, query = archives[archive].read_bytes(), {"task": "oncology", "wait": "true", **dict(asked)}
            start = time.perf_counter()
            client.post(
                "/v1/segmentations", params=query, content=content, headers={"Content-Type": "application/zip"}
            ).raise_for_status()
            alike = sum((s.archive, tuple(sorted(s.parameters.items()))) == visit for s in STUDIES)
            spent.append(alike * (time.perf_counter() - start))
    return len(STUDIES) / sum(spent)


def run_stage(
    service: SupervisedGateway, name: str, offered: float, seconds: float, *, folder: Path, archives: Path,
    prometheus: Prometheus | None, seed: int, deck: str = "mixed",
) -> LoadStage:  # fmt: skip
    """Send visits at one rate, and wait until every one of them has ended.

    Args:
        service: The service.
        name: What the stage is for; names its files.
        offered: Jobs per second.
        seconds: How long visits begin.
        folder: Where records and the load programs' output go.
        archives: Folder of the studies.
        prometheus: Scrapes the gateway.
        seed: Of the order and times.
        deck: Their mix.

    Raises:
        RuntimeError: A load program broke; the message holds the end of its output.
    """
    visits = offered / job_share(DECKS[deck])
    began = time.time()
    with Load(service, name, visits, seconds, folder=folder, archives=archives, seed=seed, deck=deck) as load:
        records = load.finish()
    ended = max((record.ended_at_seconds for record in records), default=time.time())
    first = min((record.began_at_seconds for record in records), default=began)
    return LoadStage(
        name, offered, seconds, first, ended, records, {} if prometheus is None else stage_quantiles(prometheus, began)
    )


class Load:
    """Both load programs at once, as processes of their own.

    Args:
        service: The service.
        name: Names the files.
        rate: Visits per second, both doors together.
        seconds: How long visits begin; each door has one at least.
        folder: Where records and outputs go.
        archives: Folder of the studies.
        seed: Of the order and times.
        deck: Their mix.
    """

    def __init__(
        self, service: SupervisedGateway, name: str, rate: float, seconds: float, *, folder: Path, archives: Path,
        seed: int, deck: str,
    ) -> None:  # fmt: skip
        self._seconds = seconds
        self._records = {door: folder / f"{name}.{door}.jsonl" for door in ("rest", "grpc")}
        self._outputs = {door: folder / f"{name}.{door}.log" for door in ("rest", "grpc")}
        for path in self._records.values():
            path.unlink(missing_ok=True)
        shared = ["--deck", deck, "--seconds", str(seconds), "--archives", str(archives)]
        number = {
            door: max(round(share * rate * seconds), 1)
            for door, share in (("rest", REST_SHARE), ("grpc", 1.0 - REST_SHARE))
        }
        rest = [
            "locust", "-f", str(LOCUSTFILE), "--headless", "-u", "1", "--only-summary", "--host", service.url,
            "--run-time", f"{seconds + LONGEST_SECONDS:.0f}s",
        ]  # fmt: skip
        grpc = ["loadtests.rpc_load", "--address", service.rpc_address]
        self._processes = {}
        for door, command in (("rest", rest), ("grpc", grpc)):
            own = ["--visits", str(number[door]), "--seed", str(2 * seed + (door == "grpc"))]
            own += ["--records", str(self._records[door])]
            self._processes[door] = self._start(door, [*command, *shared, *own])

    def _start(self, door: str, arguments: list[str]) -> subprocess.Popen[bytes]:
        with self._outputs[door].open("wb") as out:
            return subprocess.Popen(  # noqa: S603  (our own command line)
                [sys.executable, "-m", *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                cwd=LOCUSTFILE.parents[1],
            )  # fmt: skip

    def finish(self) -> list[Record]:
        """Wait until every visit has ended; return what became of them.

        Raises:
            RuntimeError: A load program broke; the message holds the end of its output.
        """
        deadline = time.monotonic() + self._seconds + 2.0 * LONGEST_SECONDS
        for door, process in self._processes.items():
            # 1 says that a visit ended as it should not: that is for the report to say
            if process.wait(max(deadline - time.monotonic(), 0.0)) not in (0, 1) or self._broke(door):
                raise RuntimeError(f"load over {door} broke:\n{self._outputs[door].read_text()[-3000:]}")
        return read_records(self._records.values())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End what has not ended by itself."""
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()

    def _broke(self, door: str) -> bool:
        return "Traceback (most recent call last)" in self._outputs[door].read_text(errors="replace")


def stage_quantiles(prometheus: Prometheus, since: float) -> dict[str, dict[str, float]]:
    """Return p50, p95 and p99 of each stage of a study, and of the sampling step, as the dashboards ask for them."""
    window = f"{max(int(time.time() - since), 5)}s"
    found: dict[str, dict[str, float]] = {}
    for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        for metric, by in ((STAGE, "le, stage"), (STEP, "le")):
            expression = (
                f'histogram_quantile({q}, sum by ({by}) (increase({metric}{{job="entrust-gateway"}}[{window}])))'
            )
            for series in prometheus.query(expression):
                value = float(series["value"][1])
                if value == value:  # NaN where nothing happened
                    found.setdefault(series["metric"].get("stage", "sampling step"), {})[name] = value
    return found
