"""Receivers with a will of their own: what they say to each instance, a test decides."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import StorageCommitmentPushModel  # type: ignore[attr-defined]


@dataclass
class StoreScp:
    """A storage SCP.

    Attributes:
        port: Where it listens.
        answers: Statuses by SOP class, used up one by one; then 0000.
        got: SOP classes in the order in which they came.
        reports: What it says of storage commitment: instance UID and class → reason; 0 for a success.
    """

    port: int = 0
    answers: dict[str, list[int]] = field(default_factory=dict)
    got: list[str] = field(default_factory=list)
    reports: Callable[[str], int] = lambda _uid: 0

    def on_store(self, event: evt.Event) -> int:
        sop_class = str(event.request.AffectedSOPClassUID)  # type: ignore[union-attr]
        self.got.append(sop_class)
        left = self.answers.get(sop_class)
        return left.pop(0) if left else 0x0000

    def on_action(self, event: evt.Event) -> tuple[int, None]:
        """Take a request for commitment, and answer it on the same association a moment later."""
        asked: Any = event.action_information
        threading.Thread(target=self._report, args=(event.assoc, asked)).start()
        return 0x0000, None

    def _report(self, association: Any, asked: Any) -> None:
        report = Dataset()
        report.TransactionUID = asked.TransactionUID
        report.ReferencedSOPSequence, report.FailedSOPSequence = [], []
        for item in asked.ReferencedSOPSequence:
            reason = self.reports(str(item.ReferencedSOPInstanceUID))
            if reason:
                item.FailureReason = reason
                report.FailedSOPSequence.append(item)
            else:
                report.ReferencedSOPSequence.append(item)
        association.send_n_event_report(
            report, 2 if report.FailedSOPSequence else 1, StorageCommitmentPushModel, "1.2.840.10008.1.20.1.1"
        )


@pytest.fixture
def store_scp() -> Iterator[StoreScp]:
    """A storage SCP named PACS."""
    scp = StoreScp()
    ae = AE("PACS")
    ae.require_called_aet = True
    for context in AllStoragePresentationContexts:
        ae.add_supported_context(str(context.abstract_syntax), ALL_TRANSFER_SYNTAXES)
    ae.add_supported_context(StorageCommitmentPushModel)
    handlers = [(evt.EVT_C_STORE, scp.on_store), (evt.EVT_N_ACTION, scp.on_action)]
    server: Any = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    scp.port = int(server.server_address[1])
    try:
        yield scp
    finally:
        server.shutdown()


@dataclass
class StowServer:
    """A server of STOW-RS alone.

    Attributes:
        url: Its root.
        say: Gets the SOP classes by instance UID of one request and its headers; returns status and body.
        requests: SOP classes of each request.
    """

    url: str = ""
    say: Callable[[dict[str, str], dict[str, str]], tuple[int, bytes]] = lambda _instances, _headers: (500, b"")
    requests: list[list[str]] = field(default_factory=list)


def store_response(stored: list[str], failed: dict[str, int], **more: Any) -> bytes:
    """Return a store response in DICOM JSON."""

    def item(uid: str, **codes: int) -> dict[str, Any]:
        return {"00081155": {"vr": "UI", "Value": [uid]}} | {
            tag.removeprefix("t"): {"vr": "US", "Value": [code]} for tag, code in codes.items()
        }

    body: dict[str, Any] = {"00081199": {"vr": "SQ", "Value": [item(uid) for uid in stored]}}
    body["00081198"] = {"vr": "SQ", "Value": [item(uid, t00081197=code) for uid, code in failed.items()]}
    return json.dumps(body | more).encode()


@pytest.fixture
def stow_server() -> Iterator[StowServer]:
    """A server that says what a test wants."""
    known = StowServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            boundary = re.search(r"boundary=(\w+)", self.headers["Content-Type"])
            assert boundary is not None
            pieces = content.split(b"--" + boundary[1].encode())[1:-1]
            instances = {}
            for piece in pieces:
                ds = dcmread(BytesIO(piece.partition(b"\r\n\r\n")[2]), stop_before_pixels=True)
                instances[str(ds.SOPInstanceUID)] = str(ds.SOPClassUID)
            known.requests.append(list(instances.values()))
            status, body = known.say(instances, dict(self.headers))
            self.send_response(status)
            self.send_header("Content-Type", "application/dicom+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None: ...  # a caller that hangs up in the middle of an answer

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    known.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield known
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
