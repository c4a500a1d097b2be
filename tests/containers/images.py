"""Building the images as a user does, except that pip reads from a folder.

The wheels are fetched by this machine's own pip with its own configuration, whatever that is, into a folder that the
builds see at /mnt; so nothing of the configuration can stay in an image.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from service.triton.installation import SERVER_WHEEL
from tests.containers.engine import BASE, ROOT, Engine

TARGETS = ("gateway", "triton-cpu", "exporter")
PIP_CONFIGURATION = "[global]\nno-index = true\nfind-links = /mnt\n"
STAND_INS = ("prometheus", "orthanc")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def build(engine: Engine, target: str, dockerfile: str = "Dockerfile") -> str:
    """Build one target and return the image's name."""
    secret = engine.folder / "pip.conf"
    secret.write_text(PIP_CONFIGURATION)
    name = f"localhost/entrust-serve/{target}:{VERSION}"
    engine.buildah(
        "bud", "--format", "docker", "--isolation", "chroot", "--network", "host", "--layers",
        "--build-arg", f"BASE={BASE}", "--secret", f"id=pip,src={secret}",
        "--volume", f"{wheels(engine.folder)}:/mnt:ro", "--file", dockerfile, "--target", target, "--tag", name, ".",
    )  # fmt: skip
    return name


def wheels(folder: Path) -> Path:
    """Fetch what the builds install, once for each state of the lists."""
    lists = [ROOT / "pyproject.toml", ROOT / "requirements.lock", ROOT / "deploy" / "triton" / "requirements.txt"]
    state = hashlib.sha256(b"".join(path.read_bytes() for path in lists) + SERVER_WHEEL.encode()).hexdigest()[:12]
    target = folder / f"wheels-{state}"
    if target.is_dir():
        return target
    for old in folder.glob("wheels*"):
        shutil.rmtree(old)
    partial = folder / "wheels.partial"
    requirements = folder / "requirements.txt"
    command = [sys.executable, "deploy/containers/requirements_of.py", "export"]
    requirements.write_bytes(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    for arguments in (
        ["--constraint", "requirements.lock", "--requirement", str(requirements), "setuptools", "wheel"],
        ["--no-deps", SERVER_WHEEL],
        ["--requirement", str(lists[2])],
    ):
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(partial), *arguments]
        done = subprocess.run(pip, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
    return partial.rename(target)


def transfer_bytes(engine: Engine, image: str, folder: Path) -> int:
    """Return the size of an image as registries keep and send it: its compressed layers."""
    engine.podman("push", "--quiet", "--compress", image, f"dir:{folder}")
    return sum(path.stat().st_size for path in folder.iterdir())


def machine_marks() -> list[str]:
    """Return what this machine's pip is configured with: hosts and local folders that no image may show."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True).stdout
    given = [line.partition("=")[2].strip("'\"") for line in listed.splitlines()]
    given += [value for name, value in os.environ.items() if name.startswith("PIP_")]
    words = {word for value in given for word in value.split() if "/" in word}
    marks = {word.partition("://")[2].partition("/")[0].rpartition("@")[2] or word for word in words}
    general = {"", "/etc/ssl/certs/ca-certificates.crt", "pypi.org", "files.pythonhosted.org"}
    return sorted(mark.removeprefix("file://") for mark in marks - general)
