"""DIMSE peers that are not as Orthanc is: quick, strict, half broken, or gone in the middle."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, _config, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from entrust.errors import NotFoundError, SourceUnavailableError
from service.archive import Archive, Watermark
from service.pull import Reason, Report, Wanted, retrieve
from service.pull.credentials import client_tls
from service.pull.dimse import DimseSource, Peer
from service.startup import make_metrics
from tests.factories.dicomweb import small_series


class Pacs:
    """A query/retrieve SCP of a few instances, which can be told to misbehave."""

    def __init__(self, datasets: list[Dataset]) -> None:
        self.datasets = datasets
        self.die_after: int | None = None
        self.status = 0x0000
        self.tell_classes = True
        self.sent = 0
        self.asked: list[Dataset] = []

    def on_find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        query = event.identifier
        self.asked.append(query)
        if self.status:
            yield self.status, None
            return
        key = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
        keyword = key[query.QueryRetrieveLevel]
        for uid in dict.fromkeys(ds[keyword].value for ds in self.matching(query)):
            answer = Dataset()
            answer.QueryRetrieveLevel = query.QueryRetrieveLevel
            setattr(answer, keyword, uid)
            first = next(ds for ds in self.datasets if ds[keyword].value == uid)
            if "Modality" in query:
                answer.Modality = first.Modality
            if "SOPClassUID" in query and self.tell_classes:
                answer.SOPClassUID = first.SOPClassUID
            yield 0xFF00, answer

    def on_get(self, event: evt.Event) -> Iterator[Any]:
        self.asked.append(event.identifier)
        found = self.matching(event.identifier)
        yield len(found)
        for ds in found:
            if self.die_after is not None and self.sent >= self.die_after:
                event.assoc.abort()
                return
            self.sent += 1
            yield 0xFF00, ds

    def on_move(self, event: evt.Event) -> Iterator[Any]:
        yield None, None  # no destination is known here

    def matching(self, query: Dataset) -> list[Dataset]:
        def fits(ds: Dataset, keyword: str) -> bool:
            asked = query.get(keyword)
            if not asked:
                return True
            return str(ds[keyword].value) in ([asked] if isinstance(asked, str) else list(asked))

        keys = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        return [ds for ds in self.datasets if all(fits(ds, keyword) for keyword in keys)]


StartPacs = Callable[..., DimseSource]


@pytest.fixture
def start_pacs() -> Iterator[StartPacs]:
    with contextlib.ExitStack() as stack:

        def start(
            pacs: Pacs,
            *,
            classes: tuple[str, ...] = (CTImageStorage,),
            server_tls: ssl.SSLContext | None = None,
            **peer: Any,
        ) -> DimseSource:
            ae = AE("PACS")
            for model in (
                StudyRootQueryRetrieveInformationModelFind,
                StudyRootQueryRetrieveInformationModelGet,
                StudyRootQueryRetrieveInformationModelMove,
            ):
                ae.add_supported_context(model)
            for one in classes:
                ae.add_supported_context(one, scu_role=True, scp_role=True)
            handlers: list[Any] = [
                (evt.EVT_C_FIND, pacs.on_find), (evt.EVT_C_GET, pacs.on_get), (evt.EVT_C_MOVE, pacs.on_move),
            ]  # fmt: skip
            server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers, ssl_context=server_tls)
            stack.callback(server.shutdown)  # type: ignore[union-attr]
            port = server.server_address[1]  # type: ignore[union-attr]
            known = {"host": "127.0.0.1", "ae_title": "PACS", "own_ae_title": "ENTRUST", "timeout_seconds": 60.0}
            return DimseSource(Peer(port=port, **(known | peer)))

        yield start


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with contextlib.closing(Archive(tmp_path / "archive", watermark=Watermark(1.0, 0))) as made:
        yield made


def fetch(source: DimseSource, archive: Archive, study: str, **wanted: Any) -> Report:
    return retrieve(source, Wanted(study_uid=study, **wanted), archive, make_metrics())


def test_no_answer_of_a_search_is_lost(start_pacs: StartPacs) -> None:
    """pynetdicom's own thread must not take an answer that the search waits for."""
    series = small_series(3)
    source, wanted = start_pacs(Pacs(series)), Wanted(study_uid=series[0].StudyInstanceUID)
    for _ in range(100):
        found = list(source.find_instances(wanted.study_uid, wanted))
        assert {one.sop_uid for one in found} == {ds.SOPInstanceUID for ds in series}


