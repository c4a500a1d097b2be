"""Serve OHIF together with the DICOMweb server that it reads from, by Debian's nginx."""

import getpass
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.prometheus.server import ServerError, binary, free_port, running

HERE = Path(__file__).parent
OHIF = Path(".cache/ohif")
"""Where ``deploy/scripts/install-ohif`` puts it."""
READY_SECONDS = 30.0


@contextmanager
def running_viewer(folder: Path, dicomweb_url: str) -> Iterator[str]:
    """Serve OHIF on a free port until the end of the block, and give its address.

    Args:
        folder: Where configuration and log go.
        dicomweb_url: Root of the DICOMweb server that it reads from.

    Raises:
        ServerError: OHIF or nginx is not installed, or nginx does not start.
    """
    if not (OHIF / "index.html").exists():
        raise ServerError("OHIF is not installed (deploy/scripts/install-ohif).")
    port = free_port()
    folder.mkdir()
    shutil.copy(HERE / "app-config.js", folder)
    config = (HERE / "nginx.conf").read_text(encoding="utf-8")
    values = {
        "FOLDER": folder,
        "PORT": port,
        "DICOMWEB": dicomweb_url,
        "OHIF": OHIF.resolve(),
        "USER": getpass.getuser(),
    }
    for name, value in values.items():
        config = config.replace(f"@{name}@", str(value))
    path = folder / "nginx.conf"
    path.write_text(config, encoding="utf-8")
    url = f"http://127.0.0.1:{port}"
    with running([binary("nginx"), "-c", str(path)], f"{url}/index.html", folder / "nginx.log", READY_SECONDS):
        yield url
