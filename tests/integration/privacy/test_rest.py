"""Nothing of the patient leaves the HTTP face by a side door, whether it went well or not."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydicom.dataset import Dataset

from tests.factories.canaries import BIRTH_DATE, SONG, heard
from tests.factories.studies import dicom_bytes
from tests.integration.privacy.watched import (
    FAST,
    SINGER,
    ZIP,
    Watched,
    as_zip,
    damaged,
    far_apart,
    nonsense_values,
    singing,
    without_a_role,
)


async def test_a_study_that_is_segmented_over_http(watched: Watched, client: httpx.AsyncClient) -> None:
    accepted = await client.post("/v1/segmentations", params=FAST, content=as_zip(singing()), headers=ZIP)
    assert accepted.status_code == 202, accepted.text
    events = await client.get(accepted.json()["links"]["events"])
    job = await client.get(accepted.headers["Location"])
    assert job.json()["state"] == "succeeded", job.text
    summary = await client.get(f"{job.json()['links']['results']}/summary.json")
    for answer in (accepted, events, job, summary):
        assert not heard(answer.content + str(answer.headers).encode())
    files = await client.get(job.json()["links"]["results"])
    assert not heard(str(files.headers))
    watched.assert_silent()


async def test_form_fields_and_names_of_files(watched: Watched, client: httpx.AsyncClient) -> None:
    files = [("study", (f"{SINGER}.dcm", dicom_bytes(ds))) for ds in singing()]
    answer = await client.post("/v1/segmentations", files=files, data=FAST | {"wait": "true"})
    assert answer.status_code == 200, answer.text
    assert not heard(str(answer.headers))
    watched.assert_silent()


@pytest.mark.parametrize(
    "study", [damaged, without_a_role, far_apart, nonsense_values], ids=lambda study: study.__name__
)
async def test_a_study_that_cannot_be_segmented(
    study: Callable[[], list[Dataset]], watched: Watched, client: httpx.AsyncClient
) -> None:
    answer = await client.post(
        "/v1/segmentations", params=FAST | {"wait": "true"}, content=as_zip(study()), headers=ZIP
    )
    assert 400 <= answer.status_code < 500, answer.text
    assert not heard(answer.content + str(answer.headers).encode())
    watched.assert_silent()


REFUSALS: dict[str, tuple[int, dict[str, Any]]] = {
    "no DICOM": (415, {"params": FAST, "content": f"{SINGER} is no zip".encode(), "headers": ZIP}),
    "media type": (415, {"params": FAST, "content": b"x", "headers": {"Content-Type": f"text/{SINGER}"}}),
    "too large": (413, {"params": FAST, "content": SINGER.encode() * 200_000, "headers": ZIP}),
    "task": (404, {"params": {"task": SINGER}, "content": b"x", "headers": ZIP}),
    "number": (400, {"params": FAST | {"seed": SINGER}, "content": b"x", "headers": ZIP}),
    "parameter": (400, {"params": FAST | {SINGER: SINGER}, "content": b"x", "headers": ZIP}),
    "assignment": (415, {"params": FAST | {"assignment": f"{SINGER}={SINGER}"}, "content": b"x", "headers": ZIP}),
    "extra": (400, {"params": FAST | {"extra_results": SINGER}, "content": b"x", "headers": ZIP}),
    "accept": (406, {"params": FAST | {"wait": "true"}, "content": b"x", "headers": ZIP | {"Accept": f"a/{SINGER}"}}),
    "field": (400, {"data": FAST, "files": {SINGER: (SINGER, b"x")}}),
    "token": (401, {"params": FAST, "content": b"x", "headers": ZIP | {"Authorization": f"Bearer {SINGER}"}}),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_request_that_is_refused(name: str, watched: Watched, client: httpx.AsyncClient) -> None:
    status, request = REFUSALS[name]
    answer = await client.post("/v1/segmentations", **request)
    if answer.status_code == 202:  # what was sent is looked at by the job
        await client.get(answer.json()["links"]["events"])
        answer = await client.get(f"{answer.headers['Location']}/results")
    assert answer.status_code == status, answer.text
    assert not heard(answer.content + str(answer.headers).encode())
    watched.assert_silent()


async def test_a_series_that_a_caller_names_is_not_repeated(watched: Watched, client: httpx.AsyncClient) -> None:
    asked = FAST | {"wait": "true", "assignment": f"ct={SINGER}"}
    answer = await client.post("/v1/segmentations", params=asked, content=as_zip(singing()), headers=ZIP)
    assert 400 <= answer.status_code < 500, answer.text
    assert not heard(answer.content)
    watched.assert_silent()


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("GET", f"/{SINGER}"), ("GET", f"/v1/jobs/{SINGER}"), ("DELETE", f"/v1/jobs/{SINGER}"), (SINGER, "/v1/models"),
        ("GET", f"/v1/jobs/{SINGER}/results/{SINGER}"), ("GET", f"/dicom-web/studies/{SINGER}"),
        ("GET", f"/dicom-web/studies/{SINGER}/series/{SINGER}/instances/{SINGER}/frames/{SINGER}"),
        ("GET", f"/dicom-web/studies?{SINGER}=1"), ("GET", f"/dicom-web/studies?StudyDate={SINGER}"),
        ("GET", f"/dicom-web/studies?limit={SINGER}"), ("GET", f"/dicom-web/instances?includefield={SINGER}"),
        ("GET", f"/dicom-web/studies?PatientBirthDate={BIRTH_DATE}x"),
    ],
)  # fmt: skip
async def test_addresses(method: str, address: str, watched: Watched, client: httpx.AsyncClient) -> None:
    answer = await client.request(method, address)
    assert answer.status_code < 500, answer.text
    found = answer.status_code < 400 and answer.json()  # an unknown field to include is passed over
    assert not found or "includefield" in address, "a search that finds nothing"
    assert not heard(str(answer.headers).encode() if found else answer.content + str(answer.headers).encode())
    watched.assert_silent()


async def test_jobs_that_are_cancelled_or_late(watched: Watched, client: httpx.AsyncClient) -> None:
    slow = FAST | {"num_hypotheses": 8, "num_steps": 900}
    accepted = await client.post("/v1/segmentations", params=slow, content=as_zip(singing()), headers=ZIP)
    assert (await client.delete(accepted.headers["Location"])).status_code < 300
    cancelled = await client.get(f"{accepted.headers['Location']}/events")
    late = await client.post(
        "/v1/segmentations",
        params=slow | {"wait": "true", "deadline_seconds": 2},
        content=as_zip(singing()),
        headers=ZIP,
    )
    assert late.status_code == 504, late.text
    for answer in (cancelled, late):
        assert not heard(answer.content)
    watched.assert_silent()


async def test_rules_that_are_tried(watched: Watched, client: httpx.AsyncClient) -> None:
    exclusion = f"{{name: {SINGER}, because: {SINGER}, when: [{{tag: PatientName, regex: '{SONG}'}}]}}"
    rules = f"version: 1\nexclude: [{exclusion}]\n"
    for text in (None, rules + "tasks: [{task: oncology, roles: {ct: {take: []}}}]\n", f"{rules}{SINGER}: [\n"):
        files = {"study": ("study.zip", as_zip(singing()))} | ({"rules": ("rules.yaml", text)} if text else {})
        answer = await client.post("/v1/rules:test", files=files)
        assert answer.status_code in (200, 400), answer.text
        assert not heard(str(answer.headers))
        if text is None:
            assert answer.status_code == 200
            assert not heard(answer.content)
    watched.assert_silent()
