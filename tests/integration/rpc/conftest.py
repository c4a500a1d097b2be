"""Callers of the gRPC face, over real channels."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from service.api.rpc.v1 import segmentation_pb2 as pb
from service.api.rpc.v1 import segmentation_pb2_grpc as pb_grpc
from tests.factories.studies import dicom_zip, nifti_files
from tests.servers.gateway import RunningGateway

FAST: dict[str, Any] = {"task": "oncology", "num_hypotheses": 2, "num_steps": 2}
SLOW: dict[str, Any] = {"task": "oncology", "num_hypotheses": 8, "num_steps": 600}
OPTIONS = [("grpc.max_receive_message_length", 64 * 1024 * 1024)]


@contextlib.asynccontextmanager
async def open_stub(address: str, **options: Any) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(address, options=OPTIONS, **options) as channel:
        yield pb_grpc.SegmentationServiceStub(channel)


@pytest.fixture(scope="session")
async def stub(gateway: RunningGateway) -> AsyncIterator[Any]:
    async with open_stub(gateway.rpc_address) as made:
        yield made


def nifti_request(**parameters: Any) -> pb.SegmentRequest:
    files = [pb.InputFile(modality=slug, content=content) for slug, (_, content) in nifti_files().items()]
    detached = parameters.pop("detached", False)
    return pb.SegmentRequest(
        parameters=pb.SegmentationParameters(**(FAST | parameters)), files=files, detached=detached
    )


async def dicom_stream(
    content: bytes | None = None, *, chunk: int = 10_000, detached: bool = False, **parameters: Any
) -> AsyncIterator[pb.SegmentStreamRequest]:
    content = dicom_zip() if content is None else content
    asked = pb.SegmentationParameters(**(FAST | parameters))
    yield pb.SegmentStreamRequest(start=pb.SegmentStreamStart(parameters=asked, detached=detached))
    yield pb.SegmentStreamRequest(file=pb.InputFileStart())
    for at in range(0, len(content), chunk):
        yield pb.SegmentStreamRequest(data=content[at : at + chunk])


def collect(messages: list[Any]) -> dict[str, bytes]:
    """Put the results of a stream together, checking that every piece comes in its place."""
    files: dict[str, bytearray] = {}
    sizes: dict[str, int] = {}
    for message in messages:
        if message.WhichOneof("content") == "result":
            chunk = message.result
            file = files.setdefault(chunk.info.name, bytearray())
            assert chunk.offset_bytes == len(file)
            file += chunk.data
            sizes[chunk.info.name] = chunk.info.size_bytes
    assert {name: len(file) for name, file in files.items()} == sizes
    return {name: bytes(file) for name, file in files.items()}


def told(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    """Return the standard details of an error by their type."""
    status = rpc_status.from_call(error)
    assert status is not None, error
    found = {}
    for packed in status.details:
        name = packed.type_url.rsplit(".", 1)[-1]
        found[name] = getattr(error_details_pb2, name)()
        assert packed.Unpack(found[name])
    assert found["ErrorInfo"].domain == "entrust"
    assert found["LocalizedMessage"].message.startswith(status.message)
    assert len(found["RequestInfo"].request_id) == 16
    assert dict(error.trailing_metadata() or ())["x-request-id"] == found["RequestInfo"].request_id
    return found
