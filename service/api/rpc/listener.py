"""The address of the gRPC face: taken before anything slow is started, served once there is something behind it."""

import contextlib
from collections.abc import AsyncIterator

import grpc

from entrust.errors import InvalidInputError
from service.api.rpc.application import RpcLimits, create_server, open_services
from service.intake.access import Access
from service.intake.certificates import Certificate
from service.intake.gateway import Gateway
from service.observability.metrics import Metrics

CLOSE_SECONDS = 5.0
"""How long calls may take to end once every job has ended."""


class RpcListener:
    """A server that holds its address.

    Args:
        server: The server; None where the face is switched off.
        port: Its TCP port.
        limits: Bounds on the face.
    """

    def __init__(self, server: grpc.aio.Server | None, port: int, limits: RpcLimits) -> None:
        self.port = port
        self._server = server
        self._limits = limits

    @contextlib.asynccontextmanager
    async def serve(self, gateway: Gateway) -> AsyncIterator[None]:
        """Answer calls."""
        if self._server is None:
            yield
            return
        async with open_services(self._server, gateway, self._limits, close_seconds=CLOSE_SECONDS):
            yield


@contextlib.asynccontextmanager
async def open_listener(
    host: str, port: int, metrics: Metrics, access: Access, limits: RpcLimits, certificate: Certificate | None
) -> AsyncIterator[RpcListener]:
    """Take an address.

    Raises:
        InvalidInputError: It cannot be had.
    """
    server = create_server(metrics, access, limits)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        if certificate is None:
            bound = server.add_insecure_port(address)
        else:
            bound = server.add_secure_port(address, _credentials(certificate))
    except RuntimeError:
        raise InvalidInputError(
            f"Port {port} on {host} cannot be listened on.",
            fix="Set ENTRUST_RPC__PORT to a free port; 0 picks one, and ENTRUST_RPC__ENABLED=false does without.",
        ) from None
    try:
        yield RpcListener(server, bound, limits)
    finally:
        await server.stop(None)


def _credentials(certificate: Certificate) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(certificate.key.read_bytes(), certificate.chain.read_bytes())],
        root_certificates=certificate.client_ca.read_bytes() if certificate.client_ca else None,
        require_client_auth=certificate.client_ca is not None,
    )
