"""A real gateway: uvicorn on a free port, in front of the session's Triton."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.app import listen, make_metrics, make_server, open_gateway
from service.settings import Settings
from service.triton.embedded import EmbeddedTriton

StartGateway = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
"""Starts a gateway with settings by group (``jobs={"max_queued": 1}``) and gives a client of it."""


@pytest.fixture(scope="session")
def start_gateway(triton: EmbeddedTriton, tmp_path_factory: pytest.TempPathFactory) -> StartGateway:
    """Start gateways with settings of a test's own."""

    @contextlib.asynccontextmanager
    async def start(**groups: dict[str, Any]) -> AsyncIterator[httpx.AsyncClient]:
        folder = tmp_path_factory.mktemp("work")
        groups["triton"] = {"url": triton.url} | groups.get("triton", {})
        groups["jobs"] = {"work_folder": folder} | groups.get("jobs", {})
        settings = Settings.model_validate(groups)
        with listen("127.0.0.1", 0) as listener:
            async with open_gateway(settings, make_metrics()) as gateway:
                server = make_server(gateway)
                serving = asyncio.create_task(server.serve(sockets=[listener]))
                url = "http://{}:{}".format(*listener.getsockname()[:2])
                try:
                    async with httpx.AsyncClient(base_url=url, timeout=120.0, trust_env=False) as client:
                        while not server.started:
                            await asyncio.sleep(0.01)
                        yield client
                finally:
                    await gateway.runner.stop(0.0)
                    server.should_exit = True
                    await serving
        assert _is_empty(folder), "uploads were left behind"

    return start


@pytest.fixture(scope="session")
async def gateway(start_gateway: StartGateway) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the session's gateway."""
    async with start_gateway(rest={"max_body_bytes": 4_000_000}) as client:
        yield client


def _is_empty(folder: Path) -> bool:
    return not any(path.is_file() for path in folder.rglob("*"))
