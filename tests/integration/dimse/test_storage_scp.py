"""The storage SCP, called by pynetdicom and dcmtk: what is acknowledged is kept, and every refusal has its code."""

import asyncio
import contextlib
import copy
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, RLELossless, generate_uid
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]

from service.api.dimse.listener import ScpSettings, open_listener
from service.api.dimse.server import DicomServer
from service.archive import Archive, Level, Query, Watermark
from service.intake.certificates import Certificate
from service.observability.metrics import Metrics
from service.startup import make_metrics
from tests.factories.dicomweb import part10, small_series

ROOMY = Watermark(max_used_ratio=1.0, min_free_bytes=0)


class Scp:
    """A running SCP and what stands behind it."""

    def __init__(self, server: DicomServer, archive: Archive, metrics: Metrics) -> None:
        self.server, self.archive, self.metrics = server, archive, metrics
        self.port = int(server.server_address[1])
        self.connections: list[socket.socket] = []

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def stored(self) -> set[str]:
        found = self.archive.search(Query(Level.INSTANCE)).results
        return {one["00080018"]["Value"][0] for one in found}


StartScp = Callable[..., Scp]


@pytest.fixture
def start_scp(tmp_path: Path) -> Iterator[StartScp]:
    with contextlib.ExitStack() as stack:

        def start(watermark: Watermark = ROOMY, tls: ssl.SSLContext | None = None, **settings: Any) -> Scp:
            metrics = make_metrics()
            archive = stack.enter_context(contextlib.closing(Archive(tmp_path / "archive", watermark=watermark)))
            scp = ScpSettings(**{"ae_title": "ENTRUST"} | settings)
            server = stack.enter_context(open_listener("127.0.0.1", 0, scp, archive, metrics, tls))
            made = Scp(server, archive, metrics)
            stack.callback(lambda: [connection.close() for connection in made.connections])
            return made

        yield start


def associate(scp: Scp, *contexts: tuple[str, str | list[str]], called: str = "ENTRUST", **named: Any) -> Association:
    ae = AE("SCANNER")
    for abstract, transfer in contexts or ((Verification, "1.2.840.10008.1.2"),):
        ae.add_requested_context(abstract, transfer)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 60

    def remember(event: evt.Event) -> None:
        """pynetdicom's client forgets to close a connection that the other side has closed."""
        scp.connections.append(event.assoc.dul.socket.socket)

    return ae.associate("127.0.0.1", scp.port, ae_title=called, evt_handlers=[(evt.EVT_CONN_OPEN, remember)], **named)


def send(scp: Scp, *datasets: Dataset) -> list[int]:
    contexts = {(str(ds.SOPClassUID), str(ds.file_meta.TransferSyntaxUID)) for ds in datasets}
    association = associate(scp, *sorted(contexts))
    assert association.is_established
    statuses = [int(association.send_c_store(ds).Status) for ds in datasets]
    association.release()
    return statuses


def test_what_is_acknowledged_is_on_the_disk_byte_for_byte(start_scp: StartScp) -> None:
    scp, series = start_scp(), small_series(3)
    assert send(scp, *series) == [0, 0, 0]
    assert scp.stored() == {ds.SOPInstanceUID for ds in series}
    for located, ds in zip(scp.archive.locate(series[0].StudyInstanceUID), series, strict=True):
        kept = dcmread(scp.archive.path(located))
        assert kept == ds
        assert kept.file_meta.TransferSyntaxUID == ds.file_meta.TransferSyntaxUID
    assert scp.value("entrust_archive_instances_total", door="dimse", outcome="stored") == 3
    assert scp.value("entrust_door_requests_total", door="dimse", outcome="ok") == 3


def test_echo_is_answered_and_small_packets_are_sent_at_once(start_scp: StartScp) -> None:
    scp = start_scp()
    association = associate(scp)
    assert association.send_c_echo().Status == 0
    (served,) = scp.server.active_associations
    connection = served.dul.socket.socket  # type: ignore[union-attr]
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
    assert association.acceptor.maximum_length == 128 * 1024
    assert scp.value("entrust_associations") == 1
    association.release()
    served.join(30)
    assert scp.value("entrust_associations") == 0
    assert scp.value("entrust_associations_ended_total", outcome="released") == 1


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless])
def test_compressed_instances_are_kept_as_they_are(start_scp: StartScp, syntax: str) -> None:
    scp, ds = start_scp(), dcmread_bytes(part10(small_series(1, "MR", rows=64)[0]))
    ds.compress(syntax, generate_instance_uid=False)
    assert send(scp, ds) == [0]
    (located,) = scp.archive.locate(ds.StudyInstanceUID)
    assert located.transfer_syntax_uid == syntax
    assert dcmread(scp.archive.path(located)).PixelData == ds.PixelData


