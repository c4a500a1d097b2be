"""The TCP server below the associations: small packets go at once, and no silent peer keeps out the others."""

import contextlib
import socket
import ssl
from socketserver import BaseServer
from typing import Any

from pynetdicom.transport import ThreadedAssociationServer

from service import audit
from service.associations import send_at_once


class DicomServer(ThreadedAssociationServer):
    """A server whose accepting thread never waits for a peer.

    pynetdicom wraps a connection in TLS where it accepts it, so that one peer that connects and says nothing would keep
    out all others; here each connection shakes hands in a thread of its own.
    """

    timeout_seconds: float = 60.0
    """Longest silence within a handshake or a PDU."""

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept one connection."""
        listener: Any = self.socket
        client, address = listener.accept()
        client.settimeout(self.timeout_seconds)
        send_at_once(client)
        if self.ssl_context is not None:
            client = self.ssl_context.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
        return client, address

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Shake hands, then serve the association."""
        if isinstance(request, ssl.SSLSocket):
            try:
                request.do_handshake()
            except (OSError, ValueError):  # a peer that is no friend of ours; ssl.SSLError is an OSError
                with audit.about(audit.About("dimse", address=str(client_address[0]))):
                    audit.record(audit.refused_caller("tls"))
                self.shutdown_request(request)
                return
        super().process_request_thread(request, client_address)

    def shutdown(self) -> None:
        """Take no more connections; open associations are left to who started the server."""
        BaseServer.shutdown(self)

    def cut_off(self) -> None:
        """End open associations by their connections: a thread that waits for the rest of a PDU hears nothing else."""
        for association in self.active_associations:
            connection: Any = getattr(association.dul.socket, "socket", None)
            if connection is not None:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            waiting: Any = association.dul.to_user_queue
            waiting.put(None)  # who waits for a request that never came waits no longer
        for association in self.active_associations:
            association.join(self.timeout_seconds)

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """Say nothing: a trace would be printed, and associations log for themselves."""
