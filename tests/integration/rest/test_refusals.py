"""Whatever comes in at the door ends as a typed problem: never a 500, a hang or a crash."""

import gzip
import io
import struct
import zipfile
import zlib
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrust.errors import ErrorKind
from service.api.rest.problems import PROBLEMS
from service.settings import Settings
from tests.factories.studies import dicom_bytes, dicom_datasets, limb, nifti, nifti_files, zipped

TASK = {"task": "oncology"}
ZIP = {"Content-Type": "application/zip"}
WAIT = {"task": "oncology", "wait": "true", "num_hypotheses": "2", "num_steps": "2"}


def check_problem(answer: httpx.Response, kind: str, status: int | None = None) -> dict[str, Any]:
    """Check that an answer is a complete problem of a kind, and return it."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text[:300]
    problem: dict[str, Any] = answer.json()
    assert problem["type"] == (kind if kind == "about:blank" else f"/problems/{kind}"), problem
    assert answer.status_code == problem["status"] == (status or PROBLEMS[ErrorKind(kind)].status)
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    return problem


def bomb() -> bytes:
    return zipped({"a.dcm": bytes(200_000_000)})


def escaping_zip() -> bytes:
    return zipped({"../../../../tmp/entrust-escaped.dcm": b"x", "/etc/entrust-escaped.dcm": b"x"})


def link_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        entry = zipfile.ZipInfo("link.dcm")
        entry.external_attr = (0o120777) << 16
        archive.writestr(entry, "/etc/passwd")
    return out.getvalue()


def encrypted_zip() -> bytes:
    content = bytearray(zipped({"a.dcm": b"x" * 100}))
    content[6] |= 1  # general purpose flag of the local header
    directory = content.index(b"PK\x01\x02")
    content[directory + 8] |= 1
    return bytes(content)


def nan_nifti() -> bytes:
    volume = limb()["ct"]
    array = volume.array.copy()
    array[0, 0, 0] = float("nan")
    return nifti(volume.with_array(array))


def unoriented_nifti() -> bytes:
    content = bytearray(gzip.decompress(nifti(limb()["ct"])))
    struct.pack_into("<2h", content, 252, 0, 0)
    return gzip.compress(bytes(content))


@pytest.mark.parametrize(
    ("content", "kinds"),
    [
        (b"", {"invalid-input"}),
        (b"not a zip", {"unsupported-media", "invalid-input"}),
        (bytes(range(256)) * 100, {"unsupported-media", "invalid-input"}),
        (zipped({}), {"invalid-input"}),
        (zipped({"a.txt": b"hello"}), {"unsupported-media"}),
        (zipped({"a.zip": zipped({"b.dcm": b"x"})}), {"invalid-input"}),
        (zipped({"a.dcm": dicom_bytes(dicom_datasets(("ct",))[0])[:400]}), {"invalid-input", "unsupported-media"}),
        (zipped({"a.dcm": dicom_bytes(dicom_datasets(("ct",))[0])}), {"geometry-conflict", "missing-modality"}),
        (bomb(), {"too-large", "invalid-input"}),
        (escaping_zip(), {"invalid-input", "unsupported-media"}),
        (link_zip(), {"invalid-input", "unsupported-media"}),
        (encrypted_zip(), {"invalid-input", "unsupported-media"}),
        (zipped({"a.dcm": b"x"})[:-10], {"invalid-input", "unsupported-media"}),
    ],
    ids=[
        "empty", "text", "random", "empty zip", "zip of text", "zip in zip", "truncated DICOM", "one slice", "zip bomb",
        "traversal", "symlink", "encrypted", "truncated zip",
    ],
)  # fmt: skip
async def test_bodies_that_are_no_study(gateway: httpx.AsyncClient, content: bytes, kinds: set[str]) -> None:
    answer = await gateway.post("/v1/segmentations", params=WAIT, content=content, headers=ZIP)
    kind = answer.json()["type"].rsplit("/", 1)[-1]
    assert kind in kinds, answer.text
    check_problem(answer, kind)


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"ct": b""}, "unsupported-media"),
        ({"ct": b"random" * 100}, "unsupported-media"),
        ({"ct": nan_nifti()}, "invalid-input"),
        ({"ct": unoriented_nifti()}, "geometry-conflict"),
        ({"ct": nifti(limb()["ct"])[:-2000]}, "invalid-input"),
        ({"flair": nifti(limb()["ct"])}, "invalid-input"),
        ({"ct": nifti(limb()["ct"]), "study": b"x"}, "invalid-input"),
    ],
    ids=["empty", "random", "NaN", "no orientation", "truncated", "unknown field", "study and modality"],
)
async def test_nifti_that_cannot_be_used(gateway: httpx.AsyncClient, files: dict[str, bytes], kind: str) -> None:
    answer = await gateway.post(
        "/v1/segmentations", data=WAIT, files={name: ("DOE^JANE", content) for name, content in files.items()}
    )
    assert "DOE" not in str(check_problem(answer, kind))


async def test_an_ambiguous_study_needs_an_assignment(gateway: httpx.AsyncClient) -> None:
    both = zipped({f"{i}": dicom_bytes(ds) for i, ds in enumerate(dicom_datasets(("ct",)) + dicom_datasets(("ct",)))})
    answer = await gateway.post("/v1/segmentations", params=WAIT, content=both, headers=ZIP)
    assert 400 <= answer.status_code < 500, answer.text


@pytest.mark.parametrize(
    ("method", "path", "kind", "status"),
    [
        ("GET", "/v1/jobs/none", "not-found", 404),
        ("GET", "/v1/jobs/none/events", "not-found", 404),
        ("GET", "/v1/jobs/none/results", "not-found", 404),
        ("GET", "/v1/jobs/none/results/mask.nii.gz", "not-found", 404),
        ("DELETE", "/v1/jobs/none", "not-found", 404),
        ("GET", "/v1/jobs/" + "x" * 100, "invalid-input", 400),
        ("GET", "/nowhere", "not-found", 404),
        ("GET", "/v1/jobs/../../etc/passwd", "not-found", 404),
        ("PUT", "/v1/models", "about:blank", 405),
        ("GET", "/v1/segmentations", "about:blank", 405),
        ("GET", "/problems/unheard-of", "invalid-input", 400),
    ],
)
async def test_addresses_that_lead_nowhere(
    gateway: httpx.AsyncClient, method: str, path: str, kind: str, status: int
) -> None:
    check_problem(await gateway.request(method, path), kind, status)


@pytest.mark.parametrize(
    ("parameters", "kind"),
    [
        ({"task": "everything"}, "not-found"),
        ({"task": "oncology", "num_steps": "0"}, "invalid-input"),
        ({"task": "oncology", "num_hypotheses": "1000000"}, "invalid-input"),
        ({"task": "oncology", "seed": "-1"}, "invalid-input"),
        ({"task": "oncology", "sampler": "magic"}, "invalid-input"),
        ({"task": "oncology", "sede": "1"}, "invalid-input"),
        ({"task": "oncology", "extra_results": "hologram"}, "invalid-input"),
        ({"task": "oncology", "assignment": "{"}, "invalid-input"),
    ],
)
async def test_parameters_that_cannot_be_used(
    gateway: httpx.AsyncClient, parameters: dict[str, str], kind: str
) -> None:
    in_query = await gateway.post("/v1/segmentations", params=parameters, content=b"PK", headers=ZIP)
    check_problem(in_query, kind)
    in_form = await gateway.post("/v1/segmentations", data=parameters, files=nifti_files(("ct",)))
    check_problem(in_form, kind)


@pytest.mark.parametrize("content_type", ["", "text/html", "application/json", "multipart/mixed; boundary=x", ";;"])
async def test_other_media_types_are_refused(gateway: httpx.AsyncClient, content_type: str) -> None:
    answer = await gateway.post("/v1/segmentations", params=TASK, content=b"x", headers={"Content-Type": content_type})
    check_problem(answer, "unsupported-media")


async def test_a_body_over_the_limit_is_told_so_even_in_mid_upload(gateway: httpx.AsyncClient) -> None:
    async def endless() -> Any:
        for _ in range(80):
            yield zlib.compress(b"x") + bytes(100_000)

    for content in (bytes(4_000_001), endless()):
        answer = await gateway.post("/v1/segmentations", params=TASK, content=content, headers=ZIP)
        problem = check_problem(answer, "too-large")
        assert problem["details"]["limit_bytes"] == 4_000_000


async def test_every_kind_has_a_page(gateway: httpx.AsyncClient) -> None:
    for kind in ErrorKind:
        answer = await gateway.get(f"/problems/{kind}")
        assert answer.json()["status"] == PROBLEMS[kind].status


@settings(suppress_health_check=list(HealthCheck), max_examples=40, deadline=None)
@given(
    content_type=st.sampled_from(["application/zip", "application/dicom", "multipart/form-data; boundary=b"])
    | st.text(st.characters(min_codepoint=32, max_codepoint=126)),
    body=st.binary(max_size=2000) | st.binary(max_size=200).map(lambda b: b"PK\x03\x04" + b),
    query=st.dictionaries(st.sampled_from(["task", "seed", "assignment", "x"]), st.text(max_size=20), max_size=3),
)
async def test_any_bytes_at_the_door_yield_a_problem(
    gateway: httpx.AsyncClient, content_type: str, body: bytes, query: dict[str, str]
) -> None:
    answer = await gateway.post(
        "/v1/segmentations",
        params=TASK | query | {"wait": "true"},
        content=body,
        headers={"Content-Type": content_type.strip()},
    )
    assert 400 <= answer.status_code < 500, (content_type, body, answer.text)
    assert answer.headers["Content-Type"] == "application/problem+json"


@settings(suppress_health_check=list(HealthCheck), max_examples=60, deadline=None)
@given(
    method=st.sampled_from(["GET", "POST", "DELETE", "PUT", "PATCH"]),
    path=st.lists(st.sampled_from(["v1", "jobs", "segmentations", "results", "..", "%00", "é", "a" * 300]), max_size=5),
    accept=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
)
async def test_any_address_yields_an_answer(
    gateway: httpx.AsyncClient, method: str, path: list[str], accept: str
) -> None:
    answer = await gateway.request(method, "/" + "/".join(path), headers={"Accept": accept.strip()})
    assert answer.status_code < 500, answer.text


def test_limits_of_the_fixture_are_tighter_than_the_default() -> None:
    assert Settings().rest.max_body_bytes > 4_000_000
