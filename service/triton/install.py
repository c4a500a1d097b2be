"""Install the embedded Triton: ``python -m service.triton.install``.

A wheel on the package index carries NVIDIA's server binary and its python backend. They are unpacked into ``.triton/``
together with a small environment of their own, because the backend's stub corrupts tensors under numpy 2
(``deploy/triton/requirements.txt``). A second run finds everything in place and does nothing.
"""

import argparse
import asyncio
import ctypes
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from entrust.errors import EnTrustError, ModelUnavailableError
from service.triton.canary import Canary
from service.triton.embedded import EmbeddedTriton
from service.triton.installation import (
    INSTALL_COMMAND,
    LIBPYTHON,
    PYTHON,
    SERVER_WHEEL,
    SOURCES,
    Installation,
    library_path,
    wanted,
)


def run(command: Sequence[str | Path], *, fix: str) -> None:
    """Run a command of the installation.

    Raises:
        ModelUnavailableError: It failed; the end of its output is in the message.
    """
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise ModelUnavailableError(f"{Path(command[0]).name} failed while Triton was installed:\n{tail}\n", fix=fix)


def unpack_server(installation: Installation) -> None:
    """Fetch the server's wheel with pip and unpack what is needed of it."""
    with tempfile.TemporaryDirectory(dir=installation.home) as folder:
        run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, SERVER_WHEEL],
            fix="Check that pip reaches its package index and that this is Linux on x86-64 with glibc 2.35 or newer.",
        )
        (wheel,) = Path(folder).glob("*.whl")
        unpacked = Path(folder) / "server"
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.startswith(("pytriton/tritonserver/", "nvidia_pytriton.libs/", "nvidia_pytriton-")):
                    archive.extract(name, unpacked)  # zipfile refuses to leave the folder
        (unpacked / "pytriton/tritonserver/bin/tritonserver").chmod(0o755)
        target = installation.home / "server"
        shutil.rmtree(target, ignore_errors=True)
        unpacked.rename(target)
    stub = installation.server / "python_backend_stubs" / PYTHON / "triton_python_backend_stub"
    if not stub.is_file():
        raise ModelUnavailableError(f"{SERVER_WHEEL} has no stub for Python {PYTHON}.", fix="Use Python 3.11.")
    copied = shutil.copy(stub, installation.backends / "python" / stub.name)
    Path(copied).chmod(0o755)
    (installation.backends / "onnxruntime").symlink_to(SOURCES / "backends" / "onnxruntime")


def build_environment(installation: Installation) -> None:
    """Make the models' own environment."""
    shutil.rmtree(installation.environment, ignore_errors=True)
    try:
        venv.EnvBuilder(with_pip=True, symlinks=True).create(installation.environment)
    except subprocess.CalledProcessError as error:
        raise ModelUnavailableError(
            "Python cannot make a virtual environment.", fix=f"On Debian: apt-get install python{PYTHON}-venv."
        ) from error
    run(
        [installation.environment / "bin" / "python", "-m", "pip", "install", "--quiet",
         "--disable-pip-version-check", "--requirement", SOURCES / "requirements.txt"],
        fix="Check that pip reaches its package index.",
    )  # fmt: skip


def has_libpython() -> bool:
    """Return whether the stub will find the library of its Python."""
    for candidate in (str(Path(library_path()) / LIBPYTHON), LIBPYTHON):
        try:
            ctypes.CDLL(candidate)
        except OSError:
            continue
        return True
    return False


def ensure_libpython() -> None:
    """Make sure that the stub finds libpython; on Debian as root install it.

    Raises:
        ModelUnavailableError: It is not there and could not be installed.
    """
    if has_libpython():
        return
    package = f"libpython{PYTHON}"
    fix = f"On Debian or Ubuntu: apt-get install {package}."
    if os.geteuid() == 0 and shutil.which("apt-get"):
        run(["apt-get", "update", "-qq"], fix=fix)
        run(["apt-get", "install", "-qq", "-y", "--no-install-recommends", package], fix=fix)
    if not has_libpython():
        raise ModelUnavailableError(f"Triton's python backend needs {LIBPYTHON}, which is not here.", fix=fix)


async def echo(installation: Installation) -> None:
    """Start the server with a model of one Identity node and compare what comes back with what was sent.

    Raises:
        ModelUnavailableError: The server does not start, or tensors change on their way.
    """
    sent = np.arange(48, dtype=np.float32).reshape(8, 6) - 0.25
    canary = Canary({"x": sent}, expected={"y": sent})
    async with EmbeddedTriton(SOURCES / "selftest", {"identity": canary}, installation=installation):
        pass  # ready means: the canary came back as expected


def install(installation: Installation, *, force: bool = False, report: Callable[[str], object] = str) -> bool:
    """Install what is missing.

    Args:
        installation: Where.
        force: Start anew even if everything seems to be there.
        report: Hears of each step.

    Returns:
        Whether anything had to be done.

    Raises:
        ModelUnavailableError: A step failed; the error says which and what helps.
    """
    installation.home.mkdir(parents=True, exist_ok=True)
    with (installation.home / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two installers at a time would tear each other's files down
        if installation.is_current() and not force:
            return False
        installation.marker.unlink(missing_ok=True)
        report(f"Unpacking the server ({SERVER_WHEEL}, about 55 MB)")
        unpack_server(installation)
        report("Building the models' environment")
        build_environment(installation)
        report(f"Checking {LIBPYTHON}")
        ensure_libpython()
        installation.marker.write_text(json.dumps(wanted(), indent=2) + "\n")
        report("Starting the server once and sending a tensor through it")
        try:
            asyncio.run(echo(installation))
        except EnTrustError:
            installation.marker.unlink()
            raise
        return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Install from the command line."""
    parser = argparse.ArgumentParser(prog=INSTALL_COMMAND, description="Install the embedded Triton.")
    parser.add_argument("--home", type=Path, default=Installation.home, help="where to (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="install anew even if it seems complete")
    options = parser.parse_args(arguments)
    try:
        done = install(Installation(options.home.resolve()), force=options.force, report=print)
    except EnTrustError as error:
        print(error, file=sys.stderr)
        return 1
    print("The embedded Triton is ready." if done else "The embedded Triton was already installed.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
