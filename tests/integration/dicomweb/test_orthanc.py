"""A real PACS pushes to us by both protocols, and gets back what it sent."""

import asyncio
from io import BytesIO
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from deploy.orthanc.server import Orthanc
from tests.factories.dicomweb import part10, small_series
from tests.servers.gateway import StartGateway
from tests.servers.orthanc import StartOrthanc


@pytest.fixture(scope="module")
async def both(
    start_gateway: StartGateway, start_orthanc: StartOrthanc, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """A gateway with both doors open, and an Orthanc that knows them."""
    archive = {"folder": tmp_path_factory.mktemp("archive"), "max_used_ratio": 1.0, "min_free_bytes": 0}
    async with start_gateway(archive=archive, dimse={"enabled": True, "port": 0}) as gateway:
        url = f"{str(gateway.base_url).rstrip('/')}/dicom-web"
        orthanc_server = start_orthanc(scp_port=gateway.dimse_port, dicomweb_url=url)
        orthanc = await asyncio.to_thread(orthanc_server.__enter__)
        try:
            yield gateway, orthanc
        finally:
            await asyncio.to_thread(orthanc_server.__exit__, None, None, None)


async def fill(orthanc: Orthanc, study: str, slices: int = 4) -> tuple[str, list[Any]]:
    series = small_series(slices, "CT", study_uid=study) + small_series(slices, "MR", study_uid=study, series_number=2)
    for ds in series:
        answer = await asyncio.to_thread(orthanc.post, "/instances", part10(ds))
    return answer["ParentStudy"], series


@pytest.mark.parametrize("door", ["C-STORE", "STOW"])
async def test_orthanc_pushes_a_study_and_is_content(both: Any, door: str) -> None:
    gateway, orthanc = both
    study = generate_uid()
    orthanc_id, series = await fill(orthanc, study)
    if door == "C-STORE":
        body = {"Resources": [orthanc_id], "Synchronous": True, "Permissive": False}
        answer = await asyncio.to_thread(orthanc.post, "/modalities/entrust/store", body)
        assert answer["InstancesCount"] == len(series)
        assert answer["FailedInstancesCount"] == 0
    else:
        body = {"Resources": [orthanc_id], "Synchronous": True}
        await asyncio.to_thread(orthanc.post, "/dicom-web/servers/entrust/stow", body)
    found = (await gateway.get(f"/dicom-web/studies/{study}/instances")).json()
    assert {one["00080018"]["Value"][0] for one in found} == {ds.SOPInstanceUID for ds in series}
    for ds in series:
        path = f"studies/{study}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"
        content = (await gateway.get(f"/dicom-web/{path}", headers={"Accept": "application/dicom"})).content
        assert dcmread_bytes(content) == ds


async def test_the_same_study_by_both_doors_is_kept_once(both: Any) -> None:
    gateway, orthanc = both
    study = generate_uid()
    orthanc_id, series = await fill(orthanc, study)
    for path in ("/modalities/entrust/store", "/dicom-web/servers/entrust/stow", "/modalities/entrust/store"):
        await asyncio.to_thread(orthanc.post, path, {"Resources": [orthanc_id], "Synchronous": True})
    found = (await gateway.get(f"/dicom-web/studies?StudyInstanceUID={study}")).json()
    assert found[0]["00201208"]["Value"] == [len(series)]


async def test_orthanc_finds_and_fetches_by_dicomweb(both: Any) -> None:
    _, orthanc = both
    study = generate_uid()
    orthanc_id, series = await fill(orthanc, study)
    body = {"Resources": [orthanc_id], "Synchronous": True}
    await asyncio.to_thread(orthanc.post, "/dicom-web/servers/entrust/stow", body)
    asked = {"Uri": "/studies", "Arguments": {"StudyInstanceUID": study}}
    (found,) = await asyncio.to_thread(orthanc.post, "/dicom-web/servers/entrust/qido", asked)
    assert study in str(found)
    await asyncio.to_thread(orthanc.delete, f"/studies/{orthanc_id}")
    wanted = {"Resources": [{"Study": study}], "Synchronous": True}
    await asyncio.to_thread(orthanc.post, "/dicom-web/servers/entrust/retrieve", wanted)
    assert len(await asyncio.to_thread(orthanc.get, f"/studies/{orthanc_id}/instances")) == len(series)


def dcmread_bytes(content: bytes) -> Any:
    return dcmread(BytesIO(content))
