"""A study that arrives has its results in a real PACS in the end by itself, and what goes wrong is told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom.uid import Comprehensive3DSRStorage

from deploy.orthanc.server import Orthanc
from deploy.prometheus.server import free_port
from service.audit.journal import Position, read_lines
from tests.factories.audit_messages import codes, parse_message
from tests.factories.deliveries import dimse, stow
from tests.factories.studies import dicom_datasets
from tests.integration.studies.conftest import store, until
from tests.servers.gateway import RunningGateway, StartGateway
from tests.servers.line import OpenLine
from tests.servers.orthanc import StartOrthanc
from tests.servers.receivers import StoreScp

Settings = Callable[..., dict[str, Any]]
MODALITIES = ["OT", "OT", "SEG", "SR"]
"""Of the series of a set of results."""
HOPS = ["received", "queued", "selected", "inferred", "encoded", "delivered", "confirmed"]
SENT = ["begin-transferring", "instances-transferred", "instances-accessed"]
"""Events of a run that are more than hops."""
WITHOUT_REPORTS = "function ReceivedInstanceFilter(dicom, origin, info) return dicom['Modality'] ~= 'SR' end"
WITHOUT_MAPS = WITHOUT_REPORTS.replace("SR", "OT")
pytestmark = pytest.mark.timeout(1200)


@asynccontextmanager
async def opened(start_orthanc: StartOrthanc, **known: Any) -> AsyncIterator[Orthanc]:
    """Run a PACS without holding up the gateway."""
    server = start_orthanc(**known)
    orthanc = await asyncio.to_thread(server.__enter__)
    try:
        yield orthanc
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


def sent_to(pacs: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return settings of a gateway with one receiver that it does not leave alone for long."""
    return {"targets": {"pacs": pacs}, "retry_seconds": 0.2} | more


def modalities(orthanc: Orthanc) -> list[str]:
    return sorted(one["MainDicomTags"]["Modality"] for one in orthanc.get("/series?expand"))


async def deliveries(client: RunningGateway, **labels: str) -> float:
    """Return how many attempts at delivery the gateway counts."""
    wanted = {f'{name}="{value}"' for name, value in labels.items()}
    lines = (await client.get("/metrics")).text.splitlines()
    found = [line for line in lines if line.startswith("entrust_delivery_attempts_total{")]
    return sum(float(line.split()[-1]) for line in found if all(one in line for one in wanted))


@pytest.mark.parametrize("target", [stow, dimse])
async def test_results_of_a_study_that_is_stored_are_in_the_pacs_and_confirmed(
    target: Any, start_gateway: StartGateway, start_orthanc: StartOrthanc, settings: Settings, tmp_path: Path
) -> None:
    port, datasets = free_port(), dicom_datasets()
    asked = settings() | {"audit": {"folder": tmp_path / "trail"}}
    async with opened(start_orthanc, scp_port=port) as orthanc:
        pacs = target(orthanc, **({"confirmation": "commitment"} if target is dimse else {}))
        async with start_gateway(**asked, dimse={"enabled": True, "port": port}, delivery=sent_to(pacs)) as client:
            study = await store(client, datasets)
            found = await until(client, study, "succeeded", "failed")
            assert found["state"] == "succeeded", found
            assert found["targets"] == {"pacs": "confirmed"}
            assert await deliveries(client, stage="confirm", outcome="done") == 1
        assert await asyncio.to_thread(modalities, orthanc) == MODALITIES
    commitments = asked["archive"]["folder"] / "commitments"
    assert not list(commitments.iterdir()), "a request is forgotten when it was answered"
    told = [line for line, _ in read_lines(tmp_path / "trail", Position()) if line.get("study_uid") == study]
    assert [line["hop"] for line in told if "hop" in line] == HOPS
    own = [line for line in told if line.get("job_id")]
    assert {line["job_id"] for line in own} == {found["id"]}
    assert [line["event"] for line in own if line["event"] != "hop"] == SENT
    for line in own:
        assert (line["door"], line["outcome"]) == ("gateway", 0)
        assert "hop" not in line or line["milliseconds"] >= 0.0
        assert line.get("peer") == ("pacs" if line["event"] in SENT[:2] or line.get("hop") == "confirmed" else None)
    transferred = next(line for line in own if line.get("hop") == "delivered")
    assert transferred["instances"] == 4
    roles = codes(parse_message(transferred["message"]), "ActiveParticipant/RoleIDCode")
    assert roles == ["110153", "110152"], "this gateway was the source"
    assert not any(str(datasets[0][name].value) in str(told) for name in ("PatientName", "PatientID"))


