"""Associations with a receiver: quick, encrypted where it wants that, and closed whatever happens."""

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Any

import pytest
import trustme
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from entrust.errors import DeliveryFailedError, InvalidInputError
from service.api.dimse.listener import ScpSettings, open_listener
from service.archive import Archive, Level, Query, Watermark
from service.delivery.association import associated
from service.delivery.targets import Confirmation, DimseTarget
from service.intake.certificates import Certificate
from service.startup import make_metrics
from tests.factories.deliveries import Parcel, Round
from tests.servers.receivers import StoreScp

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""pynetdicom leaves a socket that could not be connected to the garbage collector."""
ECHO = [(Verification, ["1.2.840.10008.1.2"])]
CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"


def target_at(port: int, **more: Any) -> DimseTarget:
    where = {"host": "127.0.0.1", "port": port, "ae_title": "PACS", "calling_ae_title": "ENTRUST"}
    return DimseTarget(name="pacs", confirmation=Confirmation.NONE, **where | more)


def test_small_packets_go_at_once_and_large_ones_are_large(store_scp: StoreScp) -> None:
    with associated(target_at(store_scp.port), [(context, ["1.2.840.10008.1.2"]) for context in (CT, MR)]) as call:
        connection: Any = call.dul.socket.socket  # type: ignore[union-attr]
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        assert call.requestor.maximum_length == 128 * 1024
    assert connection.fileno() == -1  # closed


def test_an_association_ends_with_its_block(store_scp: StoreScp) -> None:
    with pytest.raises(ZeroDivisionError), associated(target_at(store_scp.port), [(CT, ["1.2.840.10008.1.2"])]) as call:
        raise ZeroDivisionError
    assert call.is_aborted


def test_nobody_there_is_an_error_of_our_own() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and not listened on
        with (
            pytest.raises(DeliveryFailedError, match="does not answer"),
            associated(target_at(taken.getsockname()[1]), ECHO),
        ):
            pass


async def test_results_go_through_tls_with_certificates_on_both_sides(parcel: Parcel, tmp_path: Path) -> None:
    authority = trustme.CA()
    theirs, ours = authority.issue_cert("127.0.0.1"), authority.issue_cert("entrust")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name, certificate in (("theirs", theirs), ("ours", ours)):
        certificate.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
        certificate.private_key_pem.write_to_path(tmp_path / f"{name}.key")
    tls = Certificate(tmp_path / "theirs.pem", tmp_path / "theirs.key", tmp_path / "ca.pem").server_context()
    archive = Archive(tmp_path / "archive", watermark=Watermark(max_used_ratio=1.0, min_free_bytes=0))
    known = {
        "kind": "dimse", "host": "127.0.0.1", "ae_title": "PACS", "confirmation": "none", "tls": True,
        "ca_file": tmp_path / "ca.pem", "timeout_seconds": 30.0,
    }  # fmt: skip
    certificate = {"certificate_file": tmp_path / "ours.pem", "key_file": tmp_path / "ours.key"}
    with (
        contextlib.closing(archive),
        open_listener("127.0.0.1", 0, ScpSettings("PACS"), archive, make_metrics(), tls) as server,
    ):
        port = int(server.server_address[1])
        stranger = Round(parcel, tmp_path, {"pacs": known | {"port": port}})
        with pytest.raises(DeliveryFailedError, match="does not answer"):
            await stranger.courier.deliver(parcel.study_uid, parcel.results, "pacs")
        one = Round(parcel, tmp_path, {"pacs": known | certificate | {"port": port}})
        await one.courier.deliver(parcel.study_uid, parcel.results, "pacs")
        found = await asyncio.to_thread(archive.search, Query(Level.INSTANCE))
        assert len(found.results) == len(parcel.results)
        broken = Round(parcel, tmp_path, {"pacs": known | {"port": port, "ca_file": tmp_path / "ours.key"}})
        with pytest.raises(InvalidInputError, match="certificates of a target cannot be used"):
            await broken.courier.deliver(parcel.study_uid, parcel.results, "pacs")
