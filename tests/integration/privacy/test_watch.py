"""The canaries are alive, and are not heard when nothing works as it should.

Canaries go through every door (the files beside this one), and no log, metric, trace, audit message, problem or file
name sings of them.
"""

import os
import socket
import sys
import time
from pathlib import Path

import httpx

from deploy.prometheus.server import free_port, running
from tests.factories.canaries import BIRTH_DATE, SONG, canary_of, heard
from tests.factories.dicomweb import RELATED, part10, related
from tests.integration.privacy.watched import FAST, SINGER, ZIP, Watched, as_zip, singing


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
