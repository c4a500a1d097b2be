"""A real gateway: HTTP and gRPC on free ports, in front of the session's Triton."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.api.rest.listener import listen
from service.app import (
    bind_rpc,
    make_server,
    open_archive,
    open_dimse,
    open_gateway,
    read_certificate,
)
from service.intake.access import Access, read_tokens
from service.peers import open_worklist
from service.settings import Settings
from service.startup import make_metrics, open_audit
from service.triton.embedded import EmbeddedTriton
from service.worklist.in_process import QueuedStudies


class RunningGateway(httpx.AsyncClient):
    """An HTTP client of a gateway that knows its other addresses, too."""

    rpc_address = ""
    dimse_port = 0


StartGateway = Callable[..., AbstractAsyncContextManager[RunningGateway]]
"""Starts a gateway with settings by group (``jobs={"max_queued": 1}``) and gives a client of it."""


@pytest.fixture(scope="session")
def start_gateway(triton: EmbeddedTriton, tmp_path_factory: pytest.TempPathFactory) -> StartGateway:
    """Start gateways with settings of a test's own."""

    @contextlib.asynccontextmanager
    async def start(**groups: dict[str, Any]) -> AsyncIterator[RunningGateway]:
        folder = tmp_path_factory.mktemp("work")
        groups["triton"] = {"url": triton.url} | groups.get("triton", {})
        groups["jobs"] = {"work_folder": folder} | groups.get("jobs", {})
        groups["rpc"] = {"port": 0} | groups.get("rpc", {})
        groups["studies"] = {"enabled": False} | groups.get("studies", {})
        groups["inference"] = {"max_steps": 1000} | groups.get("inference", {})  # jobs that no machine ends by itself
        settings = Settings.model_validate(groups)
        metrics, access = make_metrics(), Access(read_tokens(settings.auth.token_file))
        certificate = read_certificate(settings)
        with (
            open_audit(settings, metrics),
            open_archive(settings, metrics) as archive,
            open_dimse(settings, metrics, archive, certificate) as dimse_port,
        ):
            async with (
                bind_rpc(settings, metrics, access, certificate) as rpc,
                open_gateway(settings, metrics, access, archive=archive) as gateway,
                rpc.serve(gateway),
                open_worklist(settings, metrics, gateway.retrievals, QueuedStudies(gateway)) as stop_worklist,
            ):
                with listen("127.0.0.1", 0) as listener:
                    server = make_server(gateway, certificate)
                    serving = asyncio.create_task(server.serve(sockets=[listener]))
                    scheme, (host, port) = "https" if certificate else "http", listener.getsockname()[:2]
                    try:
                        async with RunningGateway(
                            base_url=f"{scheme}://{host}:{port}",
                            timeout=120.0,
                            trust_env=False,
                            verify=ssl.create_default_context(cafile=settings.tls.certificate_file)
                            if certificate
                            else True,
                        ) as client:
                            client.rpc_address = f"127.0.0.1:{rpc.port}"
                            client.dimse_port = dimse_port
                            while not server.started:
                                await asyncio.sleep(0.01)
                            yield client
                    finally:
                        await stop_worklist()
                        await gateway.runner.stop(0.0)
                        server.should_exit = True
                        await serving
        assert _is_empty(folder), "uploads were left behind"

    return start


@pytest.fixture(scope="session")
async def gateway(start_gateway: StartGateway) -> AsyncIterator[RunningGateway]:
    """A client of the session's gateway."""
    async with start_gateway(rest={"max_body_bytes": 4_000_000}) as client:
        yield client


def _is_empty(folder: Path) -> bool:
    return not any(path.is_file() for path in folder.rglob("*"))
