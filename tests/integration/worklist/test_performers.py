"""Performers in processes of their own, a strict task manager over HTTP, and a real PACS that has the images."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom.uid import generate_uid

from deploy.orthanc.server import Orthanc
from deploy.prometheus.server import free_port
from service.observability.metrics import Metrics
from service.settings import Settings
from service.worklist.claims import Claim, Claims
from tests.factories.dicomweb import part10, small_series
from tests.factories.workitems import PROCEDURE, build_input, build_workitem, code, one, sequence
from tests.servers.orthanc import StartOrthanc
from tests.servers.performer_process import (
    PerformerProcess,
    performer_settings,
    performing,
    read_diary,
    running_performer,
)
from tests.servers.task_manager import Item, RunningManager, item, running_manager, text

DEADLINE_SECONDS = 240.0


@pytest.fixture(scope="module")
async def orthanc(start_orthanc: StartOrthanc) -> AsyncIterator[Orthanc]:
    with contextlib.ExitStack() as stack:
        yield await asyncio.to_thread(stack.enter_context, start_orthanc())


class Hospital:
    """A PACS, a task manager, and performers that know both."""

    def __init__(self, orthanc: Orthanc, running: RunningManager, folder: Path) -> None:
        self.orthanc, self.running, self.manager, self.folder = orthanc, running, running.manager, folder
        self.processes, self.performers = contextlib.ExitStack(), contextlib.AsyncExitStack()

    async def study(self, slices: int = 2) -> str:
        study = generate_uid()
        for ds in small_series(slices, study_uid=study):
            await asyncio.to_thread(self.orthanc.post, "/instances", part10(ds))
        return study

    def input(self, study: str) -> dict[str, Any]:
        return build_input(study, url=f"{self.orthanc.url}/dicom-web/studies/{study}")

    async def order(self, **changes: Any) -> Item:
        """Schedule a workitem for a study of the PACS."""
        attributes = build_workitem(self.input(await self.study()), **changes)
        uid = text(attributes, "00080018")
        self.manager.add(attributes)
        await self.manager.tell(uid, 1)
        return self.manager.items[uid]

    async def perform(self, seconds: float = 0.0, **worklist: Any) -> Metrics:
        """Perform in this process, until :meth:`close`."""
        settings = Settings.model_validate(self.settings("one", worklist))
        return await self.performers.enter_async_context(performing(settings, self.folder / "diary", seconds))

    async def start(self, name: str = "one", seconds: float = 0.0, **worklist: Any) -> PerformerProcess:
        """Perform in a process of its own."""
        performer = running_performer(self.folder / name, self.folder / "diary", seconds, self.settings(name, worklist))
        return await asyncio.to_thread(self.processes.enter_context, performer)

    def settings(self, name: str, worklist: dict[str, Any]) -> dict[str, Any]:
        known = {
            "url": self.running.url, "procedures": f"{'^'.join(PROCEDURE)}=oncology", "ae_title": name.upper(),
            "poll_seconds": 0.2, "retry_seconds": 0.2, "source": "pacs",
        }  # fmt: skip
        return performer_settings(
            self.folder / name,
            rest={"public_url": "https://results.example"},
            pull={"sources": {"pacs": {"kind": "dicomweb", "url": f"{self.orthanc.url}/dicom-web"}}},
            worklist=known | worklist,
        )

    def entries(self, kind: str) -> list[dict[str, Any]]:
        """Return what performers wrote of beginnings (``began``) or ends (``ended``)."""
        return [entry for entry in read_diary(self.folder / "diary") if kind in entry]

    def claims(self) -> list[Path]:
        return list((self.folder / "one" / "archive" / "claims").glob("*.json"))

    async def close(self) -> None:
        await self.performers.aclose()
        await asyncio.to_thread(self.processes.close)


@pytest.fixture
async def hospital(orthanc: Orthanc, task_manager: RunningManager, tmp_path: Path) -> AsyncIterator[Hospital]:
    here = Hospital(orthanc, task_manager, tmp_path)
    try:
        yield here
    finally:
        await here.close()


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that happens on any machine, sooner or later."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():
            await asyncio.sleep(0.02)


async def test_two_performers_race_and_each_workitem_is_done_once(hospital: Hospital) -> None:
    study = await hospital.study()
    first, second = await asyncio.gather(
        hospital.start("one", 1.0, concurrency=3), hospital.start("two", 1.0, concurrency=3)
    )
    await until(lambda: {"ONE", "TWO"} <= hospital.manager.channels.keys())
    for _ in range(20):
        hospital.manager.add(build_workitem(hospital.input(study)))
    items = hospital.manager.items
    await hospital.manager.tell(next(iter(items)), 1)
    await until(lambda: all(one.state in ("COMPLETED", "CANCELED") for one in items.values()))
    assert [one.state for one in items.values()] == ["COMPLETED"] * 20
    for each in items.values():
        assert len([line for line in each.history if line.startswith("IN PROGRESS")]) == 1, each.history
    done = [entry["process"] for entry in hospital.entries("ended")]
    assert len(done) == 20
    assert set(done) == {first.process.pid, second.process.pid}


async def test_to_come_second_is_no_error(hospital: Hospital) -> None:
    order, other = await hospital.order(), await hospital.order()
    hospital.manager.thief = text(order.attributes, "00080018")
    metrics = await hospital.perform()
    await until(lambda: other.state == "COMPLETED")
    assert (order.state, order.transaction_uid) == ("IN PROGRESS", "2.25.1")
    assert "409 The Transaction UID is incorrect" in hospital.manager.refused
    assert metrics.registry.get_sample_value("entrust_workitems_total", {"outcome": "lost"}) == 1
    assert len(hospital.entries("began")) == 1
    await until(lambda: not hospital.claims())


async def test_every_result_is_listed_before_the_end(hospital: Hospital) -> None:
    order = await hospital.order()
    await hospital.perform()
    await until(lambda: order.state == "COMPLETED")
    step = item(order.attributes, "00741216")
    assert text(item(step, "00404028"), "00080100") == "ENTRUST"
    assert text(item(step, "00404019"), "00080100") == PROCEDURE[0]
    assert text(step, "00404050") <= text(step, "00404051")
    output = item(step, "00404033")
    study = text(item(order.attributes, "00404021"), "0020000D")
    assert text(output, "0020000D") == study
    assert text(item(output, "00081199"), "00081155")
    where = text(item(output, "0040E025"), "00081190")
    assert where == f"https://results.example/dicom-web/studies/{study}/series/{text(output, '0020000E')}"
    assert [line.split()[0] for line in order.history][-2:] == ["update", "COMPLETED"]


async def test_workitems_for_others_are_left_alone(hospital: Hospital) -> None:
    other = [
        await hospital.order(t00404025=sequence(code("OTHER", "99HOSPITAL"))),
        await hospital.order(t00404041=one("CS", "UNAVAILABLE")),
        await hospital.order(t00404018=sequence(code("CAC", "99HOSPITAL"))),
        await hospital.order(t00404021=sequence(build_input(generate_uid(), url="http://127.0.0.1:1/studies/1"))),
    ]
    mine = await hospital.order()
    await hospital.perform()
    await until(lambda: mine.state == "COMPLETED")
    assert [(one.state, one.history) for one in other] == [("SCHEDULED", [])] * 4


async def test_a_workitem_that_becomes_ready_is_done_then(hospital: Hospital) -> None:
    order = await hospital.order(t00404041=one("CS", "INCOMPLETE"))
    await hospital.perform(poll_seconds=3600)
    order.attributes["00404041"] = one("CS", "READY")
    await until(lambda: "ONE" in hospital.manager.channels)
    await hospital.manager.tell(text(order.attributes, "00080018"), 1)
    await until(lambda: order.state == "COMPLETED")  # by the event: the next search is an hour away


async def test_lost_events_are_made_good_by_searching(hospital: Hospital) -> None:
    hospital.manager.silent = True
    await hospital.perform()
    order = await hospital.order()
    await until(lambda: order.state == "COMPLETED")


async def test_the_urgent_goes_first(hospital: Hospital) -> None:
    late = [await hospital.order(t00741200=one("CS", "LOW")) for _ in range(2)]
    stat = await hospital.order(t00741200=one("CS", "HIGH"))
    await hospital.perform()
    await until(lambda: all(one.state == "COMPLETED" for one in (*late, stat)))
    began = hospital.entries("began")
    assert began[0]["began"] == text(item(stat.attributes, "00404021"), "0020000D")
    assert [entry["priority"] for entry in began] == ["stat", "routine", "routine"]


async def test_input_that_is_not_there_cancels_with_a_reason(hospital: Hospital) -> None:
    attributes = build_workitem(hospital.input(generate_uid()))
    hospital.manager.add(attributes)
    order = hospital.manager.items[text(attributes, "00080018")]
    await hospital.perform()
    await until(lambda: order.state == "CANCELED")
    told = item(order.attributes, "00741002")
    assert text(told, "00741238") == "The source has no such study."
    assert text(item(told, "0074100E"), "00080100") == "110523"


async def test_a_cancellation_that_is_asked_for_ends_the_work(hospital: Hospital) -> None:
    order = await hospital.order()
    await hospital.perform(seconds=3600)
    await until(lambda: hospital.entries("began") and "ONE" in hospital.manager.channels)
    async with httpx.AsyncClient(trust_env=False) as client:
        address = f"{hospital.running.url}/workitems/{text(order.attributes, '00080018')}/cancelrequest"
        assert (await client.post(address, json=[{}])).status_code == 202
    await until(lambda: order.state == "CANCELED")
    assert text(item(order.attributes, "00741002"), "00404052")


async def test_a_manager_that_is_away_is_waited_for(hospital: Hospital) -> None:
    """It is away when the work ends, for some attempts: the end is told when it is back."""
    order = await hospital.order()
    await hospital.perform(seconds=0.5)
    await until(lambda: hospital.entries("began"))
    hospital.manager.away = True
    await until(lambda: hospital.entries("ended"))
    await asyncio.sleep(1.0)  # some attempts fail meanwhile
    assert order.state == "IN PROGRESS"
    hospital.manager.away = False
    await until(lambda: order.state == "COMPLETED")


async def test_a_manager_that_is_not_there_yet_is_waited_for(orthanc: Orthanc, tmp_path: Path) -> None:
    port = free_port()
    async with running_manager() as elsewhere:
        here = Hospital(orthanc, elsewhere, tmp_path)
        order = await here.order()
    here.running = RunningManager(elsewhere.manager, f"http://127.0.0.1:{port}")
    await here.perform()
    await asyncio.sleep(0.5)
    async with running_manager(elsewhere.manager, port):
        await until(lambda: order.state == "COMPLETED")
        await here.close()


async def test_a_performer_that_is_killed_goes_on_when_it_is_back(hospital: Hospital) -> None:
    order = await hospital.order()
    performer = await hospital.start(seconds=3600)
    await until(lambda: hospital.entries("began"))
    performer.kill()
    assert order.state == "IN PROGRESS"
    key = order.transaction_uid
    await hospital.perform()
    await until(lambda: order.state == "COMPLETED")
    assert order.transaction_uid == key
    assert len([line for line in order.history if line.startswith("IN PROGRESS")]) == 1
    assert len(hospital.entries("began")) == 2
    await until(lambda: not hospital.claims())


async def test_a_workitem_that_kills_its_performer_is_given_up(hospital: Hospital) -> None:
    order = await hospital.order()
    for _ in range(2):
        before = order.history.count("update 20")
        performer = await hospital.start(seconds=3600, max_attempts=2)
        await until(lambda before=before: order.history.count("update 20") > before)  # type: ignore[misc]
        performer.kill()
    await hospital.perform(max_attempts=2)
    await until(lambda: order.state == "CANCELED")
    assert "2 times" in text(item(order.attributes, "00741002"), "00741238")


async def test_a_claim_that_never_arrived_is_made_with_the_same_key(hospital: Hospital) -> None:
    """Killed between writing the claim down and making it."""
    order = await hospital.order()
    claims = Claims(hospital.folder / "claims")
    claims.keep(Claim(text(order.attributes, "00080018"), "2.25.77"))
    claims.close()
    await hospital.perform(folder=str(hospital.folder / "claims"))
    await until(lambda: order.state == "COMPLETED")
    assert order.transaction_uid == "2.25.77"


async def test_a_workitem_that_was_given_to_another_meanwhile_is_let_go(hospital: Hospital) -> None:
    order = await hospital.order()
    performer = await hospital.start(seconds=3600)
    await until(lambda: hospital.entries("began"))
    performer.kill()
    order.transaction_uid = "2.25.1"  # the manager's operator reset it, and another one claimed it
    await hospital.perform()
    other = await hospital.order()
    await until(lambda: other.state == "COMPLETED")
    assert order.state == "IN PROGRESS"
    await until(lambda: not hospital.claims())


async def test_a_worklist_longer_than_a_page_is_searched_to_its_end(hospital: Hospital) -> None:
    hospital.manager.page = 100
    for _ in range(120):
        hospital.manager.add(build_workitem(t00404041=one("CS", "UNAVAILABLE")))
    order = await hospital.order()
    await hospital.perform()
    await until(lambda: order.state == "COMPLETED")
