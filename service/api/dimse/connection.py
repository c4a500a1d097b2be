"""An association's connection that hears of data at once.

pynetdicom looks at a connection, sleeps for a millisecond, and looks again; a C-STORE waits for that several times,
which takes longer than most of what happens to it. Here the look itself waits, and ends with the first byte.
"""

import contextlib
import select
import socket
import ssl
from typing import Any

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket, RequestHandler

WAIT_SECONDS = 0.001
"""How long a look waits: as long as what the association wants to send may have to."""


MIN_LIMIT_BYTES = 1 << 20
"""No peer needs more than this to ask for an association; data come in PDUs of the negotiated size."""


class EagerSocket(AssociationSocket):
    """A connection that waits for data instead of sleeping beside it, and reads a PDU in as few pieces as come."""

    @property
    def ready(self) -> bool:
        """Whether there are data to read; waits a moment for them."""
        connection: Any = self.socket
        if connection is not None and not (isinstance(connection, ssl.SSLSocket) and connection.pending()):
            with contextlib.suppress(OSError, ValueError):  # closed meanwhile, which the look itself tells
                select.select([connection], [], [], WAIT_SECONDS)
        return super().ready

    def recv(self, nr_bytes: int) -> bytearray:
        """Read so many bytes, or fewer where the connection ends.

        Raises:
            OSError: A peer announces a PDU larger than it was allowed; the association ends.
        """
        if nr_bytes > max(self.assoc.acceptor.maximum_length or 0, MIN_LIMIT_BYTES):
            raise OSError("too large a PDU")
        connection: Any = self.socket
        received = bytearray(nr_bytes)
        left = memoryview(received)
        while left:
            size = connection.recv_into(left)
            if not size:
                return received[: nr_bytes - len(left)]
            left = left[size:]
        return received

    def _shutdown_socket(self) -> None:
        """Close the connection, also where the peer has done so before: then it can only be closed, not shut down."""
        connection: Any = self.socket
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


class EagerHandler(RequestHandler):
    """Gives associations such connections."""

    def _create_association(self) -> Association:
        association = super()._create_association()
        # It has told of its connection already; made anew, it would do so twice.
        association.dul.socket.__class__ = EagerSocket
        association.dul._run_loop_delay = 0.0
        return association
