"""The HTTP server: its address, taken before anything slow is started, its TLS, and an end that others decide."""

import contextlib
import os
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI

from entrust.errors import InvalidInputError
from service.intake.certificates import Certificate

CLOSE_SECONDS = 5
"""How long connections may take to close once every job has ended."""
BACKLOG = 2048


@contextlib.contextmanager
def listen(host: str, port: int) -> Iterator[socket.socket]:
    """Take the address before anything slow is started.

    Raises:
        InvalidInputError: It cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise InvalidInputError(
                f"Port {port} on {host} cannot be listened on: {os.strerror(error.errno or 0)}.",
                fix="Set ENTRUST_REST__PORT to a free port; 0 picks one.",
            ) from error
        yield listener


def http_server(application: FastAPI, certificate: Certificate | None = None) -> uvicorn.Server:
    """Build the server of an application, with TLS where there is a certificate."""
    return _Server(
        uvicorn.Config(
            application,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=CLOSE_SECONDS,
            **_tls(certificate),
        )
    )


def _tls(certificate: Certificate | None) -> dict[str, Any]:
    if certificate is None:
        return {}
    return {
        "ssl_certfile": certificate.chain,
        "ssl_keyfile": certificate.key,
        "ssl_ca_certs": str(certificate.client_ca) if certificate.client_ca else None,
        "ssl_cert_reqs": ssl.CERT_REQUIRED if certificate.client_ca else ssl.CERT_NONE,
    }


class _Server(uvicorn.Server):
    """A server that leaves signals to who runs it: jobs are to end before connections are closed."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield
