"""A PACS that is away while studies are delivered to it: ``python -m loadtests.pacs_outage``.

Orthanc is stopped for real, while some studies have been delivered and others are on their way, and started again on
the same data a minute later. In the end it must have the results of every study, each once, and nobody else's.
"""

import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, get_args

import httpx
import typer

from deploy.orthanc.loop import Way
from deploy.orthanc.server import AE_TITLE, Orthanc, running_orthanc
from deploy.prometheus.server import free_port
from loadtests.kills import triton_apart
from loadtests.machine import describe_machine
from loadtests.service import SupervisedGateway, running_service
from loadtests.studies import write_small_archive
from loadtests.study_kills import SETTINGS, copies, finished, send

TARGET = "ENTRUST_DELIVERY__TARGETS__PACS__"
CONFIRMATIONS = {"dimse": "commitment", "dicomweb": "read-back"}
TURNED_AWAY = "is left alone for now"
"""In the cause of an attempt that the gate has not let through to the receiver."""
GIVE_UP_SECONDS = 1800.0
HEAD = (
    "receiver | studies | away for | confirmed before | tried meanwhile | held back meanwhile | confirmed after | "
    "lost | more than once | dead letters"
)


@dataclass(frozen=True)
class Outage:
    """What came of it.

    Attributes:
        way: By which protocol results go.
        studies: Studies that were sent.
        results: Instances that they have as results.
        away_seconds: How long the PACS was not there.
        confirmed_before: Studies that it had confirmed before.
        tried: Attempts to reach it while it was away.
        held_back: Attempts that were not let through to it meanwhile.
        after_seconds: From its return to the last confirmation.
        lost: Results that it does not have.
        doubled: Instances that it has besides the results of the studies.
        dead_letters: Studies that did not succeed.
    """

    way: str
    studies: int
    results: int
    away_seconds: float
    confirmed_before: int
    tried: int
    held_back: int
    after_seconds: float
    lost: int
    doubled: int
    dead_letters: int

    @property
    def passed(self) -> bool:
        """Whether all is there, once."""
        return not (self.lost or self.doubled or self.dead_letters)

    def row(self) -> str:
        """Return it as a row below :data:`HEAD`."""
        cells = (
            self.way, self.studies, f"{self.away_seconds:.0f} s", self.confirmed_before, self.tried, self.held_back,
            f"{self.after_seconds:.0f} s", f"{self.lost} of {self.results}", self.doubled, self.dead_letters,
        )  # fmt: skip
        return f"| {' | '.join(map(str, cells))} |"


def measure(
    way: Way, folder: Path, studies: list[dict[str, bytes]], seconds: float, *, triton_url: str, **settings: str
) -> Outage:
    """Stop a PACS in the middle of deliveries, and look at what it has in the end.

    Args:
        way: By which protocol results go.
        folder: For everything.
        studies: What is sent to the gateway.
        seconds: How long the PACS is away, at least.
        triton_url: Address of a Triton.
        settings: Further settings of the gateway.
    """
    ports, scp_port = (free_port(), free_port()), free_port()
    with _gateway(way, folder / "gateway", ports, scp_port, triton_url, settings) as service:
        client = httpx.Client(base_url=service.url, timeout=30.0, trust_env=False)
        with client, _records_of_log(folder / "gateway" / "gateway.log") as attempts:
            pacs = folder / "pacs"
            pacs.mkdir(parents=True)
            with running_orthanc(pacs, ports=ports, scp_port=scp_port):
                send(client, studies[0])
                _until(lambda: _succeeded(client) == 1)
                for study in studies[1:]:
                    send(client, study)
                _until(lambda: _delivering(client) > 0)
            went = time.monotonic()
            attempts()
            time.sleep(seconds)
            _until(lambda: _delivering(client) + _succeeded(client) == len(studies))  # all others wait for it by now
            meanwhile, before = attempts(), _succeeded(client)
            away_seconds = time.monotonic() - went
            with running_orthanc(pacs, ports=ports, scp_port=scp_port) as orthanc:
                back = time.monotonic()
                records = finished(client, len(studies))
                after_seconds = time.monotonic() - back
                return _judge(
                    way, orthanc, records, away_seconds=away_seconds, confirmed_before=before,
                    meanwhile=meanwhile, after_seconds=after_seconds,
                )  # fmt: skip


