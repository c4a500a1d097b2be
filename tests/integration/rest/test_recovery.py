"""A Triton that dies during a run: the request ends well or with a typed error, and the next one works."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from entrust.contract import ONCOLOGY
from service.triton.canary import task_canaries
from service.triton.embedded import EmbeddedTriton
from service.triton.installation import Installation
from tests.factories.studies import nifti_files
from tests.integration.rest.test_jobs import LONG, SHORT, submit, until
from tests.servers.gateway import StartGateway


@pytest.fixture
async def doomed(triton_installation: Installation, model_repository: Path) -> AsyncIterator[EmbeddedTriton]:
    async with EmbeddedTriton(model_repository, task_canaries(ONCOLOGY), installation=triton_installation) as server:
        yield server


async def test_a_killed_server_costs_no_request(doomed: EmbeddedTriton, start_gateway: StartGateway) -> None:
    async with start_gateway(triton={"url": doomed.url}) as client:
        running = await submit(client, LONG | {"num_steps": 20})
        await until(client, running, "running", stage="sampling")
        os.kill(doomed.pid, signal.SIGKILL)
        killed_at = time.monotonic()
        job = await until(client, running, "succeeded", "failed")
        if job["state"] == "failed":
            assert job["problem"]["type"] in ("/problems/model-unavailable", "/problems/inference-failed")
        answer = await client.post("/v1/segmentations", files=nifti_files(("ct",)), data=SHORT | {"wait": "true"})
        assert answer.status_code == 200, answer.text[:300]
        async with asyncio.timeout(5.0):
            while (await client.get("/health/ready")).status_code != 200:
                await asyncio.sleep(0.1)
        assert time.monotonic() - killed_at < 60.0
