"""DICOMweb servers that are not as Orthanc is: no offset, one part, broken off, refusing, or gone in the middle."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from entrust.errors import InvalidInputError, OverloadedError, SourceUnavailableError, TooLargeError
from service.archive import Archive, Watermark
from service.pull import Reason, Report, Wanted, retrieve
from service.pull.credentials import read_headers
from service.pull.dicomweb import DicomwebSource
from service.startup import make_metrics
from tests.factories.dicomweb import RELATED, part10, related, small_series

TYPE = "application/dicom+json"


class Pacs:
    """A small DICOMweb server, which can be told to misbehave."""

    def __init__(self, datasets: list[Dataset]) -> None:
        self.datasets = datasets
        self.knows_offset = True
        self.page = 1000
        self.single_part = False
        self.cut_after_bytes: int | None = None
        self.whole_series = True
        self.authorization = ""
        self.gone: set[str] = set()
        self.extra: list[Dataset] = []
        self.retrieved: list[str] = []

    def application(self) -> Starlette:
        study = "/studies/{study}"
        return Starlette(
            routes=[
                Route("/studies", self.on_studies),
                Route(f"{study}/series", self.on_series),
                Route(f"{study}/series/{{series}}/instances", self.on_instances),
                Route(f"{study}/series/{{series}}", self.on_retrieve),
                Route(f"{study}/series/{{series}}/instances/{{instance}}", self.on_retrieve),
            ]
        )

    def within(self, request: Request) -> list[Dataset]:
        path = request.path_params
        found = [ds for ds in self.datasets if path.get("study", ds.StudyInstanceUID) == ds.StudyInstanceUID]
        found = [ds for ds in found if path.get("series", ds.SeriesInstanceUID) == ds.SeriesInstanceUID]
        return [ds for ds in found if path.get("instance", ds.SOPInstanceUID) == ds.SOPInstanceUID]

    def answer(self, request: Request, found: list[dict[str, Any]]) -> Response:
        if self.authorization and request.headers.get("authorization") != self.authorization:
            return Response(status_code=401)
        offset = int(request.query_params.get("offset", 0)) if self.knows_offset else 0
        page = found[offset : offset + min(int(request.query_params.get("limit", 100)), self.page)]
        return JSONResponse(page, media_type=TYPE) if page else Response(status_code=204)

    def on_studies(self, request: Request) -> Response:
        asked = request.query_params.get("StudyInstanceUID")
        uids = dict.fromkeys(ds.StudyInstanceUID for ds in self.datasets if asked in (None, ds.StudyInstanceUID))
        return self.answer(request, [{"0020000D": {"vr": "UI", "Value": [uid]}} for uid in uids])

    def on_series(self, request: Request) -> Response:
        first = {ds.SeriesInstanceUID: ds for ds in self.within(request)}
        found = [
            {"0020000E": {"vr": "UI", "Value": [uid]}, "00080060": {"vr": "CS", "Value": [ds.Modality]}}
            for uid, ds in first.items()
        ]
        return self.answer(request, found)

    def on_instances(self, request: Request) -> Response:
        found = [{"00080018": {"vr": "UI", "Value": [ds.SOPInstanceUID]}} for ds in self.within(request)]
        return self.answer(request, found)

    def on_retrieve(self, request: Request) -> Response:
        self.retrieved.append(request.path_params.get("instance", "series"))
        found = [ds for ds in self.within(request) if ds.SOPInstanceUID not in self.gone]
        if "instance" not in request.path_params and not self.whole_series:
            return Response(status_code=500)
        if not found:
            return Response(status_code=404)
        if self.single_part and "instance" in request.path_params:
            return Response(part10(found[0]), media_type="application/dicom")
        content = related([part10(ds) for ds in [*found, *self.extra]])
        if self.cut_after_bytes is not None:
            content, self.cut_after_bytes = content[: self.cut_after_bytes], None
        return Response(content, headers={"Content-Type": RELATED})


StartPacs = Callable[[Pacs], str]


@pytest.fixture
def start_pacs() -> Iterator[StartPacs]:
    with contextlib.ExitStack() as stack:

        def start(pacs: Pacs) -> str:
            config = uvicorn.Config(pacs.application(), port=0, log_config=None, lifespan="off", ws="none")
            server = uvicorn.Server(config)
            listener = config.bind_socket()
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
            thread.start()

            def stop() -> None:
                server.should_exit = True
                thread.join()
                listener.close()

            stack.callback(stop)
            while not server.started:
                time.sleep(0.01)
            return f"http://127.0.0.1:{listener.getsockname()[1]}"

        yield start


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with contextlib.closing(Archive(tmp_path / "archive", watermark=Watermark(1.0, 0))) as made:
        yield made


def fetch(url: str, archive: Archive, study: str, *, headers: dict[str, str] | None = None, **named: Any) -> Report:
    with contextlib.closing(DicomwebSource(url, headers=headers, timeout_seconds=60.0)) as source:
        return retrieve(source, Wanted(study_uid=study), archive, make_metrics(), **named)


def test_a_series_comes_in_one_answer(start_pacs: StartPacs, archive: Archive) -> None:
    pacs = Pacs(small_series(4))
    report = fetch(start_pacs(pacs), archive, pacs.datasets[0].StudyInstanceUID)
    assert (report.complete, report.retrieved) == (True, 4)
    assert pacs.retrieved == ["series"]


@pytest.mark.parametrize("knows_offset", [True, False])
def test_pages_are_turned_to_the_last(start_pacs: StartPacs, archive: Archive, knows_offset: bool) -> None:
    pacs = Pacs(small_series(25))
    pacs.knows_offset, pacs.page = knows_offset, 7 if knows_offset else 1000
    report = fetch(start_pacs(pacs), archive, pacs.datasets[0].StudyInstanceUID)
    assert (report.found, report.retrieved) == (25, 25)


@pytest.mark.parametrize("cut", [0.3, 0.9])
def test_an_answer_that_breaks_off_is_made_good_one_by_one(start_pacs: StartPacs, archive: Archive, cut: float) -> None:
    pacs = Pacs(small_series(4))
    pacs.cut_after_bytes = int(cut * len(related([part10(ds) for ds in pacs.datasets])))
    report = fetch(start_pacs(pacs), archive, pacs.datasets[0].StudyInstanceUID)
    assert report.complete
    assert pacs.retrieved[0] == "series"
    assert 1 <= len(pacs.retrieved) - 1 < 4  # what came whole is not asked for again
    assert not list((archive.files.folder / "incoming").iterdir())


def test_a_server_without_retrieval_of_series(start_pacs: StartPacs, archive: Archive) -> None:
    pacs = Pacs(small_series(3))
    pacs.whole_series, pacs.single_part = False, True
    assert fetch(start_pacs(pacs), archive, pacs.datasets[0].StudyInstanceUID).complete


def test_what_is_gone_is_said_and_spoils_nothing(start_pacs: StartPacs, archive: Archive) -> None:
    pacs = Pacs(small_series(3))
    pacs.gone = {pacs.datasets[1].SOPInstanceUID}
    report = fetch(start_pacs(pacs), archive, pacs.datasets[0].StudyInstanceUID)
    assert [(one.sop_uid, one.reason) for one in report.failures] == [(*pacs.gone, Reason.NOT_THERE)]
    assert (report.retrieved, report.complete) == (2, False)


def test_what_nobody_asked_for_is_not_kept(start_pacs: StartPacs, archive: Archive) -> None:
    pacs, stranger = Pacs(small_series(2)), small_series(1)[0]
    pacs.extra = [stranger]
    report = fetch(start_pacs(pacs), archive, pacs.datasets[0].StudyInstanceUID)
    assert report.complete
    assert not archive.has(stranger.SOPInstanceUID)
    assert [one.reason for one in report.failures] == [Reason.NOT_AS_ASKED]


def test_credentials_are_sent_and_their_refusal_is_said(
    start_pacs: StartPacs, archive: Archive, tmp_path: Path
) -> None:
    pacs = Pacs(small_series(1))
    pacs.authorization = "Bearer a,b"
    url, study = start_pacs(pacs), pacs.datasets[0].StudyInstanceUID
    with pytest.raises(SourceUnavailableError, match="credentials"):
        fetch(url, archive, study)
    (tmp_path / "headers").write_text("Authorization: Bearer a,b\n")
    assert fetch(url, archive, study, headers=read_headers(tmp_path / "headers")).complete


def test_limits_hold(start_pacs: StartPacs, archive: Archive) -> None:
    pacs = Pacs(small_series(5))
    url, study = start_pacs(pacs), pacs.datasets[0].StudyInstanceUID
    with pytest.raises(TooLargeError):
        fetch(url, archive, study, max_instances=4)
    report = fetch(url, archive, study, max_instance_bytes=1024)
    assert {one.reason for one in report.failures} == {Reason.TOO_LARGE}
    assert report.retrieved == 0


def test_a_full_disk_stops_it(start_pacs: StartPacs, tmp_path: Path) -> None:
    pacs = Pacs(small_series(1))
    full = Archive(tmp_path / "full", watermark=Watermark(1.0, 2**62))
    with contextlib.closing(full), pytest.raises(OverloadedError):
        fetch(start_pacs(pacs), full, pacs.datasets[0].StudyInstanceUID)


def test_a_server_that_speaks_something_else(start_pacs: StartPacs, archive: Archive) -> None:
    pacs = Pacs([])
    pacs.answer = lambda request, found: Response("<html>", media_type="text/html")  # type: ignore[method-assign]
    with pytest.raises(SourceUnavailableError, match="DICOM JSON"):
        fetch(start_pacs(pacs), archive, generate_uid())


@pytest.mark.parametrize("content", ["no header", "Name: välue"])
def test_a_file_that_holds_no_headers_is_refused_unquoted(tmp_path: Path, content: str) -> None:
    (tmp_path / "headers").write_text(content)
    with pytest.raises(InvalidInputError) as caught:
        read_headers(tmp_path / "headers")
    assert "välue" not in str(caught.value)
