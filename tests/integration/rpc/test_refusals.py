"""What the gRPC face refuses, and that it says why and what to do."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from service.api.rpc.v1 import segmentation_pb2 as pb
from tests.factories.studies import dicom_bytes, dicom_datasets, dicom_zip, nifti_files, zipped
from tests.integration.rpc.conftest import FAST, dicom_stream, nifti_request, open_stub, told
from tests.servers.gateway import StartGateway

CODE = grpc.StatusCode


def with_files(*files: tuple[str, bytes], **parameters: Any) -> pb.SegmentRequest:
    asked = pb.SegmentationParameters(**(FAST | parameters))
    return pb.SegmentRequest(
        parameters=asked, files=[pb.InputFile(modality=slug, content=content) for slug, content in files]
    )


def two_frames() -> bytes:
    datasets = dicom_datasets(("ct",))
    datasets[2].ImageOrientationPatient = [1, 0, 0, 0, 0.8, 0.6]
    return zipped({f"{i}.dcm": dicom_bytes(ds) for i, ds in enumerate(datasets)})


def without_task(slug: str) -> pb.SegmentRequest:
    content = nifti_files((slug,))[slug][1]
    return pb.SegmentRequest(files=[pb.InputFile(modality=slug, content=content)])


BAD: dict[str, tuple[pb.SegmentRequest, grpc.StatusCode, str]] = {
    "unknown task": (nifti_request(task="everything"), CODE.NOT_FOUND, "not-found"),
    "nothing": (pb.SegmentRequest(), CODE.INVALID_ARGUMENT, "invalid-input"),
    "no task, and a file of several": (without_task("t1"), CODE.INVALID_ARGUMENT, "invalid-input"),
    "no files": (with_files(), CODE.INVALID_ARGUMENT, "invalid-input"),
    "empty file": (with_files(("", b"")), CODE.INVALID_ARGUMENT, "invalid-input"),
    "no steps": (nifti_request(num_steps=0), CODE.INVALID_ARGUMENT, "invalid-input"),
    "too many hypotheses": (nifti_request(num_hypotheses=10_000), CODE.INVALID_ARGUMENT, "invalid-input"),
    "seed too large": (nifti_request(seed=2**63), CODE.INVALID_ARGUMENT, "invalid-input"),
    "unknown sampler": (nifti_request(sampler="magic"), CODE.INVALID_ARGUMENT, "invalid-input"),
    "unknown priority": (nifti_request(priority=77), CODE.INVALID_ARGUMENT, "invalid-input"),
    "unknown modality": (with_files(("xray", b"1")), CODE.INVALID_ARGUMENT, "invalid-input"),
    "path for a modality": (with_files(("../../etc", b"1")), CODE.INVALID_ARGUMENT, "invalid-input"),
    "study and modality": (with_files(("", b"1"), ("ct", b"1")), CODE.INVALID_ARGUMENT, "invalid-input"),
    "modality twice": (with_files(("ct", b"1"), ("ct", b"1")), CODE.INVALID_ARGUMENT, "invalid-input"),
    "no image": (with_files(("", b"nonsense" * 50)), CODE.INVALID_ARGUMENT, ""),
    "truncated zip": (with_files(("", dicom_zip()[:-500])), CODE.INVALID_ARGUMENT, ""),
    "gantry tilt": (with_files(("", two_frames())), CODE.INVALID_ARGUMENT, "geometry-conflict"),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_requests_say_why_and_what_to_do(stub: Any, name: str) -> None:
    request, code, kind = BAD[name]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Segment(request, timeout=60)
    assert caught.value.code() is code, caught.value
    details = told(caught.value)
    assert details["Help"].links[0].description
    assert "RetryInfo" not in details
    if kind:
        assert details["ErrorInfo"].metadata["kind"] == kind
        assert details["ErrorInfo"].reason == kind.upper().replace("-", "_")


START = pb.SegmentStreamRequest(start=pb.SegmentStreamStart(parameters=pb.SegmentationParameters(**FAST)))
FILE = pb.SegmentStreamRequest(file=pb.InputFileStart())
DATA = pb.SegmentStreamRequest(data=b"1")


@pytest.mark.parametrize(
    "pieces",
    [[], [FILE, DATA], [START], [START, DATA], [START, FILE], [START, FILE, FILE, DATA], [START, FILE, DATA, START]],
    ids=["nothing", "no start", "no file", "bytes of nothing", "empty file", "empty first file", "two starts"],
)
async def test_streams_out_of_order_are_refused(stub: Any, pieces: list[pb.SegmentStreamRequest]) -> None:
    async def send() -> AsyncIterator[pb.SegmentStreamRequest]:
        for piece in pieces:
            yield piece

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.SegmentStream(send()).read()
    assert caught.value.code() is CODE.INVALID_ARGUMENT
    assert told(caught.value)["ErrorInfo"].reason == "INVALID_INPUT"


async def test_unknown_jobs_and_methods(stub: Any, gateway: Any) -> None:
    for call in (
        stub.GetJob(pb.GetJobRequest(job_id="nobody")),
        stub.CancelJob(pb.CancelJobRequest(job_id="nobody")),
        stub.WatchJob(pb.WatchJobRequest(job_id="nobody")).read(),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is CODE.NOT_FOUND
        assert told(caught.value)["ErrorInfo"].reason == "NOT_FOUND"
    async with grpc.aio.insecure_channel(gateway.rpc_address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary("/entrust.v1.SegmentationService/Nothing")(b"")
    assert caught.value.code() is CODE.UNIMPLEMENTED


async def test_too_large_says_how_large_it_may_be(start_gateway: StartGateway) -> None:
    limits = {"rpc": {"max_message_bytes": 65_536}, "rest": {"max_body_bytes": 200_000}}
    async with start_gateway(**limits) as own, open_stub(own.rpc_address) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Segment(with_files(("ct", bytes(70_000))))
        assert caught.value.code() is CODE.OUT_OF_RANGE
        assert told(caught.value)["ErrorInfo"].metadata["limit_bytes"] == "65536"
        assert "SegmentStream" in told(caught.value)["Help"].links[0].description
        with pytest.raises(grpc.aio.AioRpcError) as caught:  # far too large: by the library, before it is read
            await stub.Segment(with_files(("ct", bytes(150_000))))
        assert caught.value.code() is CODE.RESOURCE_EXHAUSTED
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.SegmentStream(dicom_stream(bytes(300_000))).read()
        assert caught.value.code() is CODE.OUT_OF_RANGE
        assert told(caught.value)["ErrorInfo"].metadata["limit_bytes"] == "200000"
        # The results of a study that fits do not; they are still there, in pieces.
        study = dicom_zip(("ct",))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Segment(with_files(("", study)))
        assert caught.value.code() is CODE.OUT_OF_RANGE
        info = told(caught.value)["ErrorInfo"].metadata
        watch = pb.WatchJobRequest(job_id=info["job_id"], include_results=True)
        assert [m async for m in stub.WatchJob(watch)][-1].result.info.name


async def test_a_silent_sender_is_told(start_gateway: StartGateway) -> None:
    import asyncio

    async def send() -> AsyncIterator[pb.SegmentStreamRequest]:
        yield START
        await asyncio.sleep(30)

    async with start_gateway(rest={"upload_timeout_seconds": 0.2}) as own, open_stub(own.rpc_address) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.SegmentStream(send()).read()
        assert caught.value.code() is CODE.DEADLINE_EXCEEDED
        assert told(caught.value)["ErrorInfo"].reason == "DEADLINE_EXCEEDED"


async def test_tokens_guard_both_faces(start_gateway: StartGateway, tmp_path: Path) -> None:
    token = "correct-horse-battery"  # noqa: S105
    (tmp_path / "tokens").write_text(f"another-token-for-change\n{token}\n")
    async with start_gateway(auth={"token_file": tmp_path / "tokens"}) as own, open_stub(own.rpc_address) as stub:
        for metadata in ((), (("authorization", "Bearer wrong-horse-battery"),), (("authorization", token),)):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.ListModels(pb.ListModelsRequest(), metadata=metadata)
            assert caught.value.code() is CODE.UNAUTHENTICATED
            assert told(caught.value)["ErrorInfo"].reason == "UNAUTHENTICATED"
            answer = await own.get("/v1/models", headers=dict(metadata))
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        right = (("authorization", f"Bearer {token}"),)
        assert (await stub.ListModels(pb.ListModelsRequest(), metadata=right)).models
        assert (await own.get("/v1/models", headers=dict(right))).status_code == 200
        assert (await own.get("/health/ready")).status_code == 200
        async with grpc.aio.insecure_channel(own.rpc_address) as channel:
            reflection: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
            question = reflection_pb2.ServerReflectionRequest(list_services="")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await reflection.ServerReflectionInfo(iter([question])).read()
            assert caught.value.code() is CODE.UNAUTHENTICATED
            listed = await reflection.ServerReflectionInfo(iter([question]), metadata=right).read()
            assert len(listed.list_services_response.service) >= 2
