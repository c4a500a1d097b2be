"""Jobs over HTTP: cancellation between steps, deadlines, a full queue, clients that leave, results that expire."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.factories.studies import nifti_files
from tests.integration.rest.test_refusals import check_problem
from tests.servers.gateway import StartGateway

LONG: dict[str, Any] = {"task": "oncology", "num_hypotheses": 8, "num_steps": 600}
SHORT: dict[str, Any] = {"task": "oncology", "num_hypotheses": 2, "num_steps": 1}


async def submit(client: httpx.AsyncClient, parameters: dict[str, Any] = LONG) -> str:
    answer = await client.post("/v1/segmentations", files=nifti_files(("ct",)), data=parameters)
    assert answer.status_code == 202, answer.text
    return answer.headers["Location"]


async def until(client: httpx.AsyncClient, address: str, *wanted: str, stage: str = "") -> dict[str, Any]:
    """Poll a job until its state, and its stage where one is given, is one that is wanted."""
    async with asyncio.timeout(60.0):
        while True:
            job: dict[str, Any] = (await client.get(address)).json()
            if job["state"] in wanted and (not stage or (job["progress"] or {}).get("stage") == stage):
                return job
            await asyncio.sleep(0.02)


async def test_a_running_job_says_step_k_of_n_and_ends_between_steps(gateway: httpx.AsyncClient) -> None:
    address = await submit(gateway)
    job = await until(gateway, address, "running", stage="sampling")
    assert 0 < job["progress"]["step"] < job["progress"]["of"]
    check_problem(await gateway.get(f"{address}/results"), "conflict")
    check_problem(await gateway.get(f"{address}/results/mask.nii.gz"), "conflict")
    assert (await gateway.delete(address)).status_code == 202
    job = await until(gateway, address, "cancelled")
    assert job["problem"]["type"] == "/problems/cancelled"
    check_problem(await gateway.get(f"{address}/results"), "cancelled")
    check_problem(await gateway.get(f"{address}/results/mask.nii.gz"), "not-found")


async def test_an_ended_job_is_forgotten_on_request(gateway: httpx.AsyncClient) -> None:
    address = await submit(gateway, SHORT)
    await until(gateway, address, "succeeded")
    assert (await gateway.delete(address)).status_code == 204
    for path in (address, f"{address}/results", f"{address}/events"):
        check_problem(await gateway.get(path), "not-found")


async def test_a_deadline_ends_the_job(gateway: httpx.AsyncClient) -> None:
    answer = await gateway.post(
        "/v1/segmentations", files=nifti_files(("ct",)), data=LONG | {"wait": "true", "deadline_seconds": "0.5"}
    )
    check_problem(answer, "deadline-exceeded")


async def test_a_full_queue_says_when_to_come_back(start_gateway: StartGateway) -> None:
    async with start_gateway(jobs={"max_queued": 1}) as client:
        running = await submit(client)
        await until(client, running, "running")
        waiting = await submit(client)
        refused = await client.post("/v1/segmentations", files=nifti_files(("ct",)), data=SHORT)
        check_problem(refused, "overloaded")
        assert int(refused.headers["Retry-After"]) >= 1
        metrics = (await client.get("/metrics")).text
        assert "entrust_queue_depth_jobs 1.0" in metrics
        assert 'entrust_jobs{state="running"} 1.0' in metrics
        assert "entrust_jobs_rejected_total 1.0" in metrics
        assert (await client.delete(waiting)).json()["state"] == "cancelled"
        await client.delete(running)
        await until(client, running, "cancelled")
        await until(client, await submit(client, SHORT), "succeeded")


async def test_a_client_that_leaves_takes_its_job_along(start_gateway: StartGateway) -> None:
    async with start_gateway() as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post(
                "/v1/segmentations",
                files=nifti_files(("ct",)),
                data=LONG | {"wait": "true"},
                timeout=httpx.Timeout(30.0, read=1.0),
            )
        async with asyncio.timeout(30.0):
            while 'entrust_jobs{state="cancelled"} 1.0' not in (await client.get("/metrics")).text:
                await asyncio.sleep(0.05)


async def test_who_waits_too_long_gets_the_job_instead(start_gateway: StartGateway) -> None:
    async with start_gateway(rest={"max_wait_seconds": 0.3}) as client:
        answer = await client.post("/v1/segmentations", files=nifti_files(("ct",)), data=LONG | {"wait": "true"})
        assert answer.status_code == 202
        assert (await client.delete(answer.headers["Location"])).status_code == 202


async def test_results_expire(start_gateway: StartGateway) -> None:
    async with start_gateway(jobs={"retention_seconds": 1.0}) as client:
        address = await submit(client, SHORT)
        await until(client, address, "succeeded")
        async with asyncio.timeout(10.0):
            while (await client.get(address)).status_code != 404:
                await asyncio.sleep(0.1)
        assert "entrust_results_retained_bytes 0.0" in (await client.get("/metrics")).text


async def test_without_triton_nothing_is_ready_and_the_reason_is_told(start_gateway: StartGateway) -> None:
    async with start_gateway(triton={"url": "127.0.0.1:1"}) as client:
        ready = await client.get("/health/ready")
        assert ready.status_code == 503
        assert ready.json()["reasons"]
        assert (await client.get("/health/live")).status_code == 200
        model = (await client.get("/v1/models")).json()["models"][0]
        assert not model["ready"]
        answer = await client.post("/v1/segmentations", files=nifti_files(("ct",)), data=SHORT | {"wait": "true"})
        check_problem(answer, "model-unavailable")
