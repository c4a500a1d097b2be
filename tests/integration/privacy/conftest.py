"""One gateway behind whose every channel somebody listens."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from deploy.prometheus.server import free_port
from deploy.traces.receiver import running_receiver
from service.triton.embedded import EmbeddedTriton
from tests.integration.privacy.watched import AUTHORIZATION, TOKEN, Watched
from tests.servers.service_process import StartService


@pytest.fixture(scope="package")
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


@pytest.fixture(scope="package")
async def client(watched: Watched) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=watched.process.url, headers=AUTHORIZATION, timeout=240.0, trust_env=False
    ) as made:
        yield made
