"""Real gateways race for a worklist, one is killed again and again: each workitem ends once, with the same results."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.orthanc.server import Orthanc
from loadtests.service import ForkedGateway, SupervisedGateway, running_service
from loadtests.studies import write_small_archive
from loadtests.study_kills import DATABASE, SETTINGS, await_moment, copies
from service.triton.embedded import EmbeddedTriton
from tests.factories.workitems import PROCEDURE, build_input, build_workitem, one
from tests.servers.orthanc import StartOrthanc
from tests.servers.task_manager import Item, RunningManager, item, text

AIMS = ("in infer", "behind infer", "in encode", "in deliver")
"""Where a study of the killed gateway stands at each kill: before, between and after what takes long."""
STUDIES = 6
DEADLINE_SECONDS = 1200.0


def settings(
    name: str, folder: Path, triton: EmbeddedTriton, manager: RunningManager, source: Orthanc, target: Orthanc
) -> dict[str, str]:
    own = {
        "TRITON__URL": triton.url,
        "ARCHIVE__FOLDER": str(folder / "archive"),
        "REST__PUBLIC_URL": "https://results.example",
        "PULL__SOURCES__PACS__KIND": "dicomweb",
        "PULL__SOURCES__PACS__URL": f"{source.url}/dicom-web",
        "DELIVERY__TARGETS__VIEWER__KIND": "stow",
        "DELIVERY__TARGETS__VIEWER__URL": f"{target.url}/dicom-web",
        "DELIVERY__TARGETS__VIEWER__CONFIRMATION": "read-back",
        "DELIVERY__TARGETS__VIEWER__REST_SECONDS": "1",
        "DELIVERY__RETRY_SECONDS": "1",
        "WORKLIST__URL": manager.url,
        "WORKLIST__PROCEDURES": f"{'^'.join(PROCEDURE)}=oncology",
        "WORKLIST__SOURCE": "pacs",
        "WORKLIST__AE_TITLE": name,
        "WORKLIST__POLL_SECONDS": "0.2",
        "WORKLIST__RETRY_SECONDS": "0.2",
    }
    return SETTINGS | {f"ENTRUST_{key}": value for key, value in own.items()}


def schedule(manager: RunningManager, studies: Iterable[str]) -> dict[str, Item]:
    """Schedule a workitem for each study, and return it by the study."""
    found = {}
    for study in studies:
        attributes = build_workitem(build_input(study), t00100020=one("LO", "NEW-ID"))
        manager.manager.add(attributes)
        found[study] = manager.manager.items[text(attributes, "00080018")]
    return found


async def ended(orders: Iterable[Item]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while any(order.state not in ("COMPLETED", "CANCELED") for order in orders):
            await asyncio.sleep(0.1)


def listed(order: Item) -> frozenset[str]:
    """Return the instances that a workitem says were made."""
    outputs = item(order.attributes, "00741216")["00404033"]["Value"]
    return frozenset(text(one, "00081155") for output in outputs for one in output["00081199"]["Value"])


def runs(gateway: SupervisedGateway) -> dict[str, Any]:
    """Return how often a gateway has begun each of its studies."""
    page = httpx.get(f"{gateway.url}/v1/studies", timeout=60.0, trust_env=False).json()
    return {one["study"]: one["run"] for one in page["studies"]}


def instances(orthanc: Orthanc) -> Counter[str]:
    return Counter(one["MainDicomTags"]["SOPInstanceUID"] for one in orthanc.get("/instances?expand"))


@pytest.mark.timeout(3600)
async def test_each_workitem_ends_once_whoever_is_killed(
    triton: EmbeddedTriton, start_orthanc: StartOrthanc, task_manager: RunningManager, tmp_path: Path
) -> None:
    with contextlib.ExitStack() as stack:

        async def opened(context: Any) -> Any:
            return await asyncio.to_thread(stack.enter_context, context)

        source, quiet_target, target = [await opened(start_orthanc()) for _ in range(3)]
        studies = []
        for study in copies(write_small_archive(tmp_path / "sent"), STUDIES):
            for content in study.values():
                said = await asyncio.to_thread(source.post, "/instances", content)
            studies.append(source.get(f"/studies/{said['ParentStudy']}")["MainDicomTags"]["StudyInstanceUID"])

        def known(name: str, into: Orthanc) -> tuple[Path, dict[str, str]]:
            folder = tmp_path / name
            return folder, settings(name, folder, triton, task_manager, source, into)

        undisturbed = schedule(task_manager, studies)
        context = running_service(*known("QUIET", quiet_target), kind=ForkedGateway)
        await asyncio.to_thread(context.__enter__)
        await ended(undisturbed.values())
        await asyncio.to_thread(context.__exit__, None, None, None)
        expected = {study: listed(order) for study, order in undisturbed.items()}

        orders = schedule(task_manager, studies)
        killed = await opened(running_service(*known("ONE", target), kind=ForkedGateway))
        other = await opened(running_service(*known("TWO", target), kind=ForkedGateway))
        for aim in AIMS:
            await asyncio.to_thread(await_moment, tmp_path / "ONE" / "archive" / DATABASE, aim)
            await asyncio.to_thread(killed.kill)
        await ended(orders.values())

        for study, order in orders.items():
            assert order.state == "COMPLETED", item(order.attributes, "00741002")
            changes = [line.split()[0] for line in order.history if not line.startswith("update")]
            assert changes == ["IN", "COMPLETED"], order.history
            assert listed(order) == expected[study]
        await asyncio.to_thread(killed.wait_ready)
        done = [await asyncio.to_thread(runs, gateway) for gateway in (killed, other)]
        assert sorted([*done[0], *done[1]]) == sorted(studies), "each was performed by one of them"
        assert {run for found in done for run in found.values()} == {1}
        assert done[0], "the killed one has performed some"
        assert await asyncio.to_thread(instances, target) == Counter(uid for uids in expected.values() for uid in uids)
