"""Gateways that work on what their archive gets."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from tests.factories.dicomweb import RELATED, related
from tests.factories.studies import dicom_bytes
from tests.servers.gateway import RunningGateway

QUICK = {"num_hypotheses": 1, "num_steps": 1, "quiet_seconds": 1.0, "retry_seconds": 0.05, "retries": 2}


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Settings of a gateway whose archive is the test's own."""

    def make(**studies: Any) -> dict[str, Any]:
        archive = {"folder": tmp_path / "archive", "max_used_ratio": 1.0, "min_free_bytes": 0}
        return {"archive": archive, "studies": {"enabled": True} | QUICK | studies}

    return make


async def store(client: RunningGateway, datasets: list[Dataset]) -> str:
    """Store instances, and return their study."""
    body = related([dicom_bytes(ds) for ds in datasets])
    answer = await client.post("/dicom-web/studies", content=body, headers={"Content-Type": RELATED})
    assert answer.status_code == 200, answer.text
    return str(datasets[0].StudyInstanceUID)


async def until(client: RunningGateway, study: str, *states: str) -> dict[str, Any]:
    """Wait until a study is in one of these states, and return it."""
    async with asyncio.timeout(1200):
        while True:
            answer = await client.get(f"/v1/studies/{study}")
            if answer.status_code == 200 and answer.json()["state"] in states:
                return dict(answer.json())
            await asyncio.sleep(0.05)
