"""Nothing of the patient leaves by a side door, whether it went well or not.

Canaries go through every door, and no log, metric, trace, audit message, problem or file name sings of them.
"""

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_STORE

from deploy.prometheus.server import free_port, running
from deploy.traces.receiver import Receiver, running_receiver
from service.api.rpc.v1 import segmentation_pb2 as pb
from service.audit.journal import Position, read_lines
from service.triton.embedded import EmbeddedTriton
from tests.factories.canaries import BIRTH_DATE, SONG, canary_of, canary_tags, heard, with_private_canaries
from tests.factories.dicomweb import RELATED, part10, related
from tests.factories.studies import dicom_bytes, dicom_datasets, zipped
from tests.integration.rpc.conftest import dicom_stream, open_stub
from tests.servers.service_process import ServiceProcess, StartService

FAST: dict[str, Any] = {"task": "oncology", "num_hypotheses": 2, "num_steps": 2}
TOKEN = "a-token-that-is-long-enough"  # noqa: S105
AUTHORIZATION = {"Authorization": f"Bearer {TOKEN}"}
ZIP = {"Content-Type": "application/zip"}
SINGER = f"{SONG}-SINGS"
"""What a caller puts where no patient belongs; it is not to be repeated either."""


@dataclass
class Watched:
    """A gateway, and everything by which it could tell."""

    process: ServiceProcess
    dimse_port: int
    root: Path
    spans: Receiver

    def listen(self) -> dict[str, bytes]:
        """Return what can be overheard, by channel."""
        trail = "\n".join(str(line) for line, _ in read_lines(self.root / "trail", Position()))
        names = [str(path.relative_to(self.root)) for path in self.root.rglob("*")]
        names += [path.name for path in self.process.log_path.parent.rglob("*")]
        return {
            "log": self.process.log_path.read_bytes(),
            "metrics": httpx.get(f"{self.process.url}/metrics", trust_env=False).content,
            "spans": "\n".join(map(str, self.spans.spans())).encode(),
            "trail": trail.encode(),
            "names": "\n".join(names).encode(),
        }

    def assert_silent(self) -> None:
        """Fail when a channel tells of the patient."""
        told = {channel: heard(content) for channel, content in self.listen().items()}
        assert not any(told.values()), told


@pytest.fixture(scope="module")
def watched(
    start_service: StartService, triton: EmbeddedTriton, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watched]:
    root, port = tmp_path_factory.mktemp("watched"), free_port()
    (root / "tokens").write_text(TOKEN)
    with (
        running_receiver() as spans,
        start_service(
            ENTRUST_TRITON__URL=triton.url,
            ENTRUST_LOGS__LEVEL="debug",
            ENTRUST_AUTH__TOKEN_FILE=str(root / "tokens"),
            ENTRUST_ARCHIVE__FOLDER=str(root / "archive"),
            ENTRUST_ARCHIVE__MAX_USED_RATIO="1",
            ENTRUST_ARCHIVE__MIN_FREE_BYTES="0",
            ENTRUST_DIMSE__ENABLED="true",
            ENTRUST_DIMSE__PORT=str(port),
            ENTRUST_DIMSE__CALLING_AE_TITLES="SCANNER",
            ENTRUST_AUDIT__FOLDER=str(root / "trail"),
            ENTRUST_TRACES__ENDPOINT=spans.endpoint,
            ENTRUST_JOBS__RESULTS_FOLDER=str(root / "results"),
            ENTRUST_REST__MAX_BODY_BYTES="2000000",
            ENTRUST_INFERENCE__MAX_STEPS="1000",
        ) as process,
    ):
        yield Watched(process, port, root, spans)


@pytest.fixture(scope="module")
async def client(watched: Watched) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=watched.process.url, headers=AUTHORIZATION, timeout=240.0, trust_env=False
    ) as made:
        yield made


def singing(slugs: tuple[str, ...] = ("ct", "pet")) -> list[Dataset]:
    """Return a study that can be segmented and in which everything about the patient sings."""
    return with_private_canaries(dicom_datasets(slugs, dict(canary_tags())))


