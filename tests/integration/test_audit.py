"""The audit trail of a whole gateway: every door tells who did what with which study, in valid messages."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from pydicom.uid import generate_uid
from pynetdicom import AE

from service.api.rpc.v1 import segmentation_pb2 as pb
from service.api.rpc.v1.segmentation_pb2_grpc import SegmentationServiceStub
from service.audit.journal import Position, read_lines
from tests.factories.audit_messages import codes, parse_message
from tests.factories.dicomweb import RELATED, part10, related
from tests.factories.studies import dicom_bytes, dicom_datasets, zipped
from tests.servers.gateway import RunningGateway, StartGateway

FAST: dict[str, Any] = {"task": "oncology", "num_hypotheses": 2, "num_steps": 2}
TOKEN = "a-token-that-is-long-enough"  # noqa: S105
STUDY_UID = "110180"


@dataclass
class Audited:
    """A gateway and its trail."""

    gateway: RunningGateway
    folder: Path

    def lines(self) -> list[dict[str, Any]]:
        """Return what is on the disk, after a look at every message in it."""
        found = [line for line, _ in read_lines(self.folder, Position())]
        for line in found:
            if "message" in line:
                parse_message(line["message"])
        return found

    async def told(self, **facts: Any) -> dict[str, Any]:
        """Wait for an event with these facts."""
        for _ in range(600):
            for line in self.lines():
                if facts.items() <= line.items():
                    return line
            await asyncio.sleep(0.1)
        raise AssertionError(f"nothing was told of {facts}")


@pytest.fixture(scope="module")
async def audited(start_gateway: StartGateway, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Audited]:
    root = tmp_path_factory.mktemp("audited")
    (root / "tokens").write_text(TOKEN)
    async with start_gateway(
        auth={"token_file": root / "tokens"},
        archive={"folder": root / "archive", "max_used_ratio": 1.0, "min_free_bytes": 0},
        dimse={"enabled": True, "port": 0, "calling_ae_titles": "SCANNER"},
        audit={"folder": root / "trail"},
    ) as gateway:
        gateway.headers["Authorization"] = f"Bearer {TOKEN}"
        yield Audited(gateway, root / "trail")


async def test_a_job_passes_its_hops_and_its_results_are_fetched(audited: Audited) -> None:
    datasets = dicom_datasets()
    study = datasets[0].StudyInstanceUID
    answer = await audited.gateway.post(
        "/v1/segmentations",
        params=FAST | {"wait": "true"},
        content=zipped({f"{i}.dcm": dicom_bytes(ds) for i, ds in enumerate(datasets)}),
        headers={"Content-Type": "application/zip"},
    )
    assert answer.status_code == 200, answer.text
    await audited.told(study_uid=study, hop="delivered")
    shown = await asyncio.to_thread(_entrust_audit, audited.folder, study)
    hops = [line["hop"] for line in audited.lines() if "hop" in line and line.get("job_id")]
    assert hops == ["received", "queued", "selected", "inferred", "encoded", "delivered"]
    for hop in hops:
        assert hop in shown
    for hop in hops[:-1]:
        line = await audited.told(hop=hop)
        assert line["milliseconds"] > 0.0
        assert line["door"] == "rest"
        assert line["peer"].startswith("token-")
        assert TOKEN not in str(line)
    accessed = await audited.told(event="instances-accessed", study_uid=study)
    assert accessed["outcome"] == 0
    exported = parse_message((await audited.told(event="exported", study_uid=study))["message"])
    assert codes(exported, "ParticipantObjectIdentification/ParticipantObjectIDTypeCode") == [STUDY_UID]


async def test_a_job_that_fails_says_why(audited: Audited) -> None:
    broken = zipped({"0.dcm": b"no DICOM at all"})
    answer = await audited.gateway.post(
        "/v1/segmentations",
        params=FAST | {"wait": "true"},
        content=broken,
        headers={"Content-Type": "application/zip"},
    )
    assert answer.status_code >= 400
    line = await audited.told(event="instances-accessed", outcome=4)
    assert line["reason"] == answer.json()["type"].rpartition("/")[2]


async def test_a_strangers_token_is_an_alert_over_http_and_grpc(audited: Audited) -> None:
    stranger = {"Authorization": "Bearer not-a-known-token"}
    assert (await audited.gateway.get("/v1/models", headers=stranger)).status_code == 401
    line = await audited.told(event="security-alert", door="rest")
    assert (line["reason"], line["address"]) == ("unauthenticated", "127.0.0.1")
    async with grpc.aio.insecure_channel(audited.gateway.rpc_address) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await SegmentationServiceStub(channel).GetJob(pb.GetJobRequest(job_id="x"))
    line = await audited.told(event="security-alert", door="grpc")
    assert line["address"] == "127.0.0.1"
    assert codes(parse_message(line["message"]), "EventIdentification/EventID") == ["110113"]


async def test_stow_qido_and_wado(audited: Audited) -> None:
    datasets = dicom_datasets(("ct",))
    study = datasets[0].StudyInstanceUID
    body = related([part10(ds) for ds in datasets])
    for action in ("C", "R"):  # created, then known already
        stored = await audited.gateway.post("/dicom-web/studies", content=body, headers={"Content-Type": RELATED})
        assert stored.status_code == 200, stored.text
        for _ in range(600):
            seen = [
                parse_message(line["message"]).find("EventIdentification").get("EventActionCode")
                for line in audited.lines()
                if line["event"] == "instances-transferred" and line.get("study_uid") == study
            ]
            if action in seen:
                break
            await asyncio.sleep(0.1)
        assert seen[-1] == action
    line = await audited.told(event="instances-transferred", study_uid=study, hop="received")
    assert (line["door"], line["instances"]) == ("dicomweb", len(datasets))
    await audited.told(event="begin-transferring", study_uid=study)

    secret = "SECRET^NAME"  # noqa: S105
    await audited.gateway.get("/dicom-web/studies", params={"PatientName": secret})
    queried = parse_message((await audited.told(event="queried", door="dicomweb"))["message"])
    assert queried.find("ParticipantObjectIdentification/ParticipantObjectQuery") is not None
    assert not any(secret in str(line) for line in audited.lines())

    before = sum(line["event"] == "instances-transferred" for line in audited.lines())
    for _ in range(5):
        assert (await audited.gateway.get(f"/dicom-web/studies/{study}/metadata")).status_code == 200
    for _ in range(600):
        sent = [line for line in audited.lines() if line["event"] == "instances-transferred"][before:]
        if sent:
            break
        await asyncio.sleep(0.1)
    assert len(sent) == 1, "one message for what a viewer asks for piece by piece"
    root = parse_message(sent[0]["message"])
    assert codes(root, "ActiveParticipant/RoleIDCode") == ["110153", "110152"], "this gateway was the source"


async def test_c_store_and_a_title_that_is_not_known(audited: Audited) -> None:
    datasets = dicom_datasets(("ct",))
    foreign = dicom_datasets(("pet",))[0]
    foreign.SOPInstanceUID = datasets[0].SOPInstanceUID  # another data set under a UID that is kept: refused
    foreign.file_meta.MediaStorageSOPInstanceUID = foreign.SOPInstanceUID
    sent = await asyncio.to_thread(_store, audited.gateway.dimse_port, [*datasets, foreign])
    assert sent == [0] * len(datasets) + [0x0111]
    line = await audited.told(event="instances-transferred", door="dimse", study_uid=datasets[0].StudyInstanceUID)
    assert (line["peer"], line["outcome"], line["instances"]) == ("SCANNER", 0, len(datasets))
    line = await audited.told(event="instances-transferred", door="dimse", study_uid=foreign.StudyInstanceUID)
    assert (line["outcome"], line["reason"]) == (4, "conflict")

    assert await asyncio.to_thread(_store, audited.gateway.dimse_port, datasets, "STRANGER") == []
    line = await audited.told(event="security-alert", door="dimse")
    assert (line["peer"], line["reason"], line["address"]) == ("STRANGER", "ae-title", "127.0.0.1")


def test_what_the_command_says_of_a_study_that_is_not_there(tmp_path: Path) -> None:
    answer = _run_audit(tmp_path, generate_uid())
    assert answer.returncode == 2
    assert "knows nothing of it" in answer.stderr


def _store(port: int, datasets: list[Any], title: str = "SCANNER") -> list[int]:
    ae = AE(title)
    for sop_class in {ds.SOPClassUID for ds in datasets}:
        ae.add_requested_context(sop_class, datasets[0].file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", port, ae_title="ENTRUST")
    if not association.is_established:
        association.dul.socket.close()
        return []
    statuses = [int(association.send_c_store(ds).Status) for ds in datasets]
    association.release()
    return statuses


def _entrust_audit(folder: Path, study: str) -> str:
    answer = _run_audit(folder, study)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def _run_audit(folder: Path, study: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ENTRUST_")}
    environment = kept | {"ENTRUST_AUDIT__FOLDER": str(folder), "COLUMNS": "200"}
    command = [sys.executable, "-m", "service", "audit", study]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
