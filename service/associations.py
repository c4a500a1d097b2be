"""What DICOM associations of this process have in common: no log hears of patients, small packets go at once, and no
answer of a request is lost.
"""

import logging
import socket
import threading

from pynetdicom import _config
from pynetdicom.association import Association

_config.LOG_HANDLER_LEVEL = "none"  # its handlers spell out every PDU
_config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
logging.getLogger("pynetdicom").setLevel(logging.WARNING)


def send_at_once(connection: socket.socket) -> None:
    """Send small packets at once: else each waits for the acknowledgement of the one before, 20 times slower."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Parked(threading.Event):
    """Where an association's own thread waits while requests are made; it stays there until the association ends.

    pynetdicom lets that thread run between requests, and asks it to pause before the next one. When the two meet at the
    wrong moment, the thread takes the first answer off the queue and drops it: of a search, one result is missing, and
    nobody is told. A requester that is served by nobody needs that thread for the end alone.

    Args:
        association: Whose thread; its ``_reactor_checkpoint`` becomes this when its connection opens.
    """

    def __init__(self, association: Association) -> None:
        super().__init__()
        self._association = association

    def set(self) -> None:
        """Let the thread go on, where the association is ending."""
        ending = self._association
        if not ending.is_established or ending._sent_abort or ending.acse.is_aborted():
            super().set()
