"""What this performer has claimed, on the disk before the task manager is asked: a Transaction UID is the only key to a
claimed workitem, and no manager tells it again (PS3.4 CC.1.1).

    <folder>/lock            held by the one performer that uses the folder
    <folder>/<hash>.json     one claim
"""

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from entrust.errors import ConflictError, InternalError


@dataclass(frozen=True)
class Claim:
    """A claim. Never logged.

    Attributes:
        workitem_uid: The workitem.
        transaction_uid: The key to it.
        attempts: How many times its work was begun.
    """

    workitem_uid: str
    transaction_uid: str
    attempts: int = 0

    @property
    def order(self) -> str:
        """Name of the work that it is for; tells neither of the two."""
        return hashlib.sha256(f"{self.workitem_uid} {self.transaction_uid}".encode()).hexdigest()[:32]


class Claims:
    """The claims of one performer.

    Args:
        folder: Where they lie; made when it does not exist, for this user alone.

    Raises:
        ConflictError: Another performer uses the folder.
        InternalError: The folder cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with _disk():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise ConflictError(
                "Another performer uses the folder of claims.", fix="Give each its own ENTRUST_WORKLIST__FOLDER."
            ) from None

    def keep(self, claim: Claim) -> None:
        """Write a claim, and return when the disk holds it.

        Raises:
            InternalError: The disk does not take it.
        """
        path = self._path(claim.workitem_uid)
        written = path.with_suffix(".new")
        with _disk():
            with written.open("w", encoding="utf-8") as file:
                json.dump(asdict(claim), file)
                file.flush()
                os.fsync(file.fileno())
            written.replace(path)
            self._sync()

    def forget(self, workitem_uid: str) -> None:
        """Remove a claim; one that is gone already is no error."""
        with _disk():
            self._path(workitem_uid).unlink(missing_ok=True)
            self._sync()

    def all(self) -> list[Claim]:
        """Return every claim; one that was not written to its end was never made."""
        with _disk():
            return [Claim(**json.loads(path.read_text("utf-8"))) for path in sorted(self._folder.glob("*.json"))]

    def close(self) -> None:
        """Let another performer use the folder."""
        os.close(self._lock)

    def _path(self, workitem_uid: str) -> Path:
        return self._folder / f"{hashlib.sha256(workitem_uid.encode()).hexdigest()[:32]}.json"

    def _sync(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _disk() -> Iterator[None]:
    """Translate a disk that fails.

    Raises:
        InternalError: It does, or a file is damaged.
    """
    try:
        yield
    except (OSError, ValueError, TypeError) as error:
        raise InternalError(
            f"The folder of claims cannot be used ({type(error).__name__}).", fix="See ENTRUST_WORKLIST__FOLDER."
        ) from error