@pytest.mark.parametrize("target", [stow, dimse])
async def test_a_pacs_that_is_away_for_a_while_gets_the_results_when_it_is_back(
    target: Any, start_gateway: StartGateway, start_orthanc: StartOrthanc, settings: Settings, open_line: OpenLine
) -> None:
    async with opened(start_orthanc) as orthanc:
        port = httpx.URL(orthanc.url).port if target is stow else orthanc.dicom_port
        async with open_line(port or 0) as line:
            where = {"url": f"http://127.0.0.1:{line.port}/dicom-web"} if target is stow else {"port": line.port}
            pacs = target(orthanc, rest_seconds=1.0) | where
            line.state = "cut"
            async with start_gateway(**settings(), delivery=sent_to(pacs)) as client:
                study = await store(client, dicom_datasets())
                async with asyncio.timeout(500):
                    while await deliveries(client, stage="deliver", outcome="postponed") < 4:
                        await asyncio.sleep(0.05)
                waiting = await until(client, study, "running", "failed")
                assert (waiting["state"], waiting["step"]) == ("running", "deliver")
                assert waiting["targets"] == {"pacs": "pending"}
                assert await asyncio.to_thread(modalities, orthanc) == []
                line.state = "through"
                found = await until(client, study, "succeeded", "failed")
                assert found["state"] == "succeeded", found
                metrics = (await client.get("/metrics")).text
                assert 'entrust_study_steps_total{outcome="done",step="infer"} 1.0' in metrics
        assert await asyncio.to_thread(modalities, orthanc) == MODALITIES


@pytest.mark.parametrize("target", [stow, dimse])
async def test_what_a_pacs_does_not_keep_is_a_dead_letter_with_its_reason(
    target: Any, start_gateway: StartGateway, start_orthanc: StartOrthanc, settings: Settings, tmp_path: Path
) -> None:
    lua = tmp_path / "filter.lua"
    lua.write_text(WITHOUT_REPORTS)
    async with opened(start_orthanc, settings={"LuaScripts": [str(lua)]}) as strict:
        pacs = sent_to(target(strict), retry_seconds=1.0, give_up_hours=0.001)
        async with start_gateway(**settings(), delivery=pacs) as client:
            study = await store(client, dicom_datasets())
            found = await until(client, study, "succeeded", "failed")
            assert found["state"] == "failed"
            assert found["step"] == "confirm"
            assert found["targets"] == {"pacs": "failed"}
            assert found["problem"]["type"] == "/problems/delivery-failed"
            assert "1 of 4 instances are not confirmed: Comprehensive 3D SR" in found["problem"]["detail"]
        assert await asyncio.to_thread(modalities, strict) == ["OT", "OT", "SEG"]
        ports = (httpx.URL(strict.url).port, strict.dicom_port)
    async with opened(start_orthanc, ports=ports) as lenient, start_gateway(**settings(), delivery=pacs) as client:
        await client.post(f"/v1/studies/{study}:restart")
        found = await until(client, study, "succeeded", "failed")
        assert found["state"] == "succeeded", found
        assert await asyncio.to_thread(modalities, lenient) == MODALITIES


