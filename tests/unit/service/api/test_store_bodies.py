"""Any bytes in a store request become an answer, never a crash; any cut into pieces gives the same one."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrust.errors import InvalidInputError
from service.api.dicomweb.store import Answer, _Instances
from service.archive import Archive, Watermark
from service.audit import Reception
from tests.factories.dicomweb import BOUNDARY, part10, related, small_series

GOOD = part10(small_series(1)[0])


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    with contextlib.closing(Archive(tmp_path_factory.mktemp("archive"), watermark=Watermark(1.0, 0))) as made:
        yield made


def receive(archive: Archive, pieces: list[bytes]) -> tuple[Answer, bool]:
    """Return what is answered, and whether the body was whole."""
    answer = Answer()
    parts = _Instances(archive, "", 100, answer, lambda *_: None, Reception())

    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    try:
        asyncio.run(parts.take(body(), BOUNDARY.encode(), fix="Send it again."))
    except InvalidInputError:
        return answer, False
    return answer, True


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(min_value=0, max_value=3 * len(GOOD)), max_size=8))
def test_any_cut_into_pieces_gives_the_same(archive: Archive, cuts: list[int]) -> None:
    body = related([GOOD, b"\r\n--0e3\r\n" * 5, GOOD])
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    answer, whole = receive(archive, [body[a:b] for a, b in itertools.pairwise(edges)])
    assert whole
    assert (len(answer.stored), len(answer.failed), answer.unread) == (2, 0, [0xC000])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bytes_get_an_answer(archive: Archive, data: st.DataObject) -> None:
    body = bytearray(related([GOOD, GOOD]))
    for _ in range(data.draw(st.integers(0, 6))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=20))
    answer, _ = receive(archive, [bytes(body)])
    assert answer.status in (200, 202, 409)
    assert not list((Path(archive.files.folder) / "incoming").iterdir())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=300))
def test_noise_gets_an_answer(archive: Archive, body: bytes) -> None:
    assert receive(archive, [body])[0].stored == []
    assert receive(archive, [related([body])])[0].stored == []
