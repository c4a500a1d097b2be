"""The storage SCP's listener: who may call, what is spoken, and how it starts and stops."""

import contextlib
import os
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from pynetdicom import AE, _config
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification  # type: ignore[attr-defined]

import service.associations  # noqa: F401  (keeps pynetdicom from telling of patients)
from entrust.errors import InvalidInputError
from service.api.dimse.commitment import CommitmentListener
from service.api.dimse.connection import EagerHandler
from service.api.dimse.server import DicomServer
from service.api.dimse.storage import StorageService
from service.archive import Archive
from service.delivery.reports import CommitmentReports
from service.observability.metrics import Metrics

_config.UNRESTRICTED_STORAGE_SERVICE = True
"""Every storage class, private and future ones too, in the transfer syntax that the peer likes best: nothing is decoded
on the way in."""


@dataclass(frozen=True)
class ScpSettings:
    """How the SCP behaves.

    Attributes:
        ae_title: Own AE title.
        any_called_ae_title: Whether associations are taken that call another title.
        calling_ae_titles: Who may call; everybody when empty.
        max_pdu_bytes: Largest PDU that is taken.
        max_associations: Associations at a time.
        timeout_seconds: Longest silence of a peer.
    """

    ae_title: str
    any_called_ae_title: bool = False
    calling_ae_titles: tuple[str, ...] = ()
    max_pdu_bytes: int = 128 * 1024
    max_associations: int = 16
    timeout_seconds: float = 60.0


@contextlib.contextmanager
def open_listener(
    host: str,
    port: int,
    settings: ScpSettings,
    archive: Archive,
    metrics: Metrics,
    tls: ssl.SSLContext | None = None,
    reports: CommitmentReports | None = None,
) -> Iterator[DicomServer]:
    """Serve associations until the end of the block; those that are open then are cut off.

    Where ``reports`` are given, receivers of results may tell of storage commitment.

    Raises:
        InvalidInputError: The address cannot be had.
    """
    ae = AE(settings.ae_title)
    ae.add_supported_context(Verification)
    ae.require_called_aet = not settings.any_called_ae_title
    ae.require_calling_aet = list(settings.calling_ae_titles)
    ae.maximum_pdu_size = settings.max_pdu_bytes
    ae.maximum_associations = settings.max_associations
    ae.network_timeout = ae.acse_timeout = ae.dimse_timeout = settings.timeout_seconds
    handlers = StorageService(archive, metrics).handlers()
    if reports is not None:
        # a receiver that calls us is the provider of this class, and we are its user (PS3.4 J.3.3)
        ae.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
        handlers += CommitmentListener(reports).handlers()
    try:
        server = ae.make_server(
            (host, port),
            ssl_context=tls,
            evt_handlers=handlers,
            server_class=DicomServer,
            request_handler=EagerHandler,
        )
    except OSError as error:
        raise InvalidInputError(
            f"Port {port} on {host} cannot be listened on: {os.strerror(error.errno or 0)}.",
            fix="Set ENTRUST_DIMSE__PORT to a free port; 0 picks one.",
        ) from error
    assert isinstance(server, DicomServer)  # noqa: S101  (make_server returns what it is asked for)
    server.timeout_seconds = settings.timeout_seconds
    thread = threading.Thread(target=server.serve_forever, args=(0.5,), name="dimse-listener", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.cut_off()
        server.server_close()
        thread.join()
