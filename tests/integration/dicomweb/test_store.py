"""STOW-RS: every instance is answered for, one bad one spoils none, what is kept is never overwritten."""

import asyncio
import copy
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import generate_uid

from tests.factories.dicomweb import BOUNDARY, RELATED, part10, related, small_series
from tests.servers.gateway import RunningGateway, StartGateway

ROOT = "/dicom-web"


async def store(pacs: RunningGateway, body: Any, study: str = "", content_type: str = RELATED) -> tuple[int, Any]:
    answer = await pacs.post(
        f"{ROOT}/studies{study and '/' + study}", content=body, headers={"Content-Type": content_type}
    )
    return answer.status_code, answer.json()


def uids(answer: dict[str, Any], sequence: str) -> list[str]:
    return [item["00081155"]["Value"][0] for item in answer.get(sequence, {}).get("Value", [])]


def reasons(answer: dict[str, Any], sequence: str) -> list[int]:
    return [item["00081197"]["Value"][0] for item in answer.get(sequence, {}).get("Value", [])]


async def test_every_instance_is_listed_with_its_address(pacs: RunningGateway) -> None:
    series = small_series(3)
    status, answer = await store(pacs, related(map(part10, series)))
    assert status == 200
    assert uids(answer, "00081199") == [ds.SOPInstanceUID for ds in series]
    assert "00081198" not in answer
    for item, ds in zip(answer["00081199"]["Value"], series, strict=True):
        found = await pacs.get(item["00081190"]["Value"][0], headers={"Accept": "application/dicom"})
        assert found.content == part10(ds)


async def test_a_body_in_small_chunks_without_a_length_is_taken(pacs: RunningGateway) -> None:
    body = related(map(part10, small_series(2)))

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 700):
            yield body[start : start + 700]
            await asyncio.sleep(0)

    assert (await store(pacs, chunks()))[0] == 200


@pytest.mark.parametrize(
    "content_type",
    [
        f"multipart/related; type=application/dicom; boundary={BOUNDARY}",
        f'multipart/related;boundary="{BOUNDARY}";type="application/dicom"',
        f'Multipart/Related; type="application/dicom"; start="<0>"; boundary={BOUNDARY}',
        f"multipart/related; boundary={BOUNDARY}",
    ],
)
async def test_quotes_and_order_of_parameters_do_not_matter(pacs: RunningGateway, content_type: str) -> None:
    assert (await store(pacs, related([part10(small_series(1)[0])]), content_type=content_type))[0] == 200


async def test_one_bad_instance_spoils_none(pacs: RunningGateway) -> None:
    good, damaged = small_series(2), part10(small_series(1)[0])
    parts = [part10(good[0]), damaged[:200], b"no DICOM", b"", part10(good[1])]
    status, answer = await store(pacs, related(parts))
    assert status == 202
    assert uids(answer, "00081199") == [ds.SOPInstanceUID for ds in good]
    assert reasons(answer, "0008119A") == [0xC000] * 3


async def test_the_same_bytes_again_are_a_success_and_others_a_conflict(pacs: RunningGateway) -> None:
    ds = small_series(1)[0]
    first = part10(ds)
    assert (await store(pacs, related([first])))[0] == 200
    status, answer = await store(pacs, related([first]))
    assert status == 200
    assert uids(answer, "00081199") == [ds.SOPInstanceUID]
    changed = copy.deepcopy(ds)
    changed.PatientName = "Somebody^Else"
    status, answer = await store(pacs, related([part10(changed)]))
    assert status == 409
    assert reasons(answer, "00081198") == [0x0111]
    address = f"{ROOT}/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"
    assert (await pacs.get(address, headers={"Accept": "application/dicom"})).content == first
    metrics = (await pacs.get("/metrics")).text
    assert 'entrust_archive_instances_total{door="dicomweb",outcome="duplicate"} 1.0' in metrics


