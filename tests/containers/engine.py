"""Podman and buildah as root on a machine without systemd or networks for containers; a store that is ours alone."""

import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from training.datasets.phantoms.dicom import write_study, zip_study
from training.datasets.phantoms.limb import make_phantom

ROOT = Path(__file__).resolve().parents[2]
BASE = "localhost/debian:bookworm"
MIRROR = "http://deb.debian.org/debian"
PROGRAMS = ("podman", "buildah", "runc", "debootstrap")
COMPOSE = ROOT / ".cache" / "tools" / "bin" / "podman-compose"
COMMAND_SECONDS = 1500
PHANTOM = 9004
LEFT_OUT = ("usr/share/doc/*", "usr/share/man/*", "usr/share/info/*", "usr/share/locale/*", "var/cache/apt/*",
            "var/lib/apt/lists/*", "dev/*")  # fmt: skip
"""What the slim images of Debian leave out, too."""


class Engine:
    """The engine and its store.

    Args:
        folder: Where the store, the base and the wheels lie.
    """

    def __init__(self, folder: Path = ROOT / ".cache" / "containers") -> None:
        self.folder = folder

    def start(self) -> None:
        """Write the configuration, and make the base image unless it is there."""
        missing = [name for name in PROGRAMS if shutil.which(name) is None]
        assert not missing, f"apt-get install {' '.join(missing)}"
        assert os.geteuid() == 0, "root is needed: debootstrap makes a system"
        self.folder.mkdir(parents=True, exist_ok=True)
        limits = (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC))
        ulimits = ", ".join(f'"{name}={_half(number)}:{_half(number)}"' for name, number in limits)
        (self.folder / "containers.conf").write_text(
            '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
            f"[containers]\ndefault_ulimits = [{ulimits}]\n"
        )
        driver = self._storage_driver()
        (self.folder / "storage.conf").write_text(
            f'[storage]\ndriver = "{driver}"\n'
            f'graphroot = "{self.folder}/storage-{driver}"\nrunroot = "{self.folder}/run-{driver}"\n'
        )
        self._base()

    def stop(self) -> None:
        """End and remove what runs, and every image but the base."""
        self.podman("rm", "--all", "--force", "--time", "5")
        self.podman("volume", "prune", "--force")
        if "KEEP_IMAGES" not in os.environ:
            self.buildah("rm", "--all")
            built = self.podman("images", "--all", "--quiet", "--no-trunc", "--filter", f"since={BASE}").split()
            self.podman("rmi", "--force", "--ignore", *dict.fromkeys(built)) if built else None

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of every command."""
        return os.environ | {
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
            "BUILDAH_ISOLATION": "chroot",
            "DISABLE_HC_SYSTEMD": "true",
        }

    def podman(self, *arguments: str) -> str:
        """Run podman and return its output; a failure raises with what it said."""
        return self.run(["podman", *arguments])

    def buildah(self, *arguments: str) -> str:
        """Run buildah."""
        return self.run(["buildah", *arguments])

    def compose(self, *arguments: str, **variables: str) -> str:
        """Run podman-compose on the project's files, with the host's network."""
        files = ["--file", "docker-compose.yml", "--file", "deploy/compose/host-network.yml"]
        return self.run([str(COMPOSE), "--project-name", "entrust-e2e", *files, *arguments], **variables)

    def run(self, command: Sequence[str], **variables: str) -> str:
        """Run a command in the project's folder."""
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment | variables, capture_output=True, text=True, timeout=COMMAND_SECONDS
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def logs(self, container: str) -> str:
        """Return all that a container has written."""
        done = subprocess.run(
            ["podman", "logs", container], env=self.environment, capture_output=True, text=True, timeout=60
        )
        return done.stdout + done.stderr

    def _storage_driver(self) -> str:
        """Return ``overlay`` where the file system can carry it; else ``vfs``, slower and many times larger."""
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            folder = Path(name)
            for each in ("lower", "upper", "work", "merged"):
                (folder / each).mkdir()
            options = ",".join(f"{each}dir={folder / each}" for each in ("lower", "upper", "work"))
            mount = ["mount", "-t", "overlay", "overlay", "-o", options, str(folder / "merged")]
            if subprocess.run(mount, capture_output=True).returncode != 0:
                return "vfs"
            subprocess.run(["umount", str(folder / "merged")], check=True)
            return "overlay"

    def _base(self) -> None:
        """Make Debian with debootstrap: no registry of images is asked."""
        if BASE in self.podman("images", "--format", "{{.Repository}}:{{.Tag}}"):
            return
        system, archive = self.folder / "debootstrap", self.folder / "base.tar"
        shutil.rmtree(system, ignore_errors=True)
        self.run(["debootstrap", "--variant=minbase", "bookworm", str(system), MIRROR])
        self.run(["tar", "-C", str(system), *(f"--exclude=./{path}" for path in LEFT_OUT), "-cf", str(archive), "."])
        self.podman("import", str(archive), BASE)
        archive.unlink()
        shutil.rmtree(system)


def gateway_upload(folder: Path) -> Path:
    """Draw a phantom and return its study as a zip."""
    write_study(make_phantom(PHANTOM, conflict=True), folder / "study")
    return zip_study(folder / "study", folder / "study.zip")


def _half(number: int) -> int:
    """Return a limit that a container may be given: the engine refuses some that equal the machine's own."""
    hard = resource.getrlimit(number)[1]
    return 8192 if hard == resource.RLIM_INFINITY else min(8192, hard // 2)