def as_zip(datasets: list[Dataset]) -> bytes:
    return zipped({f"{SINGER}/{i}.dcm": dicom_bytes(ds) for i, ds in enumerate(datasets)})


def damaged() -> list[Dataset]:
    """A study whose pixels end too early."""
    datasets = singing()
    for ds in datasets:
        ds.PixelData = ds.PixelData[:100]
    return datasets


def without_a_role() -> list[Dataset]:
    """A study of which the rules take nothing: localisers."""
    datasets = singing(("ct",))
    for ds in datasets:
        ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    return datasets


def far_apart() -> list[Dataset]:
    """A study whose series do not lie over each other."""
    datasets = singing()
    for ds in datasets:
        if ds.Modality == "PT":
            x, y, z = ds.ImagePositionPatient
            ds.ImagePositionPatient = [x, y, z + 5000.0]
    return datasets


def nonsense_values() -> list[Dataset]:
    """A study in which numbers and dates are words about the patient."""
    datasets = singing()
    for ds in datasets:
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        for number, keyword in enumerate(("SeriesTime", "AcquisitionTime", "PatientWeight", "ImagePositionPatient")):
            ds.add_new(keyword, "LO", f"{SONG}{number}")
    return datasets


async def test_the_canaries_are_alive(watched: Watched, client: httpx.AsyncClient) -> None:
    """What is meant to carry them does, every channel can be heard, and the ear works."""
    datasets = singing(("ct",))
    stored = await client.post(
        "/dicom-web/studies", content=related([part10(ds) for ds in datasets]), headers={"Content-Type": RELATED}
    )
    assert stored.status_code == 200, stored.text
    found = await client.get("/dicom-web/studies", params={"PatientName": f"{SONG}*"})
    assert canary_of("PatientName").lower() in found.text.lower()
    assert any(heard(path.read_bytes()) for path in (watched.root / "archive").rglob("*") if path.is_file())
    watched.spans.wait_for(lambda spans: len(spans) > 1)
    for channel, content in watched.listen().items():
        assert len(content) > 100, f"nothing to be heard in {channel}"
    assert heard(f"x{SONG.lower()}07") and heard("S0FOQVJJMDdeU0lOR1M=") and heard(f"<{BIRTH_DATE}>")  # noqa: PT018
    watched.assert_silent()


async def test_a_study_that_is_segmented_over_http(watched: Watched, client: httpx.AsyncClient) -> None:
    accepted = await client.post("/v1/segmentations", params=FAST, content=as_zip(singing()), headers=ZIP)
    assert accepted.status_code == 202, accepted.text
    events = await client.get(accepted.json()["links"]["events"])
    job = await client.get(accepted.headers["Location"])
    assert job.json()["state"] == "succeeded", job.text
    summary = await client.get(f"{job.json()['links']['results']}/summary.json")
    for answer in (accepted, events, job, summary):
        assert not heard(answer.content + str(answer.headers).encode())
    files = await client.get(job.json()["links"]["results"])
    assert not heard(str(files.headers))
    watched.assert_silent()


async def test_form_fields_and_names_of_files(watched: Watched, client: httpx.AsyncClient) -> None:
    files = [("study", (f"{SINGER}.dcm", dicom_bytes(ds))) for ds in singing()]
    answer = await client.post("/v1/segmentations", files=files, data=FAST | {"wait": "true"})
    assert answer.status_code == 200, answer.text
    assert not heard(str(answer.headers))
    watched.assert_silent()


@pytest.mark.parametrize(
    "study", [damaged, without_a_role, far_apart, nonsense_values], ids=lambda study: study.__name__
)
async def test_a_study_that_cannot_be_segmented(
    study: Callable[[], list[Dataset]], watched: Watched, client: httpx.AsyncClient
) -> None:
    answer = await client.post(
        "/v1/segmentations", params=FAST | {"wait": "true"}, content=as_zip(study()), headers=ZIP
    )
    assert 400 <= answer.status_code < 500, answer.text
    assert not heard(answer.content + str(answer.headers).encode())
    watched.assert_silent()


