"""What arrives in the archive is segmented, its results lie beside it, and people can see and change what happens."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.factories.studies import dicom_datasets
from tests.integration.studies.conftest import store, until
from tests.servers.gateway import RunningGateway, StartGateway

Settings = Callable[..., dict[str, Any]]
ENDLESS = {"num_steps": 1000}
"""Of studies that no machine ends by itself."""
pytestmark = pytest.mark.timeout(1200)


async def instances(client: RunningGateway, study: str) -> list[str]:
    found = (await client.get(f"/dicom-web/studies/{study}/instances")).json()
    return [one["00080018"]["Value"][0] for one in found]


async def test_a_study_that_is_stored_is_segmented_and_has_its_results_beside_it(
    start_gateway: StartGateway, settings: Settings
) -> None:
    async with start_gateway(**settings()) as client:
        study = await store(client, dicom_datasets())
        found = await until(client, study, "succeeded", "failed")
        assert found["state"] == "succeeded", found
        series = (await client.get(f"/dicom-web/studies/{study}/series")).json()
        assert sorted(one["00080060"]["Value"][0] for one in series) == ["CT", "MR", "OT", "OT", "PT", "SEG", "SR"]
        assert set(found["results"]) < set(await instances(client, study))
        assert found["task"] == "oncology"
        assert found["priority"] == "routine"
        assert 0 <= found["review"]["score"] <= 1
        page = (await client.get("/v1/studies", params={"state": "succeeded"})).json()
        assert [(one["study"], one["review"]) for one in page["studies"]] == [(study, found["review"])]
        assert page["total"] == 1
        assert (await client.get("/v1/studies", params={"state": "failed"})).json()["total"] == 0
        again = (await client.post(f"/v1/studies/{study}:restart")).json()
        assert again["run"] == 2
        second = await until(client, study, "succeeded", "failed")
        assert second["results"] == found["results"], "the same input gives the same UIDs"
        kept = await instances(client, study)
        assert len(kept) == len(set(kept)) == len(dicom_datasets()) + 4


async def test_an_urgent_study_overtakes_and_any_can_be_cancelled(
    start_gateway: StartGateway, settings: Settings
) -> None:
    async with start_gateway(**settings(**ENDLESS, concurrency=1)) as client:
        first = await store(client, dicom_datasets(("ct",)))
        await until(client, first, "running")
        routine = [await store(client, dicom_datasets(("ct",))) for _ in range(2)]
        stat = await store(client, dicom_datasets(("ct",), {"RequestedProcedurePriority": "STAT"}))
        for study in (*routine, stat):
            await until(client, study, "queued")
        listed = [one["study"] for one in (await client.get("/v1/studies")).json()["studies"]]
        assert listed[0] == stat
        assert (await client.post(f"/v1/studies/{routine[0]}:cancel")).json()["state"] == "cancelled"
        ended = (await client.post(f"/v1/studies/{first}:cancel")).json()
        assert ended["state"] == "cancelled"
        assert ended["problem"]["type"] == "/problems/cancelled"
        await until(client, stat, "running")
        assert (await until(client, routine[1], "queued", "running"))["state"] == "queued"
        assert (await client.post(f"/v1/studies/{first}:cancel")).status_code == 409
        assert (await client.post(f"/v1/studies/{stat}:restart")).status_code == 409
        assert (await client.post(f"/v1/studies/{first}:restart")).json()["state"] == "queued"
        assert (await instances(client, routine[0])) != []


async def test_a_study_that_cannot_be_done_is_a_dead_letter_at_once_and_can_be_restarted(
    start_gateway: StartGateway, settings: Settings
) -> None:
    datasets = dicom_datasets(("ct",))
    for ds in datasets:
        ds.PixelData = ds.PixelData[:-100]
    async with start_gateway(**settings()) as client:
        study = await store(client, datasets)
        found = await until(client, study, "succeeded", "failed")
        assert found["state"] == "failed"
        assert found["step"] == "infer"
        assert found["problem"]["status"] == 400
        assert found["problem"]["detail"]
        metrics = (await client.get("/metrics")).text
        assert 'entrust_study_steps_total{outcome="retried",step="infer"} 0.0' in metrics
        assert 'entrust_study_steps_total{outcome="failed",step="infer"} 1.0' in metrics
        await client.post(f"/v1/studies/{study}:restart")
        async with asyncio.timeout(500):
            while (found := await until(client, study, "failed"))["run"] != 2:
                await asyncio.sleep(0.1)
        page = (await client.get("/v1/studies", params={"state": "failed"})).json()
        assert [one["study"] for one in page["studies"]] == [study]


async def test_a_study_for_which_there_is_no_task_is_listed_with_the_reason(
    start_gateway: StartGateway, settings: Settings
) -> None:
    datasets = dicom_datasets(("ct",))[:1]
    async with start_gateway(**settings()) as client:
        study = await store(client, datasets)
        found = await until(client, study, "ignored", "failed")
        assert found["state"] == "ignored"
        assert found["reason"]
        unknown = await client.get("/v1/studies/1.2.3.4.5")
        assert unknown.status_code == 404
        assert unknown.json()["type"] == "/problems/not-found"
        assert (await client.post("/v1/studies/1.2.3.4.5:cancel")).status_code == 404


async def test_images_go_first_and_results_later(start_gateway: StartGateway, settings: Settings) -> None:
    async with start_gateway(**settings(retention_hours=0.0)) as client:
        study = await store(client, dicom_datasets())
        found = await until(client, study, "succeeded", "failed")
        async with asyncio.timeout(500):
            while not (await until(client, study, "succeeded"))["images_purged"]:
                await asyncio.sleep(0.1)
        assert sorted(await instances(client, study)) == sorted(found["results"])
        assert (await client.post(f"/v1/studies/{study}:restart")).status_code == 404
    async with start_gateway(**settings(retention_hours=0.0, results_retention_hours=0.0)) as client:
        async with asyncio.timeout(500):
            while (await client.get(f"/v1/studies/{study}")).status_code != 404:
                await asyncio.sleep(0.1)
        assert await instances(client, study) == []


async def test_a_gateway_that_stops_leaves_its_studies_to_the_next(
    start_gateway: StartGateway, settings: Settings
) -> None:
    async with start_gateway(**settings(**ENDLESS)) as client:
        study = await store(client, dicom_datasets(("ct",)))
        await until(client, study, "running")
        started = time.monotonic()
    assert time.monotonic() - started < 60
    async with start_gateway(**settings()) as client:
        found = await until(client, study, "succeeded", "failed")
        assert found["state"] == "succeeded"
        assert found["run"] == 1


async def test_a_study_is_tried_again_when_time_may_heal_and_then_is_a_dead_letter(
    start_gateway: StartGateway, settings: Settings
) -> None:
    """Nothing listens where Triton should be."""
    asked = settings(retries=1)
    async with start_gateway(**asked, triton={"url": "127.0.0.1:1"}) as client:
        study = await store(client, dicom_datasets(("ct",)))
        found = await until(client, study, "succeeded", "failed")
        assert found["problem"]["type"] == "/problems/model-unavailable"
        metrics = (await client.get("/metrics")).text
        assert 'entrust_study_steps_total{outcome="retried",step="infer"} 1.0' in metrics
    async with start_gateway(**settings()) as client:
        await client.post(f"/v1/studies/{study}:restart")
        assert (await until(client, study, "succeeded"))["run"] == 2


async def test_a_gateway_without_an_archive_has_no_studies(start_gateway: StartGateway) -> None:
    async with start_gateway() as client:
        answer = await client.get("/v1/studies")
        assert answer.status_code == 404
        assert "ENTRUST_ARCHIVE__FOLDER" in answer.json()["fix"]
