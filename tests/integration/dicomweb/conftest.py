"""A gateway with an archive of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.servers.gateway import RunningGateway, StartGateway


@pytest.fixture(scope="module")
async def archive_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("archive")


@pytest.fixture(scope="module")
async def pacs(start_gateway: StartGateway, archive_folder: Path) -> AsyncIterator[RunningGateway]:
    """A client of a gateway that keeps studies, whatever else fills this machine's disk."""
    archive = {"folder": archive_folder, "max_used_ratio": 1.0, "min_free_bytes": 0}
    async with start_gateway(archive=archive) as client:
        yield client