def test_a_source_that_dies_in_the_middle_leaves_what_came_and_is_resumed(
    start_pacs: StartPacs, archive: Archive
) -> None:
    series = small_series(5)
    pacs, study = Pacs(series), series[0].StudyInstanceUID
    pacs.die_after = 2
    source = start_pacs(pacs)
    with pytest.raises(SourceUnavailableError):
        fetch(source, archive, study)
    here = {ds.SOPInstanceUID for ds in series if archive.has(ds.SOPInstanceUID)}
    assert len(here) in (1, 2)  # the last one's answer may have been cut off
    pacs.die_after = None
    report = fetch(source, archive, study)
    assert (report.found, report.present, report.retrieved) == (5, len(here), 5 - len(here))
    asked = pacs.asked[-1]
    assert asked.QueryRetrieveLevel == "IMAGE"
    assert set(asked.SOPInstanceUID) == {ds.SOPInstanceUID for ds in series} - here


def test_a_class_without_the_role_of_a_receiver_is_refused_alone(
    start_pacs: StartPacs, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_config, "UNRESTRICTED_STORAGE_SERVICE", False)  # else this PACS would take every class
    study = generate_uid()
    taken = small_series(2, study_uid=study)
    odd = small_series(1, "MR", study_uid=study, series_number=2)
    report = fetch(start_pacs(Pacs([*taken, *odd])), archive, study)
    assert (report.found, report.retrieved) == (3, 2)
    assert [(one.sop_uid, one.reason) for one in report.failures] == [(odd[0].SOPInstanceUID, Reason.SOP_CLASS_REFUSED)]


def test_a_source_that_does_not_tell_classes_is_offered_the_usual_ones(start_pacs: StartPacs, archive: Archive) -> None:
    series = small_series(2)
    pacs = Pacs(series)
    pacs.tell_classes = False
    assert fetch(start_pacs(pacs), archive, series[0].StudyInstanceUID).complete


def test_a_search_that_fails_says_with_which_status(start_pacs: StartPacs, archive: Archive) -> None:
    pacs = Pacs(small_series(1))
    pacs.status = 0xC001
    with pytest.raises(SourceUnavailableError) as caught:
        fetch(start_pacs(pacs), archive, generate_uid())
    assert caught.value.details == {"status": "C001"}


def test_a_destination_that_the_source_does_not_know(start_pacs: StartPacs, archive: Archive) -> None:
    series = small_series(1)
    with pytest.raises(SourceUnavailableError, match="destination"):
        fetch(start_pacs(Pacs(series), method="c-move"), archive, series[0].StudyInstanceUID)


def test_a_peer_that_says_nothing_is_given_up(archive: Archive) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        held: list[socket.socket] = []
        stop = threading.Event()

        def accept() -> None:
            silent.settimeout(0.1)
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    held.append(silent.accept()[0])

        thread = threading.Thread(target=accept)
        thread.start()
        source = DimseSource(Peer("127.0.0.1", port, "PACS", "ENTRUST", timeout_seconds=0.5))
        try:
            with pytest.raises(SourceUnavailableError):
                fetch(source, archive, generate_uid())
        finally:
            stop.set()
            thread.join()
            for connection in held:
                connection.close()


def test_tls_is_spoken_where_it_is_set(start_pacs: StartPacs, archive: Archive, tmp_path: Path) -> None:
    authority = trustme.CA()
    own = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.configure_cert(server)
    series = small_series(1)
    tls = client_tls(tmp_path / "ca.pem", None, None)
    source = start_pacs(Pacs(series), server_tls=server, tls=tls)
    assert fetch(source, archive, series[0].StudyInstanceUID).complete


def test_nothing_there_is_not_found(start_pacs: StartPacs, archive: Archive) -> None:
    with pytest.raises(NotFoundError):
        fetch(start_pacs(Pacs(small_series(1))), archive, generate_uid())
