"""Start Debian's Orthanc with its DICOMweb plugin in a folder of its own."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from deploy.prometheus.server import binary, free_port, running

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
READY_SECONDS = 120.0
AE_TITLE = "PACS"


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc.

    Attributes:
        url: Its REST interface.
        dicom_port: Where its SCP listens.
    """

    url: str
    dicom_port: int

    def get(self, path: str) -> Any:
        """Return the JSON of one resource."""
        return httpx.get(f"{self.url}{path}", timeout=120.0, trust_env=False).raise_for_status().json()

    def post(self, path: str, body: Any) -> Any:
        """Do something, and return what it says; bytes are sent as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = httpx.post(f"{self.url}{path}", content=content, timeout=300.0, trust_env=False)
        return answer.raise_for_status().json()

    def delete(self, path: str) -> None:
        """Remove a resource."""
        httpx.delete(f"{self.url}{path}", timeout=120.0, trust_env=False).raise_for_status()


@contextmanager
def running_orthanc(
    folder: Path,
    *,
    scp_port: int = 0,
    dicomweb_url: str = "",
    ports: tuple[int, int] = (0, 0),
    credentials: str = "",
    settings: Mapping[str, Any] | None = None,
) -> Iterator[Orthanc]:
    """Run Orthanc until the end of the block.

    Args:
        folder: Where its data, configuration and log go.
        scp_port: Port of our SCP on this machine, which Orthanc then knows as the modality ``entrust``.
        dicomweb_url: Root of our DICOMweb, which it then knows as the server ``entrust``.
        ports: Of HTTP and DICOM; free ones where 0.
        credentials: ``user:password`` of the only user that it lets in; everybody when empty.
        settings: Further values of its configuration.

    Raises:
        ServerError: It is not installed or does not start.
    """
    http_port, dicom_port = (port or free_port() for port in ports)
    server = {"Url": f"{dicomweb_url}/", "HasDelete": False, "ChunkedTransfers": True}
    config = {
        "Name": AE_TITLE,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "Plugins": [str(PLUGIN)] if PLUGIN.exists() else [],
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": bool(credentials),
        "RegisteredUsers": dict([credentials.split(":")] if credentials else []),
        "DicomAet": AE_TITLE,
        "DicomPort": dicom_port,
        "DicomCheckCalledAet": False,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowGet": True,
        "UnknownSopClassAccepted": True,
        "OverwriteInstances": False,
        "DicomModalities": {"entrust": ["ENTRUST", "127.0.0.1", scp_port]} if scp_port else {},
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "Servers": {"entrust": server} if dicomweb_url else {}},
        **(settings or {}),
    }
    path = folder / "orthanc.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    environment = os.environ | {"TCP_NODELAY": "1"}  # dcmtk below Orthanc is 20 times slower without
    command = [binary("Orthanc"), str(path)]
    url = f"http://{credentials}{'@' if credentials else ''}127.0.0.1:{http_port}"
    with running(command, f"{url}/system", folder / "orthanc.log", READY_SECONDS, environment=environment):
        yield Orthanc(url, dicom_port)
