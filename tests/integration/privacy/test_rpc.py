"""Nor the gRPC face."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from pydicom.dataset import Dataset

from service.api.rpc.v1 import segmentation_pb2 as pb
from tests.factories.canaries import heard
from tests.integration.privacy.watched import FAST, SINGER, TOKEN, Watched, as_zip, damaged, singing, without_a_role
from tests.integration.rpc.conftest import dicom_stream, open_stub


@pytest.mark.parametrize("study", [singing, damaged, without_a_role], ids=lambda study: study.__name__)
async def test_grpc(study: Callable[[], list[Dataset]], watched: Watched) -> None:
    metadata = (("authorization", f"Bearer {TOKEN}"),)
    async with open_stub(watched.process.rpc_address) as stub:
        call = stub.SegmentStream(dicom_stream(as_zip(study())), metadata=metadata)
        if study is singing:
            assert [message.WhichOneof("content") async for message in call][-1] == "result"
        else:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                [message async for message in call]
            assert not heard(f"{caught.value.details()}{caught.value.trailing_metadata()}")
    watched.assert_silent()


@pytest.mark.parametrize(
    "parameters", [{"task": SINGER}, {"sampler": SINGER}, {"assignment": {SINGER: SINGER}}], ids=lambda p: next(iter(p))
)
async def test_grpc_parameters(parameters: dict[str, Any], watched: Watched) -> None:
    async with open_stub(watched.process.rpc_address) as stub:
        for metadata in ((("authorization", f"Bearer {TOKEN}"),), (("authorization", f"Bearer {SINGER}"),)):
            request = pb.SegmentRequest(
                parameters=pb.SegmentationParameters(**(FAST | parameters)), files=[pb.InputFile(content=b"x")]
            )
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Segment(request, metadata=metadata)
            assert not heard(f"{caught.value.details()}{caught.value.trailing_metadata()}")
    watched.assert_silent()