REFUSALS: dict[str, tuple[int, dict[str, Any]]] = {
    "no DICOM": (415, {"params": FAST, "content": f"{SINGER} is no zip".encode(), "headers": ZIP}),
    "media type": (415, {"params": FAST, "content": b"x", "headers": {"Content-Type": f"text/{SINGER}"}}),
    "too large": (413, {"params": FAST, "content": SINGER.encode() * 200_000, "headers": ZIP}),
    "task": (404, {"params": {"task": SINGER}, "content": b"x", "headers": ZIP}),
    "number": (400, {"params": FAST | {"seed": SINGER}, "content": b"x", "headers": ZIP}),
    "parameter": (400, {"params": FAST | {SINGER: SINGER}, "content": b"x", "headers": ZIP}),
    "assignment": (415, {"params": FAST | {"assignment": f"{SINGER}={SINGER}"}, "content": b"x", "headers": ZIP}),
    "extra": (400, {"params": FAST | {"extra_results": SINGER}, "content": b"x", "headers": ZIP}),
    "accept": (406, {"params": FAST | {"wait": "true"}, "content": b"x", "headers": ZIP | {"Accept": f"a/{SINGER}"}}),
    "field": (400, {"data": FAST, "files": {SINGER: (SINGER, b"x")}}),
    "token": (401, {"params": FAST, "content": b"x", "headers": ZIP | {"Authorization": f"Bearer {SINGER}"}}),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_request_that_is_refused(name: str, watched: Watched, client: httpx.AsyncClient) -> None:
    status, request = REFUSALS[name]
    answer = await client.post("/v1/segmentations", **request)
    if answer.status_code == 202:  # what was sent is looked at by the job
        await client.get(answer.json()["links"]["events"])
        answer = await client.get(f"{answer.headers['Location']}/results")
    assert answer.status_code == status, answer.text
    assert not heard(answer.content + str(answer.headers).encode())
    watched.assert_silent()


async def test_a_series_that_a_caller_names_is_not_repeated(watched: Watched, client: httpx.AsyncClient) -> None:
    asked = FAST | {"wait": "true", "assignment": f"ct={SINGER}"}
    answer = await client.post("/v1/segmentations", params=asked, content=as_zip(singing()), headers=ZIP)
    assert 400 <= answer.status_code < 500, answer.text
    assert not heard(answer.content)
    watched.assert_silent()


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("GET", f"/{SINGER}"), ("GET", f"/v1/jobs/{SINGER}"), ("DELETE", f"/v1/jobs/{SINGER}"), (SINGER, "/v1/models"),
        ("GET", f"/v1/jobs/{SINGER}/results/{SINGER}"), ("GET", f"/dicom-web/studies/{SINGER}"),
        ("GET", f"/dicom-web/studies/{SINGER}/series/{SINGER}/instances/{SINGER}/frames/{SINGER}"),
        ("GET", f"/dicom-web/studies?{SINGER}=1"), ("GET", f"/dicom-web/studies?StudyDate={SINGER}"),
        ("GET", f"/dicom-web/studies?limit={SINGER}"), ("GET", f"/dicom-web/instances?includefield={SINGER}"),
        ("GET", f"/dicom-web/studies?PatientBirthDate={BIRTH_DATE}x"),
    ],
)  # fmt: skip
async def test_addresses(method: str, address: str, watched: Watched, client: httpx.AsyncClient) -> None:
    answer = await client.request(method, address)
    assert answer.status_code < 500, answer.text
    found = answer.status_code < 400 and answer.json()  # an unknown field to include is passed over
    assert not found or "includefield" in address, "a search that finds nothing"
    assert not heard(str(answer.headers).encode() if found else answer.content + str(answer.headers).encode())
    watched.assert_silent()


