"""A whole gateway performs a workitem: images of a real PACS, a real segmentation, results that can be found."""

import asyncio
import contextlib
import io
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage, SecondaryCaptureImageStorage, generate_uid

from deploy.orthanc.server import Orthanc
from deploy.prometheus.server import free_port
from tests.factories.deliveries import stow
from tests.factories.dicomweb import small_series
from tests.factories.studies import dicom_bytes, dicom_datasets
from tests.factories.workitems import PROCEDURE, build_input, build_workitem, one, sequence
from tests.integration.studies.conftest import QUICK, until
from tests.servers.gateway import RunningGateway, StartGateway
from tests.servers.orthanc import StartOrthanc
from tests.servers.task_manager import Item, RunningManager, item, text

ROOT = "https://results.example/dicom-web"
MakeSettings = Callable[..., dict[str, Any]]
GRUEN = {"vr": "PN", "Value": [{"Alphabetic": "Grün^Ada"}]}
DEADLINE_SECONDS = 1200.0
pytestmark = pytest.mark.timeout(2400)


@pytest.fixture
async def orthanc(start_orthanc: StartOrthanc) -> AsyncIterator[Orthanc]:
    with contextlib.ExitStack() as stack:
        yield await asyncio.to_thread(stack.enter_context, start_orthanc(scp_port=free_port()))  # it knows us


@pytest.fixture
def settings(orthanc: Orthanc, task_manager: RunningManager, tmp_path: Path) -> MakeSettings:
    """Settings of a gateway that performs workitems, and whose rules would begin a study within a second."""

    def make(**studies: Any) -> dict[str, Any]:
        pacs = {"kind": "dimse", "host": "127.0.0.1", "port": orthanc.dicom_port, "ae_title": "PACS"}
        return {
            "archive": {"folder": tmp_path / "archive", "max_used_ratio": 1.0, "min_free_bytes": 0},
            "studies": {"enabled": True} | QUICK | studies,
            "rest": {"public_url": ROOT.removesuffix("/dicom-web")},
            "pull": {"sources": {"pacs": pacs}},
            "worklist": {"url": task_manager.url, "procedures": f"{'^'.join(PROCEDURE)}=", "poll_seconds": 0.2,
                         "retry_seconds": 0.2},
        }  # fmt: skip

    return make


@pytest.fixture
async def gateway(start_gateway: StartGateway, settings: MakeSettings) -> AsyncIterator[RunningGateway]:
    async with start_gateway(**settings()) as client:
        yield client


async def fill(orthanc: Orthanc, slugs: tuple[str, ...] = ("ct", "pet", "t1")) -> list[Dataset]:
    datasets = dicom_datasets(slugs)
    for ds in datasets:
        await asyncio.to_thread(orthanc.post, "/instances", dicom_bytes(ds))
    return datasets


async def perform(manager: RunningManager, attributes: dict[str, Any]) -> Item:
    """Schedule a workitem, and wait for its end."""
    order = schedule(manager, attributes)
    await ended(order)
    return order


def schedule(manager: RunningManager, attributes: dict[str, Any]) -> Item:
    manager.manager.add(attributes)
    return manager.manager.items[text(attributes, "00080018")]


async def ended(*orders: Item) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while any(order.state not in ("COMPLETED", "CANCELED") for order in orders):
            await asyncio.sleep(0.05)


async def results(gateway: RunningGateway, order: Item) -> dict[str, Dataset]:
    """Fetch what a workitem lists, from where it says, by modality."""
    found = {}
    for output in item(order.attributes, "00741216")["00404033"]["Value"]:
        where = text(item(output, "0040E025"), "00081190").removeprefix(ROOT)
        for reference in output["00081199"]["Value"]:
            path = f"/dicom-web{where}/instances/{text(reference, '00081155')}"
            answer = await gateway.get(path, headers={"Accept": "application/dicom"})
            assert answer.status_code == 200, path
            ds = dcmread(io.BytesIO(answer.content))
            assert ds.SOPClassUID == text(reference, "00081150")
            found[f"{ds.Modality} {ds.SeriesNumber}"] = ds
    return found


