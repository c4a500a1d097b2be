"""STOW-RS over TLS, to a PACS whose authority is a private one, and that asks who we are."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from deploy.orthanc.server import Orthanc
from entrust.errors import DeliveryFailedError
from service.delivery import is_transient
from service.intake.certificates import Certificate
from tests.factories.deliveries import Parcel, Round
from tests.servers.line import Line, OpenLine


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of a PACS and of ours by one authority, and another authority that vouches for neither."""
    folder, authority = tmp_path_factory.mktemp("papers"), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA().cert_pem.write_to_path(folder / "other-ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "pacs.pem")
    ours = authority.issue_cert("entrust")
    ours.cert_chain_pems[0].write_to_path(folder / "ours.pem")
    ours.private_key_pem.write_to_path(folder / "ours.key")
    return folder


def trust(papers: Path) -> dict[str, Path | None]:
    return {"ca_file": papers / "ca.pem", "certificate_file": papers / "ours.pem", "key_file": papers / "ours.key"}


@pytest.fixture
def tls(papers: Path) -> ssl.SSLContext:
    """TLS as a server that lets in those who have a certificate; Debian's Orthanc dies of its own HTTPS."""
    return Certificate(papers / "pacs.pem", papers / "pacs.pem", papers / "ca.pem").server_context()


@pytest.fixture
async def encrypted(orthanc: Orthanc, tls: ssl.SSLContext, open_line: OpenLine) -> AsyncIterator[Line]:
    """The way to an Orthanc by TLS."""
    async with open_line(httpx.URL(orthanc.url).port or 0, tls) as line:
        yield line


def by_tls(line: Line, **files: Path | None) -> dict[str, Any]:
    return {"kind": "stow", "url": f"https://127.0.0.1:{line.port}/dicom-web", "timeout_seconds": 60.0, **files}


async def test_results_arrive_over_tls_and_are_read_back(
    encrypted: Line, orthanc: Orthanc, papers: Path, parcel: Parcel, tmp_path: Path
) -> None:
    one = Round(parcel, tmp_path, {"pacs": by_tls(encrypted, **trust(papers))})
    await one.courier.deliver(parcel.study_uid, parcel.results, "pacs")
    await one.courier.confirm(parcel.study_uid, parcel.refs, "pacs")
    assert len(await asyncio.to_thread(orthanc.get, "/instances")) == len(parcel.results)


@pytest.mark.parametrize("ca", ["other-ca.pem", None])
async def test_a_pacs_that_nobody_vouches_for_gets_nothing(
    ca: str | None, encrypted: Line, orthanc: Orthanc, papers: Path, parcel: Parcel, tmp_path: Path
) -> None:
    one = Round(parcel, tmp_path, {"pacs": by_tls(encrypted, **trust(papers) | {"ca_file": ca and papers / ca})})
    with pytest.raises(
        DeliveryFailedError, match=r"certificate of the target pacs is not accepted \(.*certif"
    ) as caught:
        await one.courier.deliver(parcel.study_uid, parcel.results, "pacs")
    assert "ca_file" in caught.value.fix
    assert is_transient(caught.value), "certificates are renewed"
    assert one.verdicts() == []
    assert await asyncio.to_thread(orthanc.get, "/instances") == []


@pytest.mark.parametrize(
    ("version", "cause"),
    [
        (ssl.TLSVersion.TLSv1_2, "The target pacs and we do not agree on TLS"),
        (ssl.TLSVersion.TLSv1_3, "target pacs"),  # the handshake is over when it says so, and we may not hear it
    ],
)
async def test_a_pacs_that_does_not_know_us_takes_nothing(
    version: ssl.TLSVersion, cause: str, encrypted: Line, tls: ssl.SSLContext,
    orthanc: Orthanc, papers: Path, parcel: Parcel, tmp_path: Path,
) -> None:  # fmt: skip
    tls.maximum_version = version
    one = Round(parcel, tmp_path, {"pacs": by_tls(encrypted, ca_file=papers / "ca.pem")})
    with pytest.raises(DeliveryFailedError, match=cause) as caught:
        await one.courier.deliver(parcel.study_uid, parcel.results, "pacs")
    assert is_transient(caught.value)
    assert await asyncio.to_thread(orthanc.get, "/instances") == []
