"""Names in /dev/shm that can be told to be dead: nothing of a killed process stays behind for ever.

Shared memory outlives its processes. Each owner therefore takes a *namespace*: a random prefix and a lock file beside
it. The kernel lets go of the lock when the owner dies in whatever way, and the next owner sweeps up what has that
prefix. Process numbers would not do: containers that share /dev/shm do not share them.
"""

import contextlib
import fcntl
import os
import secrets
import time
from pathlib import Path

FOLDER = Path("/dev/shm")  # noqa: S108  (the name of POSIX shared memory on Linux)
PREFIX = "entrust_"
LOCK_SUFFIX = ".lock"


class Namespace:
    """A prefix for shared memory that belongs to this object until it is closed or the process dies.

    Args:
        kind: What it is for, a short word: ``server``, ``client``.
    """

    def __init__(self, kind: str) -> None:
        self.prefix = f"{PREFIX}{kind}_{secrets.token_hex(6)}"
        self._path = FOLDER / (self.prefix + LOCK_SUFFIX)
        self._lock: int | None = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def clear(self) -> None:
        """Remove what has this prefix, except the lock."""
        for path in FOLDER.glob(f"{self.prefix}*"):
            if path != self._path:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove everything; a second call does nothing."""
        if self._lock is None:
            return
        self.clear()
        self._path.unlink(missing_ok=True)
        os.close(self._lock)
        self._lock = None


def sweep() -> list[str]:
    """Remove the namespaces whose owners are dead; return their prefixes."""
    swept = []
    for path in FOLDER.glob(f"{PREFIX}*{LOCK_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError, PermissionError, BlockingIOError):
            lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                # an owner that lies between creating its file and locking it has written nothing yet, but would lose
                # its lock file: the age of the file tells it from a dead one
                if os.fstat(lock).st_mtime > time.time() - 2.0:
                    continue
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                prefix = path.name.removesuffix(LOCK_SUFFIX)
                for owned in FOLDER.glob(f"{prefix}*"):
                    owned.unlink(missing_ok=True)
                swept.append(prefix)
            finally:
                os.close(lock)
    return swept