async def test_a_workitem_becomes_results_that_say_what_it_says(
    gateway: RunningGateway, orthanc: Orthanc, task_manager: RunningManager, tmp_path: Path
) -> None:
    datasets = await fill(orthanc)
    study = datasets[0].StudyInstanceUID
    request = {
        "0020000D": one("UI", study), "00080050": one("SH", "ACC-7"), "00401001": one("SH", "RP-7"),
        "00321060": one("LO", "PET/CT of a limb"), "00321064": one("SQ"), "00081110": one("SQ"),
        "00402016": one("LO", "placer"), "00402017": one("LO"),
    }  # fmt: skip
    order = await perform(
        task_manager,
        build_workitem(
            build_input(study, ae_title="PACS"),
            t00100010=GRUEN,
            t00100020=one("LO", "NEW-ID"),
            t00100040=one("CS"),
            t0040A370=sequence(request),
        ),
    )
    assert order.state == "COMPLETED", item(order.attributes, "00741002")
    made = await results(gateway, order)
    assert {name.split()[0] for name in made} == {"SEG", "OT", "SR"} or len(made) == 4
    for ds in made.values():
        assert (str(ds.PatientName), ds.PatientID, ds.AccessionNumber) == ("Grün^Ada", "NEW-ID", "ACC-7")
        assert ds["PatientSex"].is_empty
        assert ds.StudyInstanceUID == study
        assert ds.get("PatientBirthDate", "") == datasets[0].get("PatientBirthDate", "")
        report = ds.SOPClassUID == Comprehensive3DSRStorage
        (asked,) = ds.ReferencedRequestSequence if report else ds.RequestAttributesSequence
        assert (asked.AccessionNumber, asked.RequestedProcedureID) == ("ACC-7", "RP-7")
    listed = {ds.SOPInstanceUID for ds in made.values()}
    found = (await gateway.get(f"/dicom-web/studies/{study}/instances")).json()
    kept = {text(one, "00080018") for one in found}
    assert kept == listed | {ds.SOPInstanceUID for ds in datasets}
    if shutil.which("dciodvfy"):
        for name, ds in made.items():
            path = tmp_path / f"{name}.dcm"
            ds.save_as(path, enforce_file_format=True)
            said = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False).stderr
            assert not [line for line in said.splitlines() if line.startswith("Error")], said


async def test_a_study_that_fits_no_task_is_cancelled_with_the_reason(
    gateway: RunningGateway, orthanc: Orthanc, task_manager: RunningManager
) -> None:
    study = generate_uid()
    for ds in small_series(2, study_uid=study, tags={"SOPClassUID": SecondaryCaptureImageStorage, "Modality": "OT"}):
        ds.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
        await asyncio.to_thread(orthanc.post, "/instances", dicom_bytes(ds))
    order = await perform(task_manager, build_workitem(build_input(study, ae_title="PACS")))
    told = item(order.attributes, "00741002")
    assert order.state == "CANCELED"
    assert text(told, "00741238") == "No task fits the study."
    assert text(item(told, "0074100E"), "00080100") == "110523"
    assert 'entrust_workitems_total{outcome="canceled"} 1.0' in (await gateway.get("/metrics")).text


async def test_a_study_of_a_workitem_is_segmented_once(
    gateway: RunningGateway, orthanc: Orthanc, task_manager: RunningManager
) -> None:
    """The rules would begin it, too: its images have come, and then there is silence."""
    study = (await fill(orthanc))[0].StudyInstanceUID
    order = await perform(task_manager, build_workitem(build_input(study, ae_title="PACS"), t00100010=GRUEN))
    assert order.state == "COMPLETED", item(order.attributes, "00741002")
    percents = [float(line.split()[1]) for line in order.history if line.startswith("update")]
    assert percents == sorted(percents)
    assert len(set(percents)) >= 4, "it is told how far the work is"
    for _ in range(6):
        await asyncio.sleep(0.5)
        found = await until(gateway, study, "succeeded")
        assert found["run"] == 1
    assert len(await results(gateway, order)) == 4
    async with asyncio.timeout(DEADLINE_SECONDS):  # it may just be told that the workitem has ended
        while (answer := await gateway.post(f"/v1/studies/{study}:restart")).status_code == 409:
            await asyncio.sleep(0.05)
    assert answer.json()["run"] == 2
    assert (await until(gateway, study, "succeeded", "failed"))["results"] == found["results"], "the same patient again"


