"""One set of results, and an Orthanc to deliver it to."""

from collections.abc import Iterator

import pytest

from deploy.orthanc.server import Orthanc
from tests.factories.deliveries import Parcel, write_parcel
from tests.servers.orthanc import StartOrthanc


@pytest.fixture(scope="session")
def parcel(tmp_path_factory: pytest.TempPathFactory) -> Parcel:
    return write_parcel(tmp_path_factory.mktemp("parcel"))


@pytest.fixture(scope="package")
def running(start_orthanc: StartOrthanc) -> Iterator[Orthanc]:
    with start_orthanc() as orthanc:
        yield orthanc


@pytest.fixture
def orthanc(running: Orthanc) -> Orthanc:
    """An empty one."""
    for study in running.get("/studies"):
        running.delete(f"/studies/{study}")
    return running