@pytest.mark.parametrize(
    "sop_class", ["1.2.840.10008.5.1.4.1.1.66.7", "1.2.840.113619.4.26", "1.2.826.0.1.3680043.9.9"]
)
def test_classes_that_nobody_here_knows_are_taken(start_scp: StartScp, sop_class: str) -> None:
    ds = small_series(1, tags={"SOPClassUID": sop_class})[0]
    ds.file_meta.MediaStorageSOPClassUID = sop_class
    assert send(start_scp(), ds) == [0]


def test_the_same_again_is_a_success_and_another_under_its_uid_is_refused(start_scp: StartScp) -> None:
    scp, ds = start_scp(), small_series(1)[0]
    changed = copy.deepcopy(ds)
    changed.PatientName = "Somebody^Else"
    assert send(scp, ds, ds, changed) == [0, 0, 0x0111]
    (located,) = scp.archive.locate(ds.StudyInstanceUID)
    assert dcmread(scp.archive.path(located)).PatientName == ds.PatientName
    assert scp.value("entrust_archive_instances_total", door="dimse", outcome="duplicate") == 1


def test_one_bad_instance_spoils_none(start_scp: StartScp) -> None:
    scp, (first, last) = start_scp(), small_series(2)
    bad = small_series(1)[0]
    del bad.StudyInstanceUID
    assert send(scp, first, bad, last) == [0, 0xC000, 0]
    assert scp.stored() == {first.SOPInstanceUID, last.SOPInstanceUID}


def test_an_instance_that_is_not_what_was_announced_is_refused(start_scp: StartScp) -> None:
    scp, ds = start_scp(), small_series(1)[0]
    association = associate(scp, (CTImageStorage, str(ds.file_meta.TransferSyntaxUID)))
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = CTImageStorage, generate_uid()
    encoded = part10(ds)
    request.DataSet = BytesIO(encoded[encoded.index(b"\x08\x00\x08\x00CS") :])
    association._reactor_checkpoint.clear()  # else the client's own thread would take the response
    association.dimse.send_msg(request, next(iter(association._accepted_cx)))
    _, response = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    association.release()
    assert response.Status == 0xA900  # type: ignore[union-attr]
    assert scp.stored() == set()


def test_titles_decide_who_may_call_and_be_called(start_scp: StartScp) -> None:
    scp = start_scp(calling_ae_titles=("CT1", "SCANNER"))
    known = associate(scp)
    assert known.is_established
    known.release()
    refused = associate(scp, called="OTHER")
    assert refused.is_rejected
    assert scp.value("entrust_associations_ended_total", outcome="rejected") == 1
    strict = start_scp(calling_ae_titles=("CT1",), any_called_ae_title=True)
    assert associate(strict, called="OTHER").is_rejected


def test_too_many_associations_are_refused_for_the_time_being(start_scp: StartScp) -> None:
    scp = start_scp(max_associations=1)
    first, second = associate(scp), associate(scp)
    assert (first.is_established, second.is_rejected) == (True, True)
    assert second.acceptor.primitive.result == 0x02  # type: ignore[union-attr]  # transient
    first.release()


def test_associations_are_refused_at_the_watermark(start_scp: StartScp) -> None:
    scp = start_scp(Watermark(max_used_ratio=1.0, min_free_bytes=2**62))
    association = associate(scp)
    assert association.is_rejected
    answer = association.acceptor.primitive
    assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)  # type: ignore[union-attr]
    assert scp.value("entrust_associations_ended_total", outcome="no-space") == 1
    assert scp.value("entrust_associations") == 0


def test_a_sender_that_vanishes_leaves_nothing_half_kept(start_scp: StartScp) -> None:
    scp, ds = start_scp(timeout_seconds=5.0), small_series(1)[0]
    association = associate(scp, (CTImageStorage, str(ds.file_meta.TransferSyntaxUID)))
    (served,) = scp.server.active_associations
    connection = association.dul.socket.socket  # type: ignore[union-attr]
    connection.sendall(b"\x04\x00\x00\x00\xff\xff\x00\x00")  # type: ignore[union-attr]  # a PDU begins
    connection.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]
    served.join(60)
    assert not served.is_alive()
    assert scp.value("entrust_associations") == 0
    assert scp.value("entrust_associations_ended_total", outcome="aborted") == 1
    assert not list((scp.archive.files.folder / "incoming").iterdir())
    assert send(scp, ds) == [0]