async def test_a_workitem_is_completed_when_the_pacs_has_its_results(
    start_gateway: StartGateway, settings: MakeSettings, orthanc: Orthanc, task_manager: RunningManager
) -> None:
    """They name another patient than the images, and are no less in agreement with them."""
    study = (await fill(orthanc))[0].StudyInstanceUID
    delivery = {"targets": {"pacs": stow(orthanc)}, "retry_seconds": 0.2}
    async with start_gateway(**settings(), delivery=delivery) as client:
        order = schedule(
            task_manager,
            build_workitem(build_input(study, ae_title="PACS"), t00100010=GRUEN, t00100020=one("LO", "NEW-ID")),
        )
        await ended(order)
        assert order.state == "COMPLETED", item(order.attributes, "00741002")
        found = await until(client, study, "succeeded", "failed")
        assert found["targets"] == {"pacs": "confirmed"}
        listed = {ds.SOPInstanceUID for ds in (await results(client, order)).values()}
    there = {
        one["MainDicomTags"]["SOPInstanceUID"] for one in await asyncio.to_thread(orthanc.get, "/instances?expand")
    }
    assert listed < there


async def test_a_cancelled_workitem_cancels_its_study(
    start_gateway: StartGateway, settings: MakeSettings, orthanc: Orthanc, task_manager: RunningManager
) -> None:
    study = (await fill(orthanc, ("ct",)))[0].StudyInstanceUID
    async with start_gateway(**settings(num_steps=1000)) as client:
        order = schedule(task_manager, build_workitem(build_input(study, ae_title="PACS")))
        await until(client, study, "running")
        async with asyncio.timeout(DEADLINE_SECONDS):
            while "ENTRUST" not in task_manager.manager.channels:
                await asyncio.sleep(0.05)
        await task_manager.manager.tell(text(order.attributes, "00080018"), 2)
        await ended(order)
        assert order.state == "CANCELED"
        assert text(item(item(order.attributes, "00741002"), "0074100E"), "00080100") == "110513"
        assert (await until(client, study, "cancelled", "succeeded", "failed"))["state"] == "cancelled"


async def test_a_study_whose_workitem_was_taken_away_is_not_gone_on_with(
    start_gateway: StartGateway, settings: MakeSettings, orthanc: Orthanc, task_manager: RunningManager
) -> None:
    study = (await fill(orthanc, ("ct",)))[0].StudyInstanceUID
    endless = settings(num_steps=1000)
    async with start_gateway(**endless) as client:
        order = schedule(task_manager, build_workitem(build_input(study, ae_title="PACS")))
        await until(client, study, "running")
    assert order.state == "IN PROGRESS", "a stop leaves it to the next start"
    order.transaction_uid = "2.25.1"  # the manager's operator reset it, and another one claimed it
    async with start_gateway(**endless) as client:
        assert (await until(client, study, "cancelled"))["state"] == "cancelled"
    assert order.state == "IN PROGRESS"


async def test_workitems_of_one_study_are_done_one_after_the_other(
    start_gateway: StartGateway, settings: MakeSettings, orthanc: Orthanc, task_manager: RunningManager
) -> None:
    study = (await fill(orthanc, ("ct",)))[0].StudyInstanceUID
    asked = settings()
    asked["worklist"]["concurrency"] = 3
    names = ("A", "B", "B")
    orders = [
        schedule(task_manager, build_workitem(build_input(study, ae_title="PACS"), t00100020=one("LO", name)))
        for name in names
    ]
    async with start_gateway(**asked) as client:
        await ended(*orders)
        assert [order.state for order in orders] == ["COMPLETED"] * 3
        for order, name in zip(orders, names, strict=True):
            assert {ds.PatientID for ds in (await results(client, order)).values()} == {name}
        assert (await until(client, study, "succeeded"))["run"] == 3
