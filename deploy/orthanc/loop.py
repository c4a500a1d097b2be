"""The loop with a PACS: storescu → Orthanc → gateway → results back in Orthanc, where QIDO-RS finds them."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import httpx
from pydicom.uid import Comprehensive3DSRStorage, ParametricMapStorage, SegmentationStorage

from deploy.orthanc.server import AE_TITLE, Orthanc, running_orthanc
from deploy.prometheus.server import ServerError, binary, free_port, running

Way = Literal["dimse", "dicomweb"]
"""By which protocol images come and results go."""
WANTED = {SegmentationStorage: 1, ParametricMapStorage: 2, Comprehensive3DSRStorage: 1}
"""Results that a study gets, by SOP class."""
Found = TypeVar("Found")
ROUTE = Path(__file__).with_name("route.lua")
QUIET_SECONDS = 2
ENDS = ("succeeded", "failed", "cancelled", "ignored")
ARRIVAL_SECONDS, READY_SECONDS, SEGMENTATION_SECONDS, DELIVERY_SECONDS = 180.0, 180.0, 1800.0, 300.0


@dataclass(frozen=True)
class Site:
    """A PACS and a gateway that know each other.

    Attributes:
        orthanc: The PACS.
        gateway: URL of the gateway.
    """

    orthanc: Orthanc
    gateway: str


@contextmanager
def open_site(way: Way, folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Site]:
    """Run both until the end of the block.

    Args:
        way: How they talk to each other.
        folder: Where everything goes.
        settings: Further settings of the gateway.

    Raises:
        ServerError: One does not start.
    """
    port, scp_port, pacs_port, pacs_dicom_port = (free_port() for _ in range(4))
    gateway = f"http://127.0.0.1:{port}"
    target = "ENTRUST_DELIVERY__TARGETS__PACS__"
    delivery = {
        "dimse": {"KIND": "dimse", "HOST": "127.0.0.1", "PORT": str(pacs_dicom_port), "AE_TITLE": AE_TITLE,
                  "CONFIRMATION": "commitment"},
        "dicomweb": {"KIND": "stow", "URL": f"http://127.0.0.1:{pacs_port}/dicom-web", "CONFIRMATION": "read-back"},
    }[way]  # fmt: skip
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ENTRUST_")} | {
        "ENTRUST_REST__PORT": str(port),
        "ENTRUST_RPC__ENABLED": "false",
        "ENTRUST_JOBS__WORK_FOLDER": str(folder / "work"),
        "ENTRUST_ARCHIVE__FOLDER": str(folder / "archive"),
        "ENTRUST_ARCHIVE__MAX_USED_RATIO": "1",
        "ENTRUST_ARCHIVE__MIN_FREE_BYTES": "0",
        "ENTRUST_STUDIES__QUIET_SECONDS": str(5 * QUIET_SECONDS),  # series come one after the other
        "ENTRUST_DIMSE__ENABLED": "true",
        "ENTRUST_DIMSE__PORT": str(scp_port),
        **{target + name: value for name, value in delivery.items()},
        **(settings or {}),
    }
    route = folder / "route.lua"
    route.write_text(f"ROUTE = '{way}'\n{ROUTE.read_text(encoding='utf-8')}", encoding="utf-8")
    known = {"StableAge": QUIET_SECONDS, "UserMetadata": {"entrust-sent": 1024}, "LuaScripts": [str(route)]}
    command = [sys.executable, "-m", "service", "serve"]
    log = folder / "gateway.log"
    with (
        running(command, f"{gateway}/health/ready", log, READY_SECONDS, environment=environment),
        running_orthanc(
            folder, scp_port=scp_port, dicomweb_url=f"{gateway}/dicom-web", ports=(pacs_port, pacs_dicom_port),
            settings=known,
        ) as orthanc,
    ):  # fmt: skip
        yield Site(orthanc, gateway)


def run_loop(site: Site, images: Path) -> Counter[str]:
    """Send a study to the PACS, and return the SOP classes of what QIDO-RS finds there in the end beside the images.

    Args:
        site: The PACS and the gateway.
        images: Folder with the DICOM files of one study.

    Raises:
        ServerError: A step failed, or did not come to an end in time.
    """
    sent = sum(path.is_file() for path in images.rglob("*"))
    _command([binary("storescu"), "+sd", "+r", "-aet", "SCANNER", "-aec", AE_TITLE, "127.0.0.1",
              str(site.orthanc.dicom_port), str(images)], os.environ | {"TCP_NODELAY": "1"})  # fmt: skip
    study_uid = _wait("the study to arrive at the gateway", ARRIVAL_SECONDS, lambda: _arrived(site, sent))
    study = _wait("the study to end at the gateway", SEGMENTATION_SECONDS, lambda: _ended(site, study_uid))
    if study["state"] != "succeeded":
        raise ServerError(f"The study is {study['state']}: {study['problem'] or study['reason']}")
    return _wait("the results to be found in the PACS", DELIVERY_SECONDS, lambda: _found(site, study_uid))


def _arrived(site: Site, sent: int) -> str:
    """Return the study's UID once the gateway holds all of it."""
    for study in _qido(f"{site.gateway}/dicom-web/studies", {}):
        if study["00201208"]["Value"][0] == sent:
            return str(study["0020000D"]["Value"][0])
    return ""


def _ended(site: Site, study_uid: str) -> dict[str, Any]:
    """Return what the gateway says of the study once it has ended; nothing before."""
    answer = httpx.get(f"{site.gateway}/v1/studies/{study_uid}", timeout=60.0, trust_env=False)
    study = answer.json() if answer.status_code == httpx.codes.OK else {}
    return study if study.get("state") in ENDS else {}


def _found(site: Site, study_uid: str) -> Counter[str]:
    """Return the results that the PACS has of a study; nothing while some are missing."""
    url = f"{site.orthanc.url}/dicom-web/studies/{study_uid}/instances"
    classes = Counter(str(one["00080016"]["Value"][0]) for one in _qido(url, {"includefield": "00080016"}))
    results = Counter({uid: count for uid, count in classes.items() if uid in WANTED})
    return results if results == Counter(WANTED) else Counter()


def _qido(url: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
    answer = httpx.get(url, params=query, headers={"Accept": "application/dicom+json"}, timeout=60.0, trust_env=False)
    return answer.raise_for_status().json() if answer.content else []


def _wait(what: str, seconds: float, look: Callable[[], Found]) -> Found:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise ServerError(f"Waited {seconds:.0f} seconds for {what}.")
        time.sleep(0.2)
    return found


def _command(command: list[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise ServerError(f"{Path(command[0]).name}: {(done.stdout + done.stderr)[-2000:]}")
    sys.stdout.write(done.stdout)
