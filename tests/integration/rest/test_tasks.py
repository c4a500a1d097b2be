"""Requests that name no task, and tasks that are not deployed; Triton serves oncology alone."""

import httpx
import pytest

from entrust.contract import TASKS
from tests.factories.studies import dicom_zip, nifti_files
from tests.integration.rest.test_refusals import check_problem
from tests.servers.gateway import RunningGateway

FAST = {"num_hypotheses": "1", "num_steps": "1", "wait": "true"}
OTHERS = [name for name in TASKS if name != "oncology"]


async def test_dicom_decides_on_the_task(gateway: RunningGateway) -> None:
    answer = await gateway.post(
        "/v1/segmentations",
        params=FAST,
        content=dicom_zip(("ct", "pet")),
        headers={"Content-Type": "application/zip", "Accept": "application/json"},
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["task"]["name"] == "oncology"


async def test_fields_decide_on_the_task(gateway: RunningGateway) -> None:
    answer = await gateway.post(
        "/v1/segmentations", files=nifti_files(("ct",)), data=FAST, headers={"Accept": "application/json"}
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["task"]["name"] == "oncology"


async def test_fields_of_several_tasks_are_refused_with_their_names(gateway: RunningGateway) -> None:
    answer = await gateway.post("/v1/segmentations", files=nifti_files(("t1",)), data=FAST)
    check_problem(answer, "invalid-input")
    assert "oncology, brain" in answer.json()["detail"]


@pytest.mark.parametrize("task", OTHERS)
async def test_a_task_that_is_not_deployed_is_told_and_refused(gateway: RunningGateway, task: str) -> None:
    models = {model["task"]: model for model in (await gateway.get("/v1/models")).json()["models"]}
    assert not models[task]["ready"]
    assert "no models" in models[task]["reason"]
    assert (await gateway.get("/health/ready")).status_code == 200, "what is not there does not keep others waiting"
    slug = TASKS[task].slugs[0]
    _, content = nifti_files(("t1",))["t1"]
    answer: httpx.Response = await gateway.post(
        "/v1/segmentations", files={slug: (f"{slug}.nii.gz", content)}, data=FAST | {"task": task}
    )
    check_problem(answer, "model-unavailable")
    assert "oncology" in answer.json()["fix"]
