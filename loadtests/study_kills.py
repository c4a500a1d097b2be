"""Kill -9 of a gateway over studies from a PACS: ``python -m loadtests.study_kills``.

A sender stores studies by STOW-RS and repeats what was not answered, as a PACS does; meanwhile the gateway is killed at
random moments, some of them in its start. In the end every study that was acknowledged must have succeeded, once, with
the instances that a gateway makes that nobody kills.
"""

import contextlib
import io
import itertools
import json
import math
import random
import sqlite3
import tempfile
import time
import uuid
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import httpx
import pydicom
import typer

from loadtests.kills import triton_apart
from loadtests.machine import describe_machine
from loadtests.service import ForkedGateway, SupervisedGateway, running_service
from loadtests.studies import write_small_archive

BOUNDARY = "a5b8"
RELATED = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
DATABASE = "studies-1.sqlite"
SETTINGS = {
    "ENTRUST_STUDIES__NUM_HYPOTHESES": "1",
    "ENTRUST_STUDIES__NUM_STEPS": "1",
    "ENTRUST_STUDIES__QUIET_SECONDS": "1",
    "ENTRUST_STUDIES__MAX_INTERRUPTIONS": "1000",
    "ENTRUST_STUDIES__RETRY_SECONDS": "0.2",
    "ENTRUST_ARCHIVE__MAX_USED_RATIO": "1.0",
    "ENTRUST_ARCHIVE__MIN_FREE_BYTES": "0",
}
START_SECONDS = 5.0
"""Every fifth kill comes within this time after the start of the process, the others within the time that a study takes
without a kill after the gateway is ready."""
AIM_SECONDS = 60.0
"""How long a moment is waited for that may have passed unseen."""
GIVE_UP_SECONDS = 1800.0
_NAMES = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
app = typer.Typer(add_completion=False)


@dataclass
class KillReport:
    """What came of it.

    Attributes:
        studies: Studies that were acknowledged.
        kills: How often the gateway was killed.
        moments: Kills by where the studies then stood.
        lost: Studies that did not succeed, or lack a result.
        duplicated: Studies with more instances than they should have, or more than one run.
        different: Studies whose results have other UIDs than without a kill.
        seconds: From the first study to the last result.
        study_seconds: What a study takes without a kill, when others wait.
    """

    studies: int
    kills: int = 0
    moments: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    duplicated: int = 0
    different: int = 0
    seconds: float = 0.0
    study_seconds: float = 0.0


def copies(archive: Path, number: int) -> list[dict[str, bytes]]:
    """Return copies of a zipped study that differ in their UIDs: files by SOPInstanceUID."""
    with zipfile.ZipFile(archive) as packed:
        files = [packed.read(name) for name in sorted(packed.namelist()) if name.endswith(".dcm")]
    return [dict(_copy(content, str(i)) for content in files) for i in range(number)]


def measure(
    folder: Path,
    studies: list[dict[str, bytes]],
    kills: int,
    *,
    triton_url: str,
    seed: int = 0,
    aims: Sequence[str] = (),
    within_seconds: float = math.inf,
) -> KillReport:
    """Kill a gateway over studies, and look at what is left.

    Args:
        folder: For archives and logs.
        studies: What is sent.
        kills: How often.
        triton_url: Address of a Triton that lives on.
        seed: Of the moments.
        aims: Where a study should stand at each kill, as :func:`standing` says it; random moments when empty.
        within_seconds: Nothing is killed after this time.

    Raises:
        RuntimeError: Not even without a kill do all studies succeed.
    """
    report, moments = KillReport(len(studies)), random.Random(seed)  # noqa: S311  (no secret)
    expected, report.study_seconds = _results_without_a_kill(folder / "undisturbed", studies, triton_url)
    archive = folder / "killed" / "archive"
    with _running(folder / "killed", triton_url) as service, _client(service) as client:
        began, left = time.monotonic(), iter(studies)
        for number in range(kills):
            if time.monotonic() - began > within_seconds:
                break
            due = _sent(number + 1, studies, kills) - _sent(number, studies, kills)
            for study in itertools.islice(left, due):
                send(client, study)
            if aims:
                await_moment(archive / DATABASE, aims[number % len(aims)])
            elif number % 5 == 4:
                time.sleep(moments.uniform(0.0, START_SECONDS))
            else:
                service.wait_ready()
                time.sleep(moments.uniform(0.0, report.study_seconds))
            report.kills += 1
            service.kill(lambda: report.moments.update(standing(archive / DATABASE)))
        for study in left:
            send(client, study)
        found = finished(client, len(studies))
        report.seconds = time.monotonic() - began
        for study_uid, uids in expected.items():
            record, kept = found.get(study_uid, {}), _instances(client, study_uid)
            results = set(record.get("results", ()))
            report.lost += record.get("state") != "succeeded" or not results <= kept.keys() or len(results) != len(uids)
            whole = len(studies[0]) + len(uids)
            report.duplicated += record.get("run", 1) != 1 or kept.total() > whole
            report.different += results != uids
    return report