async def test_a_pacs_that_keeps_no_maps_gets_the_rest(
    start_gateway: StartGateway, start_orthanc: StartOrthanc, settings: Settings, tmp_path: Path
) -> None:
    lua, trail, port = tmp_path / "filter.lua", tmp_path / "trail", free_port()
    lua.write_text(WITHOUT_MAPS)
    asked = settings() | {"audit": {"folder": trail}, "dimse": {"enabled": True, "port": port}}
    async with opened(start_orthanc, scp_port=port, settings={"LuaScripts": [str(lua)]}) as strict:
        pacs = dimse(strict, confirmation="commitment")
        async with start_gateway(**asked, delivery=sent_to(pacs)) as client:
            study = await store(client, dicom_datasets(("ct",)))
            found = await until(client, study, "succeeded", "failed")
            assert (found["state"], found["step"]) == ("failed", "confirm")
            assert "2 of 4 instances are not confirmed: Parametric Map Storage" in found["problem"]["detail"]
        async with start_gateway(**asked, delivery=sent_to(pacs | {"objects": "seg,sr"})) as client:
            await client.post(f"/v1/studies/{study}:restart")
            found = await until(client, study, "succeeded", "failed")
            assert found["state"] == "succeeded", found
            assert found["targets"] == {"pacs": "confirmed"}
        assert await asyncio.to_thread(modalities, strict) == ["SEG", "SR"]
    own = [line for line, _ in read_lines(trail, Position()) if line.get("job_id") == found["id"]]
    assert [line["instances"] for line in own if line["event"] == "instances-transferred"] == [2]


async def test_an_instance_that_is_refused_for_good_is_a_dead_letter_at_once(
    start_gateway: StartGateway, store_scp: StoreScp, settings: Settings, tmp_path: Path
) -> None:
    store_scp.answers = {Comprehensive3DSRStorage: [0xC123]}
    pacs = {"kind": "dimse", "host": "127.0.0.1", "port": store_scp.port, "ae_title": "PACS", "confirmation": "none"}
    trail = tmp_path / "trail"
    async with start_gateway(**settings(), delivery=sent_to(pacs), audit={"folder": trail}) as client:
        study = await store(client, dicom_datasets(("ct",)))
        found = await until(client, study, "succeeded", "failed")
        assert (found["state"], found["step"]) == ("failed", "deliver")
        assert "Comprehensive 3D SR Storage: cannot understand (C123)" in found["problem"]["detail"]
        assert len(store_scp.got) == 4
        assert await deliveries(client, stage="deliver") == 1
    own = [line for line, _ in read_lines(trail, Position()) if line.get("job_id") == found["id"]]
    told = {line["event"]: (line["outcome"], line.get("reason")) for line in own}
    assert told["instances-transferred"] == told["instances-accessed"] == (8, "delivery-failed")
    assert not any(line.get("hop") in ("delivered", "confirmed") for line in own)


@pytest.mark.parametrize("left", ["viewer", ""])
async def test_a_target_that_is_taken_away_meanwhile_is_a_dead_letter(
    left: str, start_gateway: StartGateway, settings: Settings
) -> None:
    nobody = {"kind": "stow", "url": f"http://127.0.0.1:{free_port()}/dicom-web"}
    async with start_gateway(**settings(), delivery=sent_to(nobody)) as client:
        study = await store(client, dicom_datasets(("ct",)))
        async with asyncio.timeout(500):
            while await deliveries(client, outcome="postponed") < 1:
                await asyncio.sleep(0.05)
    others = {"targets": {left: nobody} if left else {}}
    async with start_gateway(**settings(), delivery=others) as client:
        found = await until(client, study, "succeeded", "failed")
        assert (found["state"], found["targets"]) == ("failed", {"pacs": "failed"})
        assert "no target of that name" in found["problem"]["detail"]
    async with start_gateway(**settings(), delivery=others) as client:  # it has ended: nobody prepares for its target
        assert (await client.post(f"/v1/studies/{study}:restart")).json()["run"] == 2
        found = await until(client, study, "succeeded", "failed")
        assert (found["state"], found["run"]) == ("failed", 2)
