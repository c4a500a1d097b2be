"""Instances as files below one folder: written completely or not at all, under names that do not say whose they are.

    <folder>/key                         secret of the names, made once
    <folder>/incoming/<random>           what is being received, locked by who receives it
    <folder>/incoming/<name>.<random>    the same while it gets its place
    <folder>/instances/ab/<name>.dcm     what is kept; the name is a keyed hash of SOPInstanceUID

A file is written to ``incoming`` and linked to its place, which fails where that place is taken: one writer wins,
whatever number of threads and processes share the folder. Then the disk is made to hold file and folder, and only then
is the first name removed and the sender told. Who starts removes both names of what nobody holds a lock on: its sender
was never told of a success, and its bytes may be incomplete. Linking before flushing lets the two flushes, of file and
folder, run at once, which takes the disk little longer than one.
"""

import contextlib
import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from entrust.errors import InternalError, OverloadedError

KEY_BYTES = 32
_FLUSHES = 8
_COMPARED_BYTES = 1 << 20


class InstanceFiles:
    """The files of one archive.

    Args:
        folder: Its folder; made when it does not exist, for this user alone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._incoming = folder / "incoming"
        self._instances = folder / "instances"
        for path in (folder, self._incoming, self._instances):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for prefix in range(256):
            (self._instances / f"{prefix:02x}").mkdir(mode=0o700, exist_ok=True)
        sync(self._instances)
        sync(folder)
        self._flushes = ThreadPoolExecutor(_FLUSHES, "archive-flush")
        self._key = self._read_key()
        self._sweep()

    def name(self, sop_instance_uid: str) -> str:
        """Return the name under which an instance is kept."""
        return hashlib.blake2b(sop_instance_uid.encode(), key=self._key, digest_size=16).hexdigest()

    def path(self, name: str) -> Path:
        """Return where a kept instance lies."""
        return self._instances / name[:2] / f"{name}.dcm"

    def names(self) -> Iterator[str]:
        """Yield the names of all kept instances."""
        for folder in sorted(self._instances.iterdir()):
            yield from sorted(path.stem for path in folder.glob("*.dcm"))

    @contextlib.contextmanager
    def incoming(self) -> Iterator[IO[bytes]]:
        """Open a file for what is being received; it is gone after the block, unless it was kept.

        Raises:
            OverloadedError: The disk is full.
        """
        path = self._incoming / secrets.token_hex(16)
        with disk_errors(), _locked(self._incoming, fcntl.LOCK_SH):  # nobody sweeps it before it is locked
            file = path.open("x+b")
            fcntl.flock(file, fcntl.LOCK_EX)
        try:
            with file:
                yield file
        finally:
            path.unlink(missing_ok=True)

    def keep(self, file: IO[bytes], name: str) -> bool:
        """Give an incoming file its place, and return when the disk holds it.

        Args:
            file: From :meth:`incoming`, written.
            name: From :meth:`name`.

        Returns:
            Whether it is kept now; False where another one had its place already, which the disk holds then.

        Raises:
            OverloadedError: The disk is full.
        """
        incoming, path = Path(file.name), self.path(name)
        placing = incoming.with_name(f"{name}.{incoming.name}")
        with disk_errors():
            file.flush()
            os.link(incoming, placing)
            try:
                os.link(incoming, path)
            except FileExistsError:
                placing.unlink()
                sync(path)
                sync(path.parent)
                return False
            try:
                folder = self._flushes.submit(sync, path.parent)
                os.fsync(file.fileno())
                folder.result()
            except OSError:
                path.unlink()
                raise
            finally:
                placing.unlink()
        return True

    def delete(self, name: str) -> None:
        """Remove an instance; one that is gone already is no error."""
        self.path(name).unlink(missing_ok=True)

    def close(self) -> None:
        """Let the flushing threads go."""
        self._flushes.shutdown()

    def _read_key(self) -> bytes:
        path = self.folder / "key"
        if not path.exists():
            with self.incoming() as file:
                file.write(secrets.token_bytes(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
                with contextlib.suppress(FileExistsError):  # another process was quicker
                    os.link(file.name, path)
            sync(self.folder)
        key = path.read_bytes()
        if len(key) != KEY_BYTES:
            raise InternalError("The archive's key is damaged.", fix="Restore the file key from a backup.")
        return key

    def _sweep(self) -> None:
        """Remove what dead processes left half received."""
        with _locked(self._incoming, fcntl.LOCK_EX):
            for path in self._incoming.iterdir():
                with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    name, separator, _ = path.name.partition(".")
                    kept = self.path(name)
                    if separator and kept.exists() and kept.samefile(path):
                        kept.unlink()
                    path.unlink()


@contextlib.contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    """Hold a lock on a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def disk_errors() -> Iterator[None]:
    """Translate a disk that is full or failing.

    Raises:
        OverloadedError: It is.
    """
    try:
        yield
    except OSError as error:
        raise OverloadedError(
            f"The archive cannot write ({os.strerror(error.errno or 0)}).",
            retry_after_seconds=60.0,
            fix="Try again later; the operator must make room on the archive's disk.",
        ) from error


def sync(path: Path) -> None:
    """Have the disk hold a file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def same_bytes(first: Path, first_offset: int, second: Path, second_offset: int) -> bool:
    """Tell whether two files are the same from the given offsets on."""
    if first.stat().st_size - first_offset != second.stat().st_size - second_offset:
        return False
    with first.open("rb") as a, second.open("rb") as b:
        a.seek(first_offset)
        b.seek(second_offset)
        while piece := a.read(_COMPARED_BYTES):
            if piece != b.read(_COMPARED_BYTES):
                return False
    return True