async def test_instances_of_another_study_are_refused(pacs: RunningGateway) -> None:
    here, elsewhere = small_series(1)[0], small_series(1)[0]
    body = related([part10(here), part10(elsewhere)])
    status, answer = await store(pacs, body, here.StudyInstanceUID)
    assert status == 202
    assert uids(answer, "00081199") == [here.SOPInstanceUID]
    assert uids(answer, "00081198") == [elsewhere.SOPInstanceUID]
    assert reasons(answer, "00081198") == [0xA900]
    status, answer = await store(pacs, body, generate_uid())
    assert status == 409
    assert len(reasons(answer, "00081198")) == 2
    nothing = await pacs.get(f"{ROOT}/studies/{elsewhere.StudyInstanceUID}/metadata")
    assert nothing.status_code == 404


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", RELATED, 400),
        (related([]), RELATED, 400),
        (related([b"x"])[:-20], RELATED, 400),
        (b"no boundary here", RELATED, 400),
        (related([b"x"]), 'multipart/related; type="application/dicom"', 400),
        (related([b"x"]), f'multipart/related; type="application/dicom+json"; boundary={BOUNDARY}', 415),
        (related([b"x"]), f"multipart/form-data; boundary={BOUNDARY}", 415),
        (b"x", "application/dicom", 415),
        (b"x", "", 415),
        (related([b"x"], "image/jpeg"), RELATED, 409),
    ],
)
async def test_odd_bodies_are_refused(pacs: RunningGateway, body: bytes, content_type: str, status: int) -> None:
    answer = await pacs.post(f"{ROOT}/studies", content=body, headers={"Content-Type": content_type})
    assert answer.status_code == status
    if status in (400, 415):
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["fix"]


async def test_an_answer_that_the_client_cannot_read_is_refused_before_anything_is_kept(pacs: RunningGateway) -> None:
    ds = small_series(1)[0]
    headers = {"Content-Type": RELATED, "Accept": "application/dicom+xml"}
    answer = await pacs.post(f"{ROOT}/studies", content=related([part10(ds)]), headers=headers)
    assert answer.status_code == 406
    assert (await pacs.get(f"{ROOT}/studies/{ds.StudyInstanceUID}/metadata")).status_code == 404


async def test_nothing_on_the_disk_says_whose_it_is(pacs: RunningGateway, archive_folder: Path) -> None:
    ds = small_series(1)[0]
    await store(pacs, related([part10(ds)]))
    names = [str(path.relative_to(archive_folder)) for path in archive_folder.rglob("*")]
    for word in (ds.SOPInstanceUID, ds.SeriesInstanceUID, ds.StudyInstanceUID, str(ds.PatientID)):
        assert not any(word in name for name in names)
    assert not list((archive_folder / "incoming").iterdir())
    assert all(path.stat().st_mode & 0o077 == 0 for path in archive_folder.iterdir() if path.is_dir())


async def test_limits_and_the_watermark_hold(start_gateway: StartGateway, tmp_path: Path) -> None:
    series = small_series(3)
    body = related(map(part10, series))
    small = {"max_files": 2, "max_body_bytes": len(body) + 1}
    open_archive = {"folder": tmp_path / "a", "max_used_ratio": 1.0, "min_free_bytes": 0}
    async with start_gateway(archive=open_archive, rest=small) as pacs:
        assert (await store(pacs, body))[0] == 413
        assert (await store(pacs, body + b"0" * 100))[0] == 413
        found = await pacs.get(f"{ROOT}/studies/{series[0].StudyInstanceUID}/instances")
        assert len(found.json()) == 2  # what was kept before the limit stays
    full = {"folder": tmp_path / "b", "max_used_ratio": 1e-6, "min_free_bytes": 0}
    async with start_gateway(archive=full) as pacs:
        answer = await pacs.post(f"{ROOT}/studies", content=body, headers={"Content-Type": RELATED})
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "60"


async def test_tokens_guard_it_and_without_an_archive_there_is_none(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    (tmp_path / "tokens").write_text("0123456789abcdef\n")
    auth = {"token_file": tmp_path / "tokens"}
    async with start_gateway(archive={"folder": tmp_path / "archive"}, auth=auth) as pacs:
        assert (await pacs.get(f"{ROOT}/studies")).status_code == 401
        known = {"Authorization": "Bearer 0123456789abcdef"}
        assert (await pacs.get(f"{ROOT}/studies", headers=known)).json() == []
    async with start_gateway() as plain:
        assert (await plain.get(f"{ROOT}/studies")).status_code == 404
