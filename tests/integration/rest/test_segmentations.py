"""The HTTP face end to end: real uvicorn, real Triton, small studies."""

import asyncio
import io
import json
import zipfile
from typing import Any

import httpx
import pydicom
import pytest
import SimpleITK as sitk
from prometheus_client.parser import text_string_to_metric_families

from tests.factories.studies import dicom_bytes, dicom_datasets, dicom_zip, limb, nifti_files

FAST: dict[str, Any] = {"task": "oncology", "num_hypotheses": 2, "num_steps": 2}
NIFTI_NAMES = {
    "mask.nii.gz", "probability.nii.gz", "error_probability.nii.gz", "conflict.nii.gz", "attribution_ct.nii.gz",
    "attribution_pet.nii.gz", "attribution_t1.nii.gz", "montage.png", "summary.json",
}  # fmt: skip
DICOM_NAMES = {"segmentation.dcm", "error_probability.dcm", "conflict.dcm", "report.dcm"}


def unpack(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def read_nifti(content: bytes, folder: Any) -> sitk.Image:
    path = folder / "volume.nii.gz"
    path.write_bytes(content)
    return sitk.ReadImage(str(path))


async def follow(
    gateway: httpx.AsyncClient, address: str, headers: dict[str, str] | None = None
) -> list[dict[str, str]]:
    """Return every server-sent event up to the end of the stream, by the rules of the HTML standard."""
    events: list[dict[str, str]] = [{}]
    async with gateway.stream("GET", address, headers=headers) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        async for line in stream.aiter_lines():
            name, _, value = line.partition(":")
            if line == "":
                events.append({})
            elif name:  # else it is a comment that keeps the connection alive
                events[-1][name] = value.removeprefix(" ")
    return [event for event in events if event]


async def segment_and_wait(gateway: httpx.AsyncClient, accept: str = "", **parameters: Any) -> httpx.Response:
    headers = {"Accept": accept} if accept else {}
    return await gateway.post(
        "/v1/segmentations", files=nifti_files(), data=FAST | {"wait": "true"} | parameters, headers=headers
    )


@pytest.fixture(scope="module")
async def finished(gateway: httpx.AsyncClient) -> dict[str, Any]:
    """A job that ended well, from a DICOM zip sent as the body."""
    accepted = await gateway.post(
        "/v1/segmentations", params=FAST, content=dicom_zip(), headers={"Content-Type": "application/zip"}
    )
    assert accepted.status_code == 202, accepted.text
    assert accepted.headers["Location"] == accepted.json()["links"]["self"]
    events = await follow(gateway, accepted.json()["links"]["events"])
    job = (await gateway.get(accepted.headers["Location"])).json()
    assert job["state"] == "succeeded", job
    return job | {"seen": events}


async def test_nifti_in_nifti_out_in_the_geometry_of_the_source(gateway: httpx.AsyncClient, tmp_path: Any) -> None:
    answer = await segment_and_wait(gateway)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/zip"
    files = unpack(answer.content)
    assert set(files) == NIFTI_NAMES
    source = limb()["ct"]
    mask = read_nifti(files["mask.nii.gz"], tmp_path)
    assert sitk.GetArrayFromImage(mask).shape == source.array.shape
    assert mask.GetOrigin() == pytest.approx(source.grid.origin_mm)
    assert mask.GetSpacing() == pytest.approx(source.grid.spacing_mm[::-1])
    error = sitk.GetArrayFromImage(read_nifti(files["error_probability.nii.gz"], tmp_path))
    assert 0.0 <= error.min() <= error.max() <= 1.0


async def test_dicom_in_dicom_out(gateway: httpx.AsyncClient, finished: dict[str, Any]) -> None:
    assert {product["name"] for product in finished["results"]} == NIFTI_NAMES | DICOM_NAMES
    answer = await gateway.get(f"{finished['links']['results']}/segmentation.dcm")
    dataset = pydicom.dcmread(io.BytesIO(answer.content))
    assert answer.headers["Content-Type"] == "application/dicom"
    assert dataset.Modality == "SEG"
    assert len(dataset.ReferencedSeriesSequence) == 3


async def test_further_dicom_results_come_on_request(gateway: httpx.AsyncClient) -> None:
    answer = await gateway.post(
        "/v1/segmentations",
        params=FAST | {"wait": "true", "extra_results": "rtstruct,labelmap"},
        content=dicom_zip(),
        headers={"Content-Type": "application/zip", "Accept": "application/zip"},
    )
    assert set(unpack(answer.content)) == NIFTI_NAMES | DICOM_NAMES | {"labelmap.dcm", "rtstruct.dcm"}


async def test_further_dicom_results_need_a_dicom_study(gateway: httpx.AsyncClient) -> None:
    answer = await segment_and_wait(gateway, extra_results="rtstruct")
    assert answer.status_code == 400
    assert answer.json()["type"].endswith("invalid-input")


async def test_events_come_once_each_in_order_and_end_with_the_job(finished: dict[str, Any]) -> None:
    events = finished["seen"]
    jobs = [json.loads(event["data"]) for event in events]
    assert [int(event["id"]) for event in events] == list(range(1, len(events) + 1))
    assert [job["version"] for job in jobs] == list(range(1, len(events) + 1))
    assert events[0]["event"] == "queued"
    assert events[1]["event"] == "running"
    assert events[-1]["event"] == "succeeded"
    assert all(event["event"] == "progress" for event in events[2:-1])
    stages = [job["progress"]["stage"] for job in jobs if job["progress"]]
    order = list(dict.fromkeys(stages))
    for earlier, later in [("ingest", "prepare"), ("prepare", "sampling"), ("sampling", "trust"), ("trust", "encode")]:
        assert order.index(earlier) < order.index(later)


async def test_events_go_on_after_the_last_one_seen(gateway: httpx.AsyncClient, finished: dict[str, Any]) -> None:
    last = len(finished["seen"])
    rest = await follow(gateway, finished["links"]["events"], {"Last-Event-ID": str(last - 2)})
    assert [int(event["id"]) for event in rest] == [last - 1, last]


@pytest.mark.parametrize(
    ("accept", "media_type", "starts"),
    [
        ("*/*", "application/zip", b"PK"),
        ("application/json", "application/json", b"{"),
        ("image/png", "image/png", b"\x89PNG"),
        ("application/dicom", "application/dicom", bytes(128) + b"DICM"),
        ("application/x-nifti", "application/x-nifti", b"\x1f\x8b"),
        ("application/gzip;q=0.5, text/html", "application/gzip", b"\x1f\x8b"),
    ],
)
async def test_results_are_negotiated(
    gateway: httpx.AsyncClient, finished: dict[str, Any], accept: str, media_type: str, starts: bytes
) -> None:
    answer = await gateway.get(finished["links"]["results"], headers={"Accept": accept})
    assert answer.headers["Content-Type"] == media_type
    assert answer.content.startswith(starts)
    assert answer.headers["Cache-Control"] == "no-store"


async def test_what_is_not_there_cannot_be_negotiated(gateway: httpx.AsyncClient, finished: dict[str, Any]) -> None:
    answer = await gateway.get(finished["links"]["results"], headers={"Accept": "text/html"})
    assert answer.status_code == 406
    assert "application/zip" in answer.json()["fix"]
    assert (await segment_and_wait(gateway, accept="application/dicom")).status_code == 406  # NIfTI came


async def test_many_dicom_files_in_one_form(gateway: httpx.AsyncClient) -> None:
    files = [("study", (f"{i}", dicom_bytes(ds))) for i, ds in enumerate(dicom_datasets(("ct",)))]
    answer = await gateway.post(
        "/v1/segmentations",
        files=files,
        data=FAST | {"wait": "true"},
        headers={"Accept": "application/json"},
    )
    assert answer.status_code == 200, answer.text
    summary = answer.json()
    assert summary["missing"] == ["pet", "t1"]
    assert {warning["code"] for warning in summary["warnings"]} >= {"modality-missing"}


async def test_two_at_once_give_the_bytes_of_one_alone(gateway: httpx.AsyncClient, start_gateway: Any) -> None:
    alone = unpack((await segment_and_wait(gateway, seed=3)).content)
    async with start_gateway(jobs={"concurrency": 2}) as busy:
        both = await asyncio.gather(segment_and_wait(busy, seed=3), segment_and_wait(busy, seed=3))
        other = unpack((await segment_and_wait(busy, seed=4)).content)
    for answer in both:
        files = unpack(answer.content)
        assert {n: files[n] for n in files if n != "summary.json"} == {
            n: alone[n] for n in alone if n != "summary.json"
        }
    assert other["probability.nii.gz"] != alone["probability.nii.gz"]


async def test_metrics_tell_of_the_run(gateway: httpx.AsyncClient, finished: dict[str, Any]) -> None:
    answer = await gateway.get("/metrics")
    samples = [
        sample
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.labels.get("task", "oncology") == "oncology"
    ]
    value = {
        (s.name, s.labels.get("step_index") or s.labels.get("stage") or s.labels.get("outcome")): s for s in samples
    }
    steps = [s for s in samples if s.name == "entrust_sampling_step_duration_seconds_count"]
    assert steps
    assert steps[0].labels == {"task": "oncology", "sampler": "ddim", "precision": "fp32"}
    assert steps[0].value >= 2
    first, second = (value[("entrust_sampling_steps_total", index)].value for index in ("0", "1"))
    assert first >= second >= 1  # other tests' jobs may have been taken back after their first step
    for stage in ("ingest", "prepare", "inference", "trust", "encode"):
        assert value[("entrust_stage_duration_seconds_count", stage)].value >= 1
    assert value[("entrust_jobs_finished_total", "succeeded")].value >= 1
    assert any(s.name == "entrust_triton_payload_bytes_total" and s.value > 0 for s in samples)
    assert any(s.name == "entrust_uncertain_volume_ratio_count" and s.value >= 1 for s in samples)
    assert any(s.name == "entrust_conflict_volume_ratio_count" and s.labels["pair"] == "pet-t1" for s in samples)


async def test_models_health_and_documentation(gateway: httpx.AsyncClient) -> None:
    model, *others = (await gateway.get("/v1/models")).json()["models"]
    assert [other["task"] for other in others] == ["brain", "cardiac", "lesion"]
    assert (model["task"], model["ready"], model["reason"]) == ("oncology", True, "")
    assert [m["slug"] for m in model["modalities"]] == ["ct", "pet", "t1"]
    assert len(model["digest"]) == 64
    assert (await gateway.get("/health/live")).json()["status"] == "live"
    ready = await gateway.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    assert (await gateway.get("/docs")).status_code == 200
