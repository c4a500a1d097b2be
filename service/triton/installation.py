"""What an installation of the embedded Triton consists of, and whether it is there."""

import hashlib
import json
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from entrust.errors import ModelUnavailableError

PROJECT = Path(__file__).resolve().parents[2]
SOURCES = PROJECT / "deploy" / "triton"
SERVER_WHEEL = "nvidia-pytriton==0.7.0"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
LIBPYTHON = f"libpython{PYTHON}.so.1.0"
INSTALL_COMMAND = "python -m service.triton.install"


@dataclass(frozen=True)
class Installation:
    """Where the embedded server lies.

    Attributes:
        home: The folder that holds it all, ``.triton`` beside the project's files by default.
    """

    home: Path = PROJECT / ".triton"

    @property
    def server(self) -> Path:
        """The server's files; the wheel's layout is kept, because the binaries find their libraries by it."""
        return self.home / "server" / "pytriton" / "tritonserver"

    @property
    def binary(self) -> Path:
        """The server."""
        return self.server / "bin" / "tritonserver"

    @property
    def backends(self) -> Path:
        """The backends, ours among them."""
        return self.server / "backends"

    @property
    def environment(self) -> Path:
        """The models' own python environment."""
        return self.home / "venv"

    @property
    def marker(self) -> Path:
        """Written last; says what is installed."""
        return self.home / "installed.json"

    def is_current(self) -> bool:
        """Return whether what is wanted is what is there."""
        try:
            return bool(json.loads(self.marker.read_text()) == wanted()) and self.binary.is_file()
        except (OSError, ValueError):
            return False

    def require(self) -> None:
        """Check that the server is installed.

        Raises:
            ModelUnavailableError: It is not, or another version is.
        """
        if not self.is_current():
            raise ModelUnavailableError(
                "The embedded Triton is not installed, or not as this version needs it.", fix=f"Run {INSTALL_COMMAND}."
            )


def wanted() -> dict[str, str]:
    """Return what identifies a complete installation."""
    requirements = hashlib.sha256((SOURCES / "requirements.txt").read_bytes()).hexdigest()
    return {"server": SERVER_WHEEL, "requirements": requirements, "python": PYTHON, "project": str(PROJECT)}


def library_path() -> str:
    """Return the folder in which this Python keeps its library."""
    return str(sysconfig.get_config_var("LIBDIR") or "")
