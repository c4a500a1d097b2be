"""The gRPC face end to end: real channel, real gateway, real Triton, small studies."""

import asyncio
import io
import json
import zipfile
from typing import Any

import grpc
import httpx
import pydicom
import pytest
from google.protobuf.duration_pb2 import Duration
from pydicom import DataElement, Dataset

from service.api.rpc.v1 import segmentation_pb2 as pb
from service.encode import Extra
from tests.factories.studies import dicom_zip, nifti_files
from tests.integration.rpc.conftest import FAST, SLOW, collect, dicom_stream, nifti_request, open_stub, told
from tests.servers.gateway import RunningGateway, StartGateway


def unpack(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


MOMENT_VRS = {"UI", "DA", "TM", "DT"}
"""An object made anew has identifiers and times of its own, through whichever door it was asked for."""


def without_moment(content: bytes) -> Dataset:
    dataset = pydicom.dcmread(io.BytesIO(content))

    def forget(parent: Dataset, element: DataElement) -> None:
        if element.VR in MOMENT_VRS and element.keyword != "ReferencedSOPInstanceUID":
            parent[element.tag].value = None

    dataset.walk(forget)
    return dataset


def without_moments(files: dict[str, bytes]) -> dict[str, Any]:
    """Return what must be equal: every byte but those that say when and under which new identifier it was made."""
    told = {name: without_moment(content) if name.endswith(".dcm") else content for name, content in files.items()}
    summary = json.loads(files["summary.json"])
    summary.pop("timings")
    return told | {"summary.json": summary}


async def rest_results(gateway: httpx.AsyncClient, **request: Any) -> dict[str, bytes]:
    answer = await gateway.post(
        "/v1/segmentations", headers={"Accept": "application/zip"} | request.pop("headers", {}), **request
    )
    assert answer.status_code == 200, answer.text
    return unpack(answer.content)


async def job_of(stub: Any, job_id: str) -> pb.Job:
    return (await stub.GetJob(pb.GetJobRequest(job_id=job_id))).job


async def test_nifti_gives_the_bytes_of_rest(gateway: RunningGateway, stub: Any) -> None:
    answer = await stub.Segment(nifti_request(seed=11))
    files = {file.info.name: file.content for file in answer.results}
    assert answer.job.state == pb.JOB_STATE_SUCCEEDED
    assert {file.info.name: file.info.size_bytes for file in answer.results} == {n: len(c) for n, c in files.items()}
    same = await rest_results(gateway, files=nifti_files(), data=FAST | {"seed": 11, "wait": "true"})
    other = await rest_results(gateway, files=nifti_files(), data=FAST | {"seed": 12, "wait": "true"})
    assert without_moments(files) == without_moments(same)
    assert without_moments(files) != without_moments(other)


async def test_dicom_gives_the_bytes_of_rest_and_tells_every_change(gateway: RunningGateway, stub: Any) -> None:
    study = dicom_zip()
    news = [message async for message in stub.SegmentStream(dicom_stream(study, seed=5))]
    jobs = [message.job for message in news if message.WhichOneof("content") == "job"]
    assert [job.version for job in jobs] == list(range(1, len(jobs) + 1))
    assert [job.state for job in (jobs[0], jobs[1], jobs[-1])] == [
        pb.JOB_STATE_QUEUED, pb.JOB_STATE_RUNNING, pb.JOB_STATE_SUCCEEDED,
    ]  # fmt: skip
    stages = list(dict.fromkeys(job.progress.stage for job in jobs if job.HasField("progress")))
    assert stages.index("ingest") < stages.index("sampling") < stages.index("encode")
    steps = [job.progress.step for job in jobs if job.progress.stage == "sampling"]
    assert len(steps) >= 2
    assert steps == sorted(steps)
    files = collect(news)
    assert {"segmentation.dcm", "error_probability.dcm", "conflict.dcm", "report.dcm", "mask.nii.gz"} < set(files)
    same = await rest_results(
        gateway, params=FAST | {"seed": 5, "wait": "true"}, content=study, headers={"Content-Type": "application/zip"}
    )
    assert without_moments(files) == without_moments(same)


async def test_further_results_are_named_alike_at_both_doors(gateway: RunningGateway, stub: Any) -> None:
    study, asked = dicom_zip(), [number for number in pb.ExtraResult.values() if number]
    news = [message async for message in stub.SegmentStream(dicom_stream(study, extra_results=asked))]
    files = collect(news)
    assert {"labelmap.dcm", "rtstruct.dcm", "montage.dcm", "attribution_ct.dcm", "attribution_t1.dcm"} < set(files)
    assert list(news[0].job.parameters.extra_results) == asked
    same = await rest_results(
        gateway,
        params=FAST | {"wait": "true", "extra_results": ",".join(Extra)},
        content=study,
        headers={"Content-Type": "application/zip"},
    )
    assert without_moments(files) == without_moments(same)


async def test_a_client_that_cancels_takes_its_job_along_between_steps(stub: Any) -> None:
    call = stub.SegmentStream(dicom_stream(**SLOW))
    async for message in call:
        if message.job.progress.stage == "sampling":
            job_id = message.job.id
            call.cancel()
            break
    for _ in range(200):
        job = await job_of(stub, job_id)
        if job.state not in (pb.JOB_STATE_QUEUED, pb.JOB_STATE_RUNNING):
            break
        await asyncio.sleep(0.05)
    assert job.state == pb.JOB_STATE_CANCELLED
    assert job.problem.kind == "cancelled"
    assert 0 < job.progress.step < job.progress.of


async def test_the_deadline_of_the_call_is_the_job_s(stub: Any) -> None:
    call = stub.SegmentStream(dicom_stream(**SLOW), timeout=1.5)
    news = aiter(call)
    job_id = (await anext(news)).job.id
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        _ = [message async for message in news]
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    async for message in stub.WatchJob(pb.WatchJobRequest(job_id=job_id)):
        job = message.job
    assert job.state == pb.JOB_STATE_FAILED
    assert job.problem.kind == "deadline-exceeded"
    assert job.finished_at.ToNanoseconds() - job.created_at.ToNanoseconds() < 5e9
    # The deadline of the parameters is told in full, since the call outlives it.
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Segment(nifti_request(**SLOW, deadline=Duration(nanos=300_000_000)))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert told(caught.value)["ErrorInfo"].reason == "DEADLINE_EXCEEDED"


async def test_a_detached_job_is_watched_collected_and_cancelled_by_others(stub: Any) -> None:
    queued = (await stub.Segment(nifti_request(detached=True), timeout=5)).job
    watch = pb.WatchJobRequest(job_id=queued.id, include_results=True, names=["mask.nii.gz", "summary.json"])
    news = [message async for message in stub.WatchJob(watch)]
    assert set(collect(news)) == {"mask.nii.gz", "summary.json"}
    last = [message.job for message in news if message.WhichOneof("content") == "job"][-1]
    rest = [m async for m in stub.WatchJob(pb.WatchJobRequest(job_id=queued.id, after_version=last.version - 1))]
    assert [message.job.version for message in rest] == [last.version]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.CancelJob(pb.CancelJobRequest(job_id=queued.id))
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    slow = [m async for m in stub.SegmentStream(dicom_stream(detached=True, **SLOW))]
    assert [message.job.state for message in slow] == [pb.JOB_STATE_QUEUED]
    await stub.CancelJob(pb.CancelJobRequest(job_id=slow[0].job.id))
    watch = pb.WatchJobRequest(job_id=slow[0].job.id, include_results=True)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        _ = [message async for message in stub.WatchJob(watch)]
    assert caught.value.code() is grpc.StatusCode.CANCELLED
    assert told(caught.value)["ErrorInfo"].metadata["kind"] == "cancelled"


async def test_stat_overtakes_routine(start_gateway: StartGateway) -> None:
    async with start_gateway() as own, open_stub(own.rpc_address) as stub:
        first = (await stub.Segment(nifti_request(**SLOW, detached=True))).job
        routine = (await stub.Segment(nifti_request(detached=True))).job
        stat = (await stub.Segment(nifti_request(priority=pb.PRIORITY_STAT, detached=True))).job
        await stub.CancelJob(pb.CancelJobRequest(job_id=first.id))
        ends = {}
        for job in (routine, stat):
            async for message in stub.WatchJob(pb.WatchJobRequest(job_id=job.id)):
                ends[job.id] = message.job
        assert ends[stat.id].finished_at.ToNanoseconds() < ends[routine.id].started_at.ToNanoseconds()


async def test_overload_says_when_to_come_back(start_gateway: StartGateway) -> None:
    async with start_gateway(jobs={"max_queued": 1}) as own, open_stub(own.rpc_address) as stub:
        running = (await stub.Segment(nifti_request(**SLOW, detached=True))).job
        while (await job_of(stub, running.id)).state != pb.JOB_STATE_RUNNING:
            await asyncio.sleep(0.02)
        await stub.Segment(nifti_request(detached=True))
        for call in (stub.Segment(nifti_request()), stub.SegmentStream(dicom_stream()).read()):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            details = told(caught.value)
            assert details["ErrorInfo"].metadata["kind"] == "overloaded"
            assert details["RetryInfo"].retry_delay.ToSeconds() == 10
        await stub.CancelJob(pb.CancelJobRequest(job_id=running.id))


@pytest.mark.parametrize("algorithm", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_compressed_calls_give_the_same(start_gateway: StartGateway, stub: Any, algorithm: Any) -> None:
    plain = await stub.Segment(nifti_request(seed=9))
    async with (
        start_gateway(rpc={"compression": "gzip"}) as own,
        open_stub(own.rpc_address, compression=algorithm) as other,
    ):
        small = await other.Segment(nifti_request(seed=9))
    read = [{f.info.name: f.content for f in answer.results} for answer in (plain, small)]
    assert without_moments(read[0]) == without_moments(read[1])