async def test_jobs_that_are_cancelled_or_late(watched: Watched, client: httpx.AsyncClient) -> None:
    slow = FAST | {"num_hypotheses": 8, "num_steps": 900}
    accepted = await client.post("/v1/segmentations", params=slow, content=as_zip(singing()), headers=ZIP)
    assert (await client.delete(accepted.headers["Location"])).status_code < 300
    cancelled = await client.get(f"{accepted.headers['Location']}/events")
    late = await client.post(
        "/v1/segmentations",
        params=slow | {"wait": "true", "deadline_seconds": 2},
        content=as_zip(singing()),
        headers=ZIP,
    )
    assert late.status_code == 504, late.text
    for answer in (cancelled, late):
        assert not heard(answer.content)
    watched.assert_silent()


async def test_rules_that_are_tried(watched: Watched, client: httpx.AsyncClient) -> None:
    exclusion = f"{{name: {SINGER}, because: {SINGER}, when: [{{tag: PatientName, regex: '{SONG}'}}]}}"
    rules = f"version: 1\nexclude: [{exclusion}]\n"
    for text in (None, rules + "tasks: [{task: oncology, roles: {ct: {take: []}}}]\n", f"{rules}{SINGER}: [\n"):
        files = {"study": ("study.zip", as_zip(singing()))} | ({"rules": ("rules.yaml", text)} if text else {})
        answer = await client.post("/v1/rules:test", files=files)
        assert answer.status_code in (200, 400), answer.text
        assert not heard(str(answer.headers))
        if text is None:
            assert answer.status_code == 200
            assert not heard(answer.content)
    watched.assert_silent()


@pytest.mark.parametrize("study", [singing, damaged, without_a_role], ids=lambda study: study.__name__)
async def test_grpc(study: Callable[[], list[Dataset]], watched: Watched) -> None:
    metadata = (("authorization", f"Bearer {TOKEN}"),)
    async with open_stub(watched.process.rpc_address) as stub:
        call = stub.SegmentStream(dicom_stream(as_zip(study())), metadata=metadata)
        if study is singing:
            assert [message.WhichOneof("content") async for message in call][-1] == "result"
        else:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                [message async for message in call]
            assert not heard(f"{caught.value.details()}{caught.value.trailing_metadata()}")
    watched.assert_silent()


@pytest.mark.parametrize(
    "parameters", [{"task": SINGER}, {"sampler": SINGER}, {"assignment": {SINGER: SINGER}}], ids=lambda p: next(iter(p))
)
async def test_grpc_parameters(parameters: dict[str, Any], watched: Watched) -> None:
    async with open_stub(watched.process.rpc_address) as stub:
        for metadata in ((("authorization", f"Bearer {TOKEN}"),), (("authorization", f"Bearer {SINGER}"),)):
            request = pb.SegmentRequest(
                parameters=pb.SegmentationParameters(**(FAST | parameters)), files=[pb.InputFile(content=b"x")]
            )
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Segment(request, metadata=metadata)
            assert not heard(f"{caught.value.details()}{caught.value.trailing_metadata()}")
    watched.assert_silent()