def standing(database: Path) -> list[str]:
    """Return where the studies stand that are being worked on: within a step, or behind one.

    A step that was begun and is not in the database of finished steps was interrupted.
    """
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30.0)) as connection:
        try:
            rows = connection.execute("SELECT name, run, step FROM entrust_studies WHERE state = 'running'").fetchall()
            found = []
            for name, run, step in rows:
                done = connection.execute(
                    "SELECT 1 FROM operation_outputs WHERE workflow_uuid = ? AND function_name = ?",
                    (f"{name}-{run}", step),
                ).fetchone()
                found.append(f"behind {step}" if done else f"in {step}")
        except sqlite3.OperationalError:  # killed before there were tables
            found = []
    return found or ["no study in work"]


def await_moment(database: Path, wanted: str) -> None:
    """Return when a study stands where it is wanted, or after a while."""
    deadline = time.monotonic() + AIM_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(sqlite3.OperationalError):  # there is no database yet
            if wanted in standing(database):
                return
        time.sleep(0.001)


@contextlib.contextmanager
def _running(folder: Path, triton_url: str) -> Iterator[SupervisedGateway]:
    more = {"ENTRUST_TRITON__URL": triton_url, "ENTRUST_ARCHIVE__FOLDER": str(folder / "archive")}
    with running_service(folder, SETTINGS | more, kind=ForkedGateway) as service:
        yield service


def _client(service: SupervisedGateway) -> httpx.Client:
    return httpx.Client(base_url=service.url, timeout=30.0, trust_env=False)


def _results_without_a_kill(
    folder: Path, studies: list[dict[str, bytes]], triton_url: str
) -> tuple[Mapping[str, frozenset[str]], float]:
    with _running(folder, triton_url) as service, _client(service) as client:
        began = time.monotonic()
        for study in studies:
            send(client, study)
        found = finished(client, len(studies))
        study_seconds = (time.monotonic() - began) / len(studies)
    if sum(record["state"] == "succeeded" for record in found.values()) != len(studies):
        raise RuntimeError("studies fail although nothing is killed")
    return {study_uid: frozenset(record["results"]) for study_uid, record in found.items()}, study_seconds


def send(client: httpx.Client, study: dict[str, bytes]) -> None:
    """Store a study, again and again until it is acknowledged.

    Raises:
        RuntimeError: It is not.
    """
    head = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    body = b"".join(head + content + b"\r\n" for content in study.values()) + f"--{BOUNDARY}--\r\n".encode()
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            answer = client.post("/dicom-web/studies", content=body, headers={"Content-Type": RELATED})
            if answer.status_code == httpx.codes.OK:
                return
        time.sleep(0.1)
    raise RuntimeError("a study was not taken")


def finished(client: httpx.Client, number: int) -> dict[str, dict[str, Any]]:
    """Wait until so many studies have ended, and return all by their UID."""
    deadline, page = time.monotonic() + GIVE_UP_SECONDS, {}
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError, KeyError):
            page = client.get("/v1/studies", params={"limit": 1000}).json()
            if sum(one["state"] in ("succeeded", "failed", "cancelled") for one in page["studies"]) >= number:
                break
        time.sleep(0.2)
    return {one["study"]: one for one in page.get("studies", ())}


def _instances(client: httpx.Client, study_uid: str) -> Counter[str]:
    answer = client.get(f"/dicom-web/studies/{study_uid}/instances")
    return Counter(one["00080018"]["Value"][0] for one in answer.json())


def _sent(number: int, studies: list[dict[str, bytes]], kills: int) -> int:
    return -(-len(studies) * number // kills)


def _copy(content: bytes, salt: str) -> tuple[str, bytes]:
    ds = pydicom.dcmread(io.BytesIO(content))
    for name in _NAMES:
        uid = uuid.uuid5(uuid.NAMESPACE_OID, f"{salt}/{ds[name].value}")
        setattr(ds, name, f"2.25.{uid.int}")
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return str(ds.SOPInstanceUID), out.getvalue()


@app.command()
def main(
    studies: Annotated[int, typer.Option(min=1)] = 50,
    kills: Annotated[int, typer.Option(min=1)] = 200,
    seed: Annotated[int, typer.Option(help="Of the moments.")] = 0,
    minutes: Annotated[float, typer.Option(help="Nothing is killed after this time.")] = math.inf,
    out: Annotated[Path | None, typer.Option(help="File for the numbers as JSON.")] = None,
) -> None:
    """Kill a gateway over studies, and print what is left as Markdown; fails where a study is lost or doubled."""
    machine = describe_machine()
    with tempfile.TemporaryDirectory() as place, triton_apart() as triton_url:
        folder = Path(place)
        sent = copies(write_small_archive(folder / "sent"), studies)
        report = measure(folder, sent, kills, triton_url=triton_url, seed=seed, within_seconds=60.0 * minutes)
    print(f"| studies | kills | lost | duplicated | other UIDs | duration |\n|{'---|' * 6}")
    duration = f"{report.seconds / 60:.0f} min"
    numbers = (report.studies, report.kills, report.lost, report.duplicated, report.different, duration)
    print(f"| {' | '.join(map(str, numbers))} |\n\n| where studies stood | kills |\n|---|---|")
    for moment, count in report.moments.most_common():
        print(f"| {moment} | {count} |")
    print(f"\n{machine}")
    if out is not None:
        out.write_text(
            json.dumps({"machine": machine} | asdict(report) | {"moments": report.moments}, indent=1) + "\n",
            encoding="utf-8",
        )
    raise typer.Exit(int(bool(report.lost or report.duplicated or report.different)))


if __name__ == "__main__":
    app()
