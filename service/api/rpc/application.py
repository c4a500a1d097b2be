"""The gRPC server: its methods, the standard services beside them, and its limits."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from service.api.rpc.boundary import Boundary
from service.api.rpc.health import Health
from service.api.rpc.jobs import cancel_job, get_job, watch_job
from service.api.rpc.models import list_models
from service.api.rpc.segmentations import segment, segment_stream
from service.api.rpc.v1 import segmentation_pb2 as pb
from service.api.rpc.v1 import segmentation_pb2_grpc as pb_grpc
from service.intake.access import Access
from service.intake.gateway import Gateway
from service.observability.metrics import Metrics

NAME: str = pb.DESCRIPTOR.services_by_name["SegmentationService"].full_name
COMPRESSIONS = {
    "none": grpc.Compression.NoCompression,
    "deflate": grpc.Compression.Deflate,
    "gzip": grpc.Compression.Gzip,
}


@dataclass(frozen=True)
class RpcLimits:
    """Bounds on the face.

    Attributes:
        max_message_bytes: Largest message.
        max_calls: Calls at a time.
        compression: ``none``, ``deflate`` or ``gzip``, for the answers.
    """

    max_message_bytes: int
    max_calls: int
    compression: str


class SegmentationService(pb_grpc.SegmentationServiceServicer):
    """The methods, each in the file of its subject.

    Args:
        gateway: The service behind them.
        max_bytes: Largest message.
    """

    def __init__(self, gateway: Gateway, max_bytes: int) -> None:
        self._gateway = gateway
        self._max_bytes = max_bytes

    async def Segment(self, request: pb.SegmentRequest, context: Any) -> pb.SegmentResponse:  # noqa: N802
        """See the proto."""
        return await segment(self._gateway, self._max_bytes, request, context)

    async def SegmentStream(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.SegmentStreamRequest], context: Any
    ) -> AsyncIterator[pb.SegmentStreamResponse]:
        """See the proto."""
        async with contextlib.aclosing(
            segment_stream(self._gateway, self._max_bytes, request_iterator, context)  # type: ignore[type-var]
        ) as news:
            async for each in news:
                yield each

    async def GetJob(self, request: pb.GetJobRequest, context: Any) -> pb.GetJobResponse:  # noqa: ARG002, N802
        """See the proto."""
        return await get_job(self._gateway, request)

    async def WatchJob(  # noqa: N802
        self,
        request: pb.WatchJobRequest,
        context: Any,  # noqa: ARG002
    ) -> AsyncIterator[pb.WatchJobResponse]:
        """See the proto."""
        async for each in watch_job(self._gateway, self._max_bytes, request):
            yield each

    async def CancelJob(self, request: pb.CancelJobRequest, context: Any) -> pb.CancelJobResponse:  # noqa: ARG002, N802
        """See the proto."""
        return await cancel_job(self._gateway, request)

    async def ListModels(  # noqa: N802
        self,
        request: pb.ListModelsRequest,  # noqa: ARG002
        context: Any,  # noqa: ARG002
    ) -> pb.ListModelsResponse:
        """See the proto."""
        return await list_models(self._gateway, self._max_bytes)


def create_server(metrics: Metrics, access: Access, limits: RpcLimits) -> grpc.aio.Server:
    """Build the server, without methods yet, so that its address can be taken before anything slow is started."""
    return grpc.aio.server(
        interceptors=[Boundary(metrics, access)],
        options=[
            # The library refuses without saying what to do; twice the limit leaves most refusals to us.
            ("grpc.max_receive_message_length", 2 * limits.max_message_bytes),
            ("grpc.max_send_message_length", limits.max_message_bytes),
            ("grpc.so_reuseport", 0),  # a port that is taken is an error, not a lottery between two gateways
        ],
        compression=COMPRESSIONS[limits.compression],
        maximum_concurrent_rpcs=limits.max_calls,
    )


@contextlib.asynccontextmanager
async def open_services(
    server: grpc.aio.Server, gateway: Gateway, limits: RpcLimits, *, close_seconds: float
) -> AsyncIterator[None]:
    """Serve the methods, health and reflection; on the way out calls may take ``close_seconds`` to end."""
    health = Health(gateway, NAME)
    await health.refresh()
    pb_grpc.add_SegmentationServiceServicer_to_server(SegmentationService(gateway, limits.max_message_bytes), server)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    health_name = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
    reflection.enable_server_reflection((NAME, health_name, reflection.SERVICE_NAME), server)
    await server.start()
    keeping = asyncio.create_task(health.keep(), name="rpc-health")
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await health.enter_graceful_shutdown()
        await server.stop(close_seconds)