def test_noise_on_the_port_does_no_harm(start_scp: StartScp) -> None:
    scp = start_scp()
    for noise in (b"", b"GET / HTTP/1.1\r\n\r\n", os.urandom(5000), b"\x01\x00\xff\xff\xff\xff"):
        with socket.create_connection(("127.0.0.1", scp.port)) as connection:
            connection.sendall(noise)
    association = associate(scp)
    assert association.send_c_echo().Status == 0
    association.release()


def test_tls_is_spoken_and_a_silent_peer_keeps_nobody_out(start_scp: StartScp, tmp_path: Path) -> None:
    authority = trustme.CA()
    own = authority.issue_cert("localhost", "127.0.0.1")
    own.cert_chain_pems[0].write_to_path(tmp_path / "chain.pem")
    own.private_key_pem.write_to_path(tmp_path / "key.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate = Certificate(tmp_path / "chain.pem", tmp_path / "key.pem", tmp_path / "ca.pem")
    scp = start_scp(tls=certificate.server_context())
    known = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    authority.issue_cert("scanner").configure_cert(known)
    stranger = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    with socket.create_connection(("127.0.0.1", scp.port)):  # says nothing, while others are served
        association = associate(scp, tls_args=(known, "localhost"))
        assert association.send_c_echo().Status == 0
        association.release()
    with (
        socket.create_connection(("127.0.0.1", scp.port)) as raw,
        pytest.raises(OSError),  # noqa: PT011
        stranger.wrap_socket(raw, server_hostname="localhost") as connection,
    ):
        connection.recv(1)  # TLS 1.3: a client learns with its first read that its certificate is missing
    with socket.create_connection(("127.0.0.1", scp.port)) as plain, contextlib.suppress(ConnectionResetError):
        plain.sendall(b"\x01\x00\x00\x00\x00\x44" + bytes(68))
        assert plain.recv(100)[:1] in (b"", b"\x15")  # a TLS alert at most, no A-ASSOCIATE


def test_many_scanners_at_once(start_scp: StartScp) -> None:
    scp = start_scp()
    series = [small_series(5, series_number=number) for number in range(4)]
    results: list[list[int]] = []
    threads = [threading.Thread(target=lambda own=own: results.append(send(scp, *own))) for own in series]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[0] * 5] * 4
    assert scp.stored() == {ds.SOPInstanceUID for own in series for ds in own}


def test_dcmtk_sends_real_files(start_scp: StartScp, shared_data: Path) -> None:
    if shutil.which("storescu") is None:
        pytest.skip("not installed: storescu (apt-get install dcmtk)")
    scp = start_scp()
    folder = shared_data / "dicom_oncology" / "STS_001"
    sent = [path for path in folder.rglob("*") if path.is_file() and path.read_bytes()[128:132] == b"DICM"]
    done = subprocess.run(
        ["storescu", "+sd", "+r", "-R", "-aec", "ENTRUST", "127.0.0.1", str(scp.port), str(folder)],
        env=os.environ | {"TCP_NODELAY": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    uids = {str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in sent}
    assert scp.stored() == uids


def dcmread_bytes(content: bytes) -> Dataset:
    ds: Dataset = dcmread(BytesIO(content))
    return ds


async def test_the_gateway_serves_it_where_it_is_switched_on(start_gateway: Any, tmp_path: Path) -> None:
    archive = {"folder": tmp_path / "archive", "max_used_ratio": 1.0, "min_free_bytes": 0}
    ds = small_series(1)[0]
    async with start_gateway(archive=archive, dimse={"enabled": True, "port": 0}) as gateway:
        association = AE("SCANNER")
        association.add_requested_context(CTImageStorage, str(ds.file_meta.TransferSyntaxUID))
        call = await asyncio.to_thread(association.associate, "127.0.0.1", gateway.dimse_port, ae_title="ENTRUST")
        assert (await asyncio.to_thread(call.send_c_store, ds)).Status == 0
        await asyncio.to_thread(call.release)
        found = (await gateway.get(f"/dicom-web/studies/{ds.StudyInstanceUID}/instances")).json()
        assert [one["00080018"]["Value"][0] for one in found] == [ds.SOPInstanceUID]
