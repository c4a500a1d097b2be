"""The standard health service: SERVING where work can be done, asked anew at every check."""

import asyncio
from typing import Any

from grpc_health.v1 import health, health_pb2

from service.intake.gateway import Gateway
from service.pipeline import hindrances

WATCH_SECONDS = 2.0
"""How soon a watcher hears of a change."""


class Health(health.aio.HealthServicer):  # type: ignore[misc]  # untyped
    """grpc.health.v1.Health.

    Args:
        gateway: The service.
        names: Names of the services that the answer is about, beside the empty name.
    """

    def __init__(self, gateway: Gateway, *names: str) -> None:
        super().__init__()
        self._gateway = gateway
        self._names = ("", *names)

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> Any:  # noqa: N802
        """Say whether work can be done: Triton is there, and every deployed task is served as the contract promises."""
        await self.refresh()
        return await super().Check(request, context)

    async def refresh(self) -> None:
        """Ask, and tell watchers."""
        models = await self._gateway.pipeline.models()
        ready = not hindrances(models) and not self._gateway.runner.stopping
        status = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in self._names:
            await self.set(name, status)

    async def keep(self) -> None:
        """Refresh for as long as the task lives."""
        while True:
            await self.refresh()
            await asyncio.sleep(WATCH_SECONDS)
