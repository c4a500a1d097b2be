"""Uploads: streamed, bounded, numbered, and wiped when refused."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from entrust.errors import DeadlineExceededError, EnTrustError, InvalidInputError, TooLargeError, UnsupportedMediaError
from service.api.rest.upload import MAX_FIELD_BYTES, receive
from service.intake.upload import Upload, UploadLimits

LIMITS = UploadLimits(max_body_bytes=100_000, max_files=3, timeout_seconds=5.0)
BOUNDARY = "b0undary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    file = f'; filename="{filename}"' if filename is not None else ""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def request(content_type: str, chunks: Sequence[bytes], *, leave: bool = False, silent: bool = False) -> Request:
    messages: list[Message] = [{"type": "http.request", "body": c, "more_body": True} for c in chunks]
    messages.append({"type": "http.disconnect"} if leave else {"type": "http.request", "body": b"", "more_body": False})

    async def more() -> Message:
        if silent and len(messages) == 1:
            await asyncio.sleep(60)
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-type", content_type.encode())]}
    return Request(scope, more)


async def take(
    folder: Path, content_type: str, *chunks: bytes, limits: UploadLimits = LIMITS, **kwargs: bool
) -> Upload:
    return await receive(
        request(content_type, chunks, **kwargs), limits, text_fields=frozenset({"task", "seed"}), work_folder=folder
    )


def content(upload: Upload) -> Mapping[str, bytes]:
    return {str(f.relative_to(upload.folder)): f.read_bytes() for f in upload.folder.rglob("*") if f.is_file()}


async def test_files_are_numbered_and_fields_are_read(tmp_path: Path) -> None:
    body = form(part("study", b"one", "../../DOE^JANE.dcm"), part("task", b"oncology"), part("study", b"two", "x"))
    upload = await take(tmp_path, FORM, body)
    assert content(upload) == {"study/000001": b"one", "study/000002": b"two"}
    assert upload.fields == {"task": "oncology"}
    assert upload.folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("size", [1, 7, 64])
async def test_any_cut_into_chunks_gives_the_same(tmp_path: Path, size: int) -> None:
    body = form(part("ct", b"\r\n--b0undar\r\n" * 20, "ct.nii"), part("seed", b"7"))
    upload = await take(tmp_path, FORM, *[body[i : i + size] for i in range(0, len(body), size)])
    assert content(upload) == {"ct/000001": b"\r\n--b0undar\r\n" * 20}
    assert upload.fields == {"seed": "7"}


async def test_a_body_may_be_the_file(tmp_path: Path) -> None:
    upload = await take(tmp_path, "application/zip", b"PK", b"\x03\x04")
    assert content(upload) == {"study/000001": b"PK\x03\x04"}


async def test_dicom_parts_need_no_names(tmp_path: Path) -> None:
    body = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\nDICM\r\n--{BOUNDARY}--\r\n".encode()
    upload = await take(tmp_path, f'multipart/related; type="application/dicom"; boundary={BOUNDARY}', body)
    assert content(upload) == {"study/000001": b"DICM"}


@pytest.mark.parametrize(
    ("content_type", "body", "error"),
    [
        ("", b"x", UnsupportedMediaError),
        ("text/html", b"x", UnsupportedMediaError),
        ("application/zip", b"", InvalidInputError),
        ("multipart/form-data", b"x", InvalidInputError),
        (FORM, b"", InvalidInputError),
        (FORM, b"nonsense", InvalidInputError),
        (FORM, part("study", b"cut off", "x"), InvalidInputError),
        (FORM, form(part("task", b"oncology")), InvalidInputError),
        (FORM, form(part("task", b"\xff"), part("study", b"x", "x")), InvalidInputError),
        (FORM, form(part("task", b"a"), part("task", b"b"), part("study", b"x", "x")), InvalidInputError),
        (FORM, form(part("../study", b"x", "x")), InvalidInputError),
        (FORM, form(part("", b"x", "x")), InvalidInputError),
        (FORM, form(part("a" * 300, b"x", "x")), InvalidInputError),
        (FORM, form(*[part("study", b"x", "x")] * 4), TooLargeError),
        (FORM, form(part("task", b"x" * (MAX_FIELD_BYTES + 1)), part("study", b"x", "x")), TooLargeError),
        ("application/zip", b"x" * 100_001, TooLargeError),
        (f"multipart/form-data; boundary={'x' * 1000}", b"x", InvalidInputError),
    ],
)
async def test_what_cannot_be_taken_is_refused_and_wiped(
    tmp_path: Path, content_type: str, body: bytes, error: type[EnTrustError]
) -> None:
    with pytest.raises(error):
        await take(tmp_path, content_type, body)
    assert list(tmp_path.iterdir()) == []


async def test_a_stated_length_over_the_limit_is_refused_unread(tmp_path: Path) -> None:
    sent = request("application/zip", [b"x"])
    sent.scope["headers"].append((b"content-length", b"100001"))
    with pytest.raises(TooLargeError):
        await receive(sent, LIMITS, text_fields=frozenset(), work_folder=tmp_path)


async def test_silence_ends_the_upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.api.http.body._DRAIN_SECONDS", 0.01)
    limits = UploadLimits(max_body_bytes=1000, max_files=3, timeout_seconds=0.05)
    with pytest.raises(DeadlineExceededError):
        await take(tmp_path, "application/zip", b"PK", limits=limits, silent=True)
    assert list(tmp_path.iterdir()) == []


async def test_a_client_that_leaves_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ClientDisconnect):
        await take(tmp_path, "application/zip", b"PK", leave=True)
    assert list(tmp_path.iterdir()) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(
    content_type=st.sampled_from([FORM, "multipart/related; boundary=b0undary", "application/zip"]) | st.text(),
    body=st.binary() | st.binary().map(lambda b: form(part("study", b, "x"))[: 3 * len(b) + 40]),
)
def test_any_bytes_are_taken_or_refused(tmp_path: Path, content_type: str, body: bytes) -> None:
    with contextlib.suppress(EnTrustError):
        asyncio.run(take(tmp_path, content_type.encode("utf-8", "replace").decode("latin-1"), body))
