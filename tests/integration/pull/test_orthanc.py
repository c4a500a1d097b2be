"""Studies are fetched from a real PACS, by each of the three ways, and resumed where something is here already."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, generate_uid

from deploy.orthanc.server import Orthanc
from deploy.prometheus.server import free_port
from tests.factories.dicomweb import part10, small_series
from tests.servers.gateway import RunningGateway, StartGateway
from tests.servers.orthanc import StartOrthanc

WAYS = ["dicomweb", "c-get", "c-move"]


class Both:
    """An Orthanc, and a gateway that knows it as three sources."""

    def __init__(self, gateway: RunningGateway, orthanc: Orthanc) -> None:
        self.gateway, self.orthanc = gateway, orthanc

    async def fill(self, slices: int = 4, *, accession: str = "", study: str = "", **kwargs: Any) -> list[Dataset]:
        """Put a study of two series into Orthanc."""
        study = study or generate_uid()
        tags = {"AccessionNumber": accession}
        series = small_series(slices, "CT", study_uid=study, tags=tags, **kwargs)
        series += small_series(slices, "MR", study_uid=study, tags=tags, series_number=2)
        for ds in series:
            await asyncio.to_thread(self.orthanc.post, "/instances", part10(ds))
        return series

    async def retrieve(self, **body: Any) -> httpx.Response:
        return await self.gateway.post("/v1/studies:retrieve", json={"wait": True} | body)

    async def here(self, study: str) -> set[str]:
        found = (await self.gateway.get(f"/dicom-web/studies/{study}/instances")).json()
        return {one["00080018"]["Value"][0] for one in found}

    async def metric(self, line: str) -> float:
        text = (await self.gateway.get("/metrics")).text
        return float(next(one for one in text.splitlines() if one.startswith(line)).split()[-1])


@pytest.fixture(scope="module")
async def both(
    start_gateway: StartGateway, start_orthanc: StartOrthanc, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Both]:
    scp_port, nowhere = free_port(), free_port()
    with contextlib.ExitStack() as stack:
        orthanc = await asyncio.to_thread(stack.enter_context, start_orthanc(scp_port=scp_port))
        dimse = {"kind": "dimse", "host": "127.0.0.1", "port": orthanc.dicom_port, "ae_title": "PACS"}
        sources = {
            "dicomweb": {"kind": "dicomweb", "url": f"{orthanc.url}/dicom-web"},
            "c-get": dimse | {"method": "c-get"},
            "c-move": dimse | {"method": "c-move"},
            "away-web": {"kind": "dicomweb", "url": f"http://127.0.0.1:{nowhere}/dicom-web"},
            "away-dimse": dimse | {"port": nowhere},
        }
        archive = {"folder": tmp_path_factory.mktemp("archive"), "max_used_ratio": 1.0, "min_free_bytes": 0}
        async with start_gateway(
            archive=archive, dimse={"enabled": True, "port": scp_port}, pull={"sources": sources}
        ) as gateway:
            yield Both(gateway, orthanc)


@pytest.mark.parametrize("way", WAYS)
async def test_a_study_comes_whole_and_bit_for_bit(both: Both, way: str) -> None:
    series = await both.fill()
    study = series[0].StudyInstanceUID
    answer = (await both.retrieve(source=way, study_instance_uid=study)).json()
    assert answer["state"] == "succeeded", answer
    assert answer["instances"] == {"found": 8, "present": 0, "retrieved": 8, "failed": 0}
    assert answer["failures"] == []
    assert await both.here(study) == {ds.SOPInstanceUID for ds in series}
    for ds in series:
        path = f"studies/{study}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"
        content = (await both.gateway.get(f"/dicom-web/{path}", headers={"Accept": "application/dicom"})).content
        assert content.endswith(part10(ds)[-2 * ds.Rows * ds.Columns :])  # the pixels


@pytest.mark.parametrize("way", WAYS)
async def test_what_is_here_is_not_fetched_again(both: Both, way: str) -> None:
    series = await both.fill()
    study = series[0].StudyInstanceUID
    modality = {"source": way, "study_instance_uid": study, "modalities": ["MR"]}
    assert (await both.retrieve(**modality)).json()["instances"]["retrieved"] == 4
    for ds in series[:2]:
        content, kind = part10(ds), {"Content-Type": "application/dicom"}
        files = {"files": (None, content, kind["Content-Type"])}
        body = httpx.Request("POST", "http://x", files=files)
        boundary = body.headers["Content-Type"].split("boundary=")[1]
        sent = {"Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}'}
        assert (await both.gateway.post("/dicom-web/studies", content=body.read(), headers=sent)).status_code == 200
    answer = (await both.retrieve(source=way, study_instance_uid=study)).json()
    assert answer["instances"] == {"found": 8, "present": 6, "retrieved": 2, "failed": 0}
    again = (await both.retrieve(source=way, study_instance_uid=study)).json()
    assert again["instances"] == {"found": 8, "present": 8, "retrieved": 0, "failed": 0}


@pytest.mark.parametrize("way", WAYS)
async def test_an_accession_number_finds_its_study(both: Both, way: str) -> None:
    series = await both.fill(2, accession=f"A-{way}")
    answer = (await both.retrieve(source=way, accession_number=f"A-{way}")).json()
    assert answer["study_instance_uid"] == series[0].StudyInstanceUID
    assert answer["instances"]["retrieved"] == 4


@pytest.mark.parametrize("way", WAYS)
async def test_several_studies_are_a_conflict(both: Both, way: str) -> None:
    await both.fill(1, accession=f"B-{way}")
    await both.fill(1, accession=f"B-{way}")
    answer = await both.retrieve(source=way, accession_number=f"B-{way}")
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict")


@pytest.mark.parametrize("way", WAYS)
async def test_one_series_may_be_named(both: Both, way: str) -> None:
    series = await both.fill(2)
    named = series[-1].SeriesInstanceUID
    study = series[0].StudyInstanceUID
    answer = (await both.retrieve(source=way, study_instance_uid=study, series_instance_uids=[named])).json()
    assert answer["instances"]["found"] == 2
    assert await both.here(study) == {ds.SOPInstanceUID for ds in series if ds.SeriesInstanceUID == named}


@pytest.mark.parametrize("way", WAYS)
async def test_compressed_images_come_as_they_are_kept(both: Both, way: str) -> None:
    study, series = generate_uid(), small_series(2, "MR", rows=64)
    for ds in series:
        ds.StudyInstanceUID = study
        ds.compress(JPEG2000Lossless, generate_instance_uid=False)
        await asyncio.to_thread(both.orthanc.post, "/instances", part10(ds))
    answer = (await both.retrieve(source=way, study_instance_uid=study)).json()
    assert answer["instances"]["retrieved"] == 2
    path = f"studies/{study}/series/{series[0].SeriesInstanceUID}/instances/{series[0].SOPInstanceUID}"
    accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
    content = (await both.gateway.get(f"/dicom-web/{path}", headers={"Accept": accept})).content
    assert bytes(JPEG2000Lossless, "ascii") in content


@pytest.mark.parametrize("way", WAYS)
async def test_nothing_of_the_kind_is_said(both: Both, way: str) -> None:
    answer = await both.retrieve(source=way, study_instance_uid=generate_uid())
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")
    series = await both.fill(1)
    none = await both.retrieve(source=way, study_instance_uid=series[0].StudyInstanceUID, modalities=["US"])
    assert none.status_code == 404


@pytest.mark.parametrize("source", ["away-web", "away-dimse"])
async def test_a_source_that_is_away_is_a_problem_of_its_own(both: Both, source: str) -> None:
    answer = await both.retrieve(source=source, study_instance_uid=generate_uid())
    assert (answer.status_code, answer.json()["type"]) == (502, "/problems/source-unavailable")
    assert answer.json()["fix"]
    line = f'entrust_retrievals_total{{outcome="source-unavailable",source="{source}"}}'
    assert await both.metric(line) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"source": "nowhere", "study_instance_uid": "1.2.3"}, 404),
        ({"source": "c-get"}, 400),
        ({"source": "c-get", "study_instance_uid": "1.2.3\\1.2.4"}, 400),
        ({"source": "c-get", "accession_number": "*"}, 400),
        ({"source": "c-get", "study_instance_uid": "1.2.3", "patient_id": "x"}, 400),
    ],
)
async def test_what_cannot_be_meant_is_refused(both: Both, body: dict[str, Any], status: int) -> None:
    assert (await both.retrieve(**body)).status_code == status


async def test_a_retrieval_is_an_operation_to_poll(both: Both) -> None:
    series = await both.fill(3)
    study = series[0].StudyInstanceUID
    answer = await both.retrieve(source="dicomweb", study_instance_uid=study, wait=False)
    assert answer.status_code == 202
    address = answer.headers["Location"]
    while (found := (await both.gateway.get(address)).json())["state"] not in ("succeeded", "failed"):
        await asyncio.sleep(0.05)
    assert (found["state"], found["here"], found["of"]) == ("succeeded", 6, 6)
    assert (await both.gateway.delete(address)).status_code == 409
    assert (await both.gateway.get("/v1/retrievals/unknown")).status_code == 404


async def test_a_class_that_the_source_refuses_is_told_instance_by_instance(both: Both) -> None:
    """C-GET: role negotiation may fail for a class, and only its instances do not come."""
    study, odd = generate_uid(), "1.2.826.0.1.3680043.9.9"
    series = small_series(1, "CT", study_uid=study)
    other = small_series(1, "CT", study_uid=study, series_number=2, tags={"SOPClassUID": odd})[0]
    other.file_meta.MediaStorageSOPClassUID = odd
    for ds in (*series, other):
        await asyncio.to_thread(both.orthanc.post, "/instances", part10(ds))
    answer = (await both.retrieve(source="c-get", study_instance_uid=study)).json()
    reasons = {one["sop_instance_uid"]: one["reason"] for one in answer["failures"]}
    assert reasons in ({other.SOPInstanceUID: "sop-class-refused"}, {})  # as its Orthanc is configured
    assert series[0].SOPInstanceUID in await both.here(study)


async def test_no_uid_and_no_number_is_logged(both: Both, capfd: pytest.CaptureFixture[str]) -> None:
    series = await both.fill(1, accession="SECRET-7")
    await both.retrieve(source="dicomweb", accession_number="SECRET-7")
    written = "".join(capfd.readouterr())
    assert "SECRET-7" not in written
    assert series[0].StudyInstanceUID not in written
