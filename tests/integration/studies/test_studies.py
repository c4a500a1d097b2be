"""What arrives in the archive is segmented, and its results lie beside it."""

from collections.abc import Callable
from typing import Any

from tests.factories.studies import dicom_datasets
from tests.integration.studies.conftest import store, until
from tests.servers.gateway import StartGateway

Settings = Callable[..., dict[str, Any]]


async def test_a_study_that_is_stored_is_segmented_and_has_its_results_beside_it(
    start_gateway: StartGateway, settings: Settings
) -> None:
    async with start_gateway(**settings()) as client:
        study = await store(client, dicom_datasets())
        found = await until(client, study, "succeeded", "failed")
        assert found["state"] == "succeeded", found
        series = (await client.get(f"/dicom-web/studies/{study}/series")).json()
        assert sorted(one["00080060"]["Value"][0] for one in series) == ["CT", "MR", "OT", "OT", "PT", "SEG", "SR"]
        kept = (await client.get(f"/dicom-web/studies/{study}/instances")).json()
        assert set(found["results"]) < {one["00080018"]["Value"][0] for one in kept}
        assert found["task"] == "oncology"
        assert found["priority"] == "routine"
        assert 0 <= found["review"]["score"] <= 1
        page = (await client.get("/v1/studies")).json()
        assert page["total"] == 1
        assert page["studies"][0] == found
