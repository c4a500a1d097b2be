"""An archive and the records of its studies."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.archive import Archive, Watermark
from service.studies.records import StudyRecords
from service.studies.tables import database_url, open_tables

ROOMY = Watermark(max_used_ratio=1.0, min_free_bytes=0)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with contextlib.closing(Archive(tmp_path / "archive", watermark=ROOMY)) as opened:
        yield opened


@pytest.fixture
def records(tmp_path: Path) -> StudyRecords:
    return StudyRecords(open_tables(database_url(f"sqlite:///{tmp_path / 'studies'}"), "archive"))
