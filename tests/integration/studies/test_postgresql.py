"""The same with the state of studies in a real PostgreSQL."""

from collections.abc import Callable
from typing import Any

import pytest

from entrust.errors import InvalidInputError
from tests.factories.studies import dicom_datasets
from tests.integration.studies.conftest import store, until
from tests.servers.gateway import StartGateway

Settings = Callable[..., dict[str, Any]]
pytestmark = pytest.mark.timeout(1200)


async def test_studies_go_on_after_a_stop_and_the_database_has_one_archive(
    start_gateway: StartGateway, settings: Settings, postgresql: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    database = {"url": postgresql}
    async with start_gateway(**settings(num_steps=1000), database=database) as client:
        first = await store(client, dicom_datasets(("ct",)))
        await until(client, first, "running")
        second = await store(client, dicom_datasets(("ct",), {"RequestedProcedurePriority": "STAT"}))
        await until(client, second, "queued")
    async with start_gateway(**settings(), database=database) as client:
        assert (await until(client, first, "succeeded", "failed"))["state"] == "succeeded"
        assert (await until(client, second, "succeeded", "failed"))["state"] == "succeeded"
        listed = [one["study"] for one in (await client.get("/v1/studies")).json()["studies"]]
        assert listed == [second, first]
        await client.post(f"/v1/studies/{first}:restart")
        assert (await until(client, first, "succeeded", "failed"))["run"] == 2
    other = settings() | {"archive": {"folder": tmp_path_factory.mktemp("other"), "max_used_ratio": 1.0}}
    with pytest.raises(InvalidInputError, match="archive"):
        async with start_gateway(**other, database=database):
            pass