async def test_stow_and_wado(watched: Watched, client: httpx.AsyncClient) -> None:
    datasets = singing(("ct",))
    study, series = datasets[0].StudyInstanceUID, datasets[0].SeriesInstanceUID
    parts = [part10(ds) for ds in datasets]
    parts.append(SINGER.encode())  # no DICOM
    parts.append(parts[0].replace(b"\x08\x00\x18\x00UI", b"\x08\x00\x18\x00ZZ"))  # cannot be read to its UIDs
    answer = await client.post(f"/dicom-web/studies/{study}", content=related(parts), headers={"Content-Type": RELATED})
    assert answer.status_code == 202, answer.text
    refused = [
        await client.post("/dicom-web/studies/1.2.3", content=related(parts[:1]), headers={"Content-Type": RELATED}),
        await client.post("/dicom-web/studies", content=SINGER.encode(), headers={"Content-Type": RELATED}),
        await client.post("/dicom-web/studies", content=b"x", headers={"Content-Type": f"text/{SINGER}"}),
    ]
    instance = f"/dicom-web/studies/{study}/series/{series}/instances/{datasets[0].SOPInstanceUID}"
    refused += [
        await client.get(f"{instance}/frames/99"),
        await client.get(f"{instance}/bulkdata/{SINGER}"),
        await client.get(f"{instance}/rendered", params={"window": SINGER}),
    ]
    for one in (answer, *refused):
        assert one is answer or 400 <= one.status_code < 500, one.text
        assert not heard(one.content + str(one.headers).encode())
    picture = await client.get(f"{instance}/rendered", headers={"Accept": "image/png"})
    assert picture.status_code == 200
    assert not heard(picture.content), "words in a picture's metadata"
    watched.assert_silent()


async def test_c_store(watched: Watched) -> None:
    assert await asyncio.to_thread(_store, watched.dimse_port) == [0x0000, 0x0111, 0xC000]
    assert await asyncio.to_thread(_store, watched.dimse_port, "STRANGER") == []
    watched.assert_silent()


def _store(port: int, title: str = "SCANNER") -> list[int]:
    """Send a good instance, another one under its UID, and one that ends within an element."""
    good, other = singing(("ct",))[:2]
    other.SOPInstanceUID = good.SOPInstanceUID
    ae = AE(title)
    ae.add_requested_context(good.SOPClassUID, ExplicitVRLittleEndian)
    association = ae.associate("127.0.0.1", port, ae_title="ENTRUST")
    if not association.is_established:
        association.dul.socket.close()
        return []
    statuses = [int(association.send_c_store(ds).Status) for ds in (good, other)]
    request = C_STORE()
    request.MessageID, request.Priority = 7, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = good.SOPClassUID, "1.2.3.4"
    request.DataSet = BytesIO(b"\x10\x00\x10\x00PN\xff\x00" + SINGER.encode())
    association._reactor_checkpoint.clear()  # else the client's own thread would take the response
    association.dimse.send_msg(request, association.accepted_contexts[0].context_id)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    association.release()
    return [*statuses, int(answer.Status)]


def test_noise_at_every_port(watched: Watched) -> None:
    ports = (watched.process.url.rpartition(":")[2], watched.process.rpc_address.rpartition(":")[2], watched.dimse_port)
    for port in map(int, ports):
        for noise in (SINGER.encode() * 10, f"GET /{SINGER} HTTP/1.1\r\n{SINGER}\r\n\r\n".encode()):
            with socket.create_connection(("127.0.0.1", port), 30) as connection:
                connection.sendall(noise)
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(30)
                try:
                    while connection.recv(4096):
                        pass
                except OSError:
                    continue
    watched.assert_silent()


async def test_models_that_are_down(tmp_path: Path) -> None:
    """A gateway whose Triton is away takes the study, waits a while for it, and says so."""
    port, log = free_port(), tmp_path / "log"
    settings = {
        "ENTRUST_TRITON__URL": f"127.0.0.1:{free_port()}",
        "ENTRUST_REST__PORT": str(port),
        "ENTRUST_RPC__ENABLED": "false",
        "ENTRUST_LOGS__LEVEL": "debug",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ENTRUST_")}
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "service", "serve"]
    with running(command, f"{url}/health/live", log, 120.0, environment=kept | settings):
        async with httpx.AsyncClient(base_url=url, timeout=240.0, trust_env=False) as client:
            answer = await client.post(
                "/v1/segmentations", params=FAST | {"wait": "true"}, content=as_zip(singing()), headers=ZIP
            )
            metrics = await client.get("/metrics")
        assert answer.status_code == 503, answer.text
        for content in (answer.content, metrics.content, log.read_bytes()):
            assert not heard(content)
    deadline = time.monotonic() + 60
    while b"stopped" not in log.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not heard(log.read_bytes())