def _judge(
    way: Way,
    orthanc: Orthanc,
    records: dict[str, dict[str, Any]],
    *,
    away_seconds: float,
    confirmed_before: int,
    meanwhile: list[str],
    after_seconds: float,
) -> Outage:
    wanted = {(study_uid, uid) for study_uid, record in records.items() for uid in record["results"]}
    there = [
        (orthanc.get(f"/instances/{one}/study")["MainDicomTags"]["StudyInstanceUID"], name)
        for one, name in _instances(orthanc)
    ]
    turned_away = sum(TURNED_AWAY in cause for cause in meanwhile)
    return Outage(
        way=way,
        studies=len(records),
        results=len(wanted),
        away_seconds=away_seconds,
        confirmed_before=confirmed_before,
        tried=len(meanwhile) - turned_away,
        held_back=turned_away,
        after_seconds=after_seconds,
        lost=len(wanted - set(there)),
        doubled=len(there) - len(wanted & set(there)),
        dead_letters=sum(record["state"] != "succeeded" for record in records.values()),
    )


def _instances(orthanc: Orthanc) -> Iterator[tuple[str, str]]:
    for one in orthanc.get("/instances?expand"):
        yield one["ID"], one["MainDicomTags"]["SOPInstanceUID"]


@contextlib.contextmanager
def _gateway(
    way: Way, folder: Path, ports: tuple[int, int], scp_port: int, triton_url: str, settings: dict[str, str]
) -> Iterator[SupervisedGateway]:
    http_port, dicom_port = ports
    address = {
        "dimse": {"KIND": "dimse", "HOST": "127.0.0.1", "PORT": str(dicom_port), "AE_TITLE": AE_TITLE},
        "dicomweb": {"KIND": "stow", "URL": f"http://127.0.0.1:{http_port}/dicom-web"},
    }[way]
    more = {
        "ENTRUST_TRITON__URL": triton_url,
        "ENTRUST_ARCHIVE__FOLDER": str(folder / "archive"),
        "ENTRUST_DIMSE__ENABLED": "true",
        "ENTRUST_DIMSE__PORT": str(scp_port),
        f"{TARGET}CONFIRMATION": CONFIRMATIONS[way],
        **{TARGET + name: value for name, value in address.items()},
    }
    with running_service(folder, dict(SETTINGS) | more | settings) as service:
        yield service


@contextlib.contextmanager
def _records_of_log(path: Path) -> Iterator[Callable[[], list[str]]]:
    """Give what returns the causes of the attempts at delivery that came to nothing since it was called last."""
    with path.open(encoding="utf-8") as log:

        def causes() -> list[str]:
            found = []
            for line in log.readlines():
                with contextlib.suppress(ValueError):
                    entry = json.loads(line)
                    if entry.get("event") == "delivery-attempted" and entry.get("outcome") == "postponed":
                        found.append(entry.get("cause", ""))
            return found

        yield causes


def _studies(client: httpx.Client) -> list[dict[str, Any]]:
    page: dict[str, Any] = client.get("/v1/studies", params={"limit": 1000}).raise_for_status().json()
    return list(page["studies"])


def _succeeded(client: httpx.Client) -> int:
    return sum(one["state"] == "succeeded" for one in _studies(client))


def _delivering(client: httpx.Client) -> int:
    return sum(one["state"] == "running" and one["step"] in ("deliver", "confirm") for one in _studies(client))


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("what was waited for did not come")
        time.sleep(0.05)


def main(
    studies: Annotated[int, typer.Option(min=2)] = 8,
    seconds: Annotated[float, typer.Option(min=1.0, help="How long the PACS is away, at least.")] = 60.0,
    out: Annotated[Path | None, typer.Option(help="File for the numbers as JSON.")] = None,
) -> None:
    """Stop Orthanc while studies are delivered to it, by DIMSE and by DICOMweb; fails where it lacks something."""
    outages = []
    print(f"| {HEAD} |\n|{'---|' * (HEAD.count('|') + 1)}")
    with tempfile.TemporaryDirectory(prefix="entrust-outage-") as name, triton_apart() as triton_url:
        folder = Path(name)
        sent = copies(write_small_archive(folder / "sent"), studies)
        for way in get_args(Way):
            outages.append(measure(way, folder / way, sent, seconds, triton_url=triton_url))
            print(outages[-1].row(), flush=True)
    print(f"\n{describe_machine()}")
    if out is not None:
        found = {"machine": describe_machine(), "outages": [asdict(one) for one in outages]}
        out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    sys.exit(not all(one.passed for one in outages))


if __name__ == "__main__":
    typer.run(main)
