"""A syslog receiver over TLS (RFC 5425) that reads strictly: a frame or a header out of shape fails the test."""

import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from service.audit import Receiver, client_context

HEADER = re.compile(
    rb"<(?P<priority>\d{1,3})>1 (?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (?P<host>[!-~]{1,255}) "
    rb"(?P<application>[!-~]{1,48}) (?P<process>[!-~]{1,128}) (?P<id>[!-~]{1,32}) - \xef\xbb\xbf(?P<message>.*)",
    re.DOTALL,
)


@dataclass
class SyslogReceiver:
    """A receiver that runs.

    Attributes:
        port: Where it listens.
        ca_file: Who vouches for it.
        received: Messages by the parts of their headers, in order of arrival.
        faults: What was wrong with what came.
    """

    port: int
    ca_file: Path
    received: list[dict[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def receiver(self, *, retry: float = 0.05, doubt: float = 0.2, ca_file: Path | None = None) -> Receiver:
        """Return how to send to it."""
        context = client_context(ca_file or self.ca_file, None, None)
        return Receiver("localhost", self.port, context, retry_seconds=(retry, retry), doubt_seconds=doubt)

    def wait_for(self, enough: Callable[["SyslogReceiver"], bool], seconds: float = 60.0) -> None:
        """Wait until enough has come.

        Raises:
            AssertionError: It has not in time, or something was wrong with it.
        """
        deadline = time.monotonic() + seconds
        while not enough(self):
            assert time.monotonic() < deadline, f"{len(self.received)} messages"
            time.sleep(0.01)
        assert not self.faults


@dataclass(frozen=True)
class _Identity:
    context: ssl.SSLContext
    ca_file: Path


StartReceiver = Callable[..., AbstractContextManager[SyslogReceiver]]


@pytest.fixture(scope="session")
def syslog_identity(tmp_path_factory: pytest.TempPathFactory) -> _Identity:
    """A certificate for ``localhost``, and its authority."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    ca_file = tmp_path_factory.mktemp("syslog") / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    return _Identity(context, ca_file)


@pytest.fixture
def start_receiver(syslog_identity: _Identity) -> StartReceiver:
    """Start receivers; at the end of the block the connections are cut, as by a machine that dies."""

    @contextlib.contextmanager
    def start(port: int = 0) -> Iterator[SyslogReceiver]:
        listener = socket.create_server(("localhost", port))
        made = SyslogReceiver(listener.getsockname()[1], syslog_identity.ca_file)
        connections: list[socket.socket] = []
        threads: list[threading.Thread] = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    plain, _ = listener.accept()
                    connections.append(plain)
                    with contextlib.suppress(OSError):
                        connection = syslog_identity.context.wrap_socket(plain, server_side=True)
                        connections.append(connection)
                        reader = threading.Thread(target=_read, args=(connection, made))
                        threads.append(reader)
                        reader.start()

        threads.append(threading.Thread(target=serve))
        threads[0].start()
        try:
            yield made
        finally:
            for one in (listener, *connections):
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
            for thread in threads:
                thread.join(60)

    return start


def _read(connection: ssl.SSLSocket, receiver: SyslogReceiver) -> None:
    buffer = b""
    with contextlib.suppress(OSError, ValueError):
        while piece := connection.recv(65536):
            buffer += piece
            while match := re.match(rb"([1-9]\d*) ", buffer):
                end = match.end() + int(match[1])
                if len(buffer) < end:
                    break
                parts = HEADER.fullmatch(buffer[match.end() : end])
                if parts is None:
                    receiver.faults.append("header")
                else:
                    receiver.received.append({name: value.decode() for name, value in parts.groupdict().items()})
                buffer = buffer[end:]
            if buffer and not buffer[:1].isdigit():
                receiver.faults.append("frame")
                return
        connection.unwrap()  # an orderly farewell is answered
