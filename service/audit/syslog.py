"""Audit messages to a syslog receiver over TLS, from the trail's files, at the receiver's pace.

Source: DICOM PS3.15 A.6 (audit messages over TLS), RFC 5424 (the message), RFC 5425 (octet counting over TLS).
"""

import contextlib
import json
import select
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service import credentials
from service.audit.journal import Position, file_numbers, load_position, read_lines, save_position
from service.audit.message import AuditSource
from service.observability.logs import describe_exception, get_logger

log = get_logger(__name__)
PRIORITY = 10 * 8 + 5
"""Facility 10 (security and authorisation), severity 5 (notice)."""
MESSAGE_ID = "DICOM+RFC3881"
APPLICATION_NAME = "entrust-serve"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BATCH = 100


@dataclass(frozen=True)
class Receiver:
    """Where messages are sent, and how.

    Attributes:
        host: Its name, which its certificate must bear.
        port: TCP port.
        context: Who vouches for it, and the certificate that is shown to it.
        timeout_seconds: Longest silence of a connection that is asked for or written to.
        retry_seconds: First and longest pause before another attempt.
        doubt_seconds: What was sent within this time before a connection broke is sent again: syslog acknowledges
            nothing, and what the network still held is lost.
    """

    host: str
    port: int
    context: ssl.SSLContext
    timeout_seconds: float = 10.0
    retry_seconds: tuple[float, float] = (1.0, 60.0)
    doubt_seconds: float = 5.0


def client_context(ca_file: Path | None, certificate_file: Path | None, key_file: Path | None) -> ssl.SSLContext:
    """Return a context that checks the receiver, and shows it a certificate where there is one.

    Raises:
        InvalidInputError: The files cannot be used.
    """
    return credentials.client_context(
        ca_file,
        certificate_file,
        key_file,
        refusal="The syslog receiver's authorities, or the certificate for it, cannot be used",
        fix="ENTRUST_AUDIT__SYSLOG_… name PEM files that this process may read; the key has no passphrase.",
    )


def pauses_seconds(first: float, longest: float) -> Iterator[float]:
    """Yield how long to wait before each attempt: twice as long each time, up to the longest."""
    while True:
        yield first
        first = min(2.0 * first, longest)


def frame(line: dict[str, Any], source: AuditSource) -> bytes:
    """Return a line of the trail as a syslog message with its length in front; nothing for a mere hop."""
    if not line.get("message"):
        return b""
    head = (
        f"<{PRIORITY}>1 {line['at']} {source.host or '-'} {APPLICATION_NAME} {line['process_id']} {MESSAGE_ID} - "
    ).encode("ascii", "replace")
    message = head + BYTE_ORDER_MARK + str(line["message"]).encode()
    return str(len(message)).encode() + b" " + message


class Sender:
    """A thread that follows the trail's files and sends what is new.

    Args:
        folder: Of the trail.
        receiver: Where to.
        source: Who reports.
        count: Told of what was ``sent``, and of files that were ``lost``: gone before they were sent.
    """

    def __init__(
        self, folder: Path, receiver: Receiver, source: AuditSource, count: Callable[[str, int], None]
    ) -> None:
        self._folder = folder
        self._receiver = receiver
        self._source = source
        self._count = count
        self._sent: deque[tuple[float, Position]] = deque()
        self._position = self._settled = load_position(folder)
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="audit-syslog", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Tell that lines were added."""
        self._news.set()

    def stop(self) -> None:
        """Send what there is, unless the receiver is away, and end; what is left is sent by the next process."""
        self._stopping.set()
        self._news.set()
        self._thread.join()

    def _follow(self) -> None:
        pauses = pauses_seconds(*self._receiver.retry_seconds)
        while True:
            started = self._position
            try:
                with self._connect() as connection:
                    self._serve(connection)
                return
            except (OSError, ValueError) as error:  # ssl.SSLError is an OSError; a host name may be unusable
                log.warning("audit-syslog-away", **describe_exception(error))
            if self._position > started:
                pauses = pauses_seconds(*self._receiver.retry_seconds)
            self._position = self._settled  # what may not have come is sent again
            self._sent.clear()
            if self._stopping.wait(next(pauses)):
                return

    def _connect(self) -> ssl.SSLSocket:
        address = (self._receiver.host, self._receiver.port)
        plain = socket.create_connection(address, self._receiver.timeout_seconds)
        try:
            return self._receiver.context.wrap_socket(plain, server_hostname=self._receiver.host)
        except BaseException:
            plain.close()
            raise

    def _serve(self, connection: ssl.SSLSocket) -> None:
        """Send until told to stop.

        Raises:
            OSError: The connection broke.
        """
        while True:
            self._news.clear()
            stopping = self._stopping.is_set()
            _require_open(connection)
            self._settle()
            if self._send_batch(connection):
                continue
            if stopping:
                with contextlib.suppress(OSError):
                    connection.unwrap()  # the receiver's own farewell says that it has read everything
                    self._settle(everything=True)
                return
            self._news.wait(self._receiver.doubt_seconds if self._sent else self._receiver.timeout_seconds)

    def _send_batch(self, connection: ssl.SSLSocket) -> bool:
        numbers = file_numbers(self._folder)
        if self._position.number and numbers and self._position.number < numbers[0]:
            self._count("lost", numbers[0] - self._position.number)
            log.error("audit-messages-lost", count=numbers[0] - self._position.number)
            self._position = Position(numbers[0], 0)
        frames, end = [], self._position
        for line, position in read_lines(self._folder, self._position):
            end = position
            if framed := frame(line, self._source):
                frames.append(framed)
            if len(frames) >= _BATCH:
                break
        if end == self._position:
            return False
        if frames:
            connection.sendall(b"".join(frames))
            self._count("sent", len(frames))
        self._position = end
        self._sent.append((time.monotonic(), end))
        return True

    def _settle(self, *, everything: bool = False) -> None:
        """Keep the position before which nothing will be sent again."""
        before = self._settled
        horizon = time.monotonic() - self._receiver.doubt_seconds
        while self._sent and (everything or self._sent[0][0] <= horizon):
            self._settled = self._sent.popleft()[1]
        if self._settled != before:
            with contextlib.suppress(OSError):  # a full disk: some is sent twice
                save_position(self._folder, self._settled)


def _require_open(connection: ssl.SSLSocket) -> None:
    """See whether the receiver has left: a write would not tell until too late.

    Raises:
        OSError: It has.
    """
    if not connection.pending() and not select.select([connection], [], [], 0.0)[0]:
        return
    connection.settimeout(0.1)
    try:
        if not connection.recv(4096):  # receivers say nothing, save for TLS's own records
            raise ConnectionResetError("closed by the receiver")
    except (ssl.SSLWantReadError, TimeoutError):
        pass
    finally:
        connection.settimeout(None)


def dump(line: dict[str, Any]) -> bytes:
    """Return a line as it is written."""
    return json.dumps(line, separators=(",", ":"), ensure_ascii=True).encode("ascii")
