"""A study on its way in: a private folder, bounds on what it takes, numbers instead of names.

Nothing a caller names reaches the file system: files of the field ``study`` become ``study/000001`` and so on, a
field named after a modality becomes ``<slug>/000001``. Names of files are not even kept in memory.
"""

import asyncio
import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from entrust.errors import DeadlineExceededError, InvalidInputError, TooLargeError

STUDY = "study"
"""Field of a study's DICOM; a NIfTI file's field is its modality."""
FIELD_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_WORK_FOLDER = re.compile(r"entrust-work-(\d+)-")


@contextlib.contextmanager
def work_folder(parent: Path | None) -> Iterator[Path]:
    """Make this process's private folder for uploads, and wipe those that dead processes left behind.

    Raises:
        InvalidInputError: It cannot be made.
    """
    root = parent or Path(tempfile.gettempdir())
    try:
        root.mkdir(parents=True, exist_ok=True)
        for left in root.glob("entrust-work-*"):
            match = _WORK_FOLDER.match(left.name)
            if match and not Path(f"/proc/{match[1]}").exists():
                shutil.rmtree(left, ignore_errors=True)
        own = tempfile.TemporaryDirectory(prefix=f"entrust-work-{os.getpid()}-", dir=root, ignore_cleanup_errors=True)
    except OSError as error:
        raise InvalidInputError(
            f"No folder for uploads can be made in {root}: {os.strerror(error.errno or 0)}.",
            fix="Set ENTRUST_JOBS__WORK_FOLDER to a folder that this user may write to.",
        ) from error
    with own as folder:
        yield Path(folder)


@dataclass(frozen=True)
class UploadLimits:
    """Bounds on one study.

    Attributes:
        max_body_bytes: Size of all that is sent.
        max_files: Largest number of files.
        timeout_seconds: Longest silence of the sender.
    """

    max_body_bytes: int
    max_files: int
    timeout_seconds: float

    def check_size(self, size_bytes: int) -> None:
        """Refuse what is too large.

        Raises:
            TooLargeError: It is.
        """
        if size_bytes > self.max_body_bytes:
            raise TooLargeError(
                f"The body is larger than {self.max_body_bytes} bytes.",
                fix="Send only the series that are needed, or ask the operator for a higher limit.",
                details={"limit_bytes": self.max_body_bytes},
            )

    def silence(self) -> DeadlineExceededError:
        """Return what a sender who fell silent is told."""
        return DeadlineExceededError(
            f"Nothing was received for {self.timeout_seconds:g} seconds.", fix="Send the body without pauses."
        )


@dataclass
class Upload:
    """What was received.

    Attributes:
        folder: Private folder that holds the files.
        fields: Text fields of a form.
        files: Number of files by field.
    """

    folder: Path
    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)

    @classmethod
    async def begin(cls, work_folder: Path) -> "Upload":
        """Make the private folder; the caller owns it, and wipes it unless a job takes it over."""
        return cls(Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="entrust-", dir=work_folder)))

    def add(self, name: str, limits: UploadLimits) -> IO[bytes]:
        """Open the next file of a field for writing.

        Raises:
            InvalidInputError: No field can have this name.
            TooLargeError: There are as many files as may be.
        """
        if not FIELD_NAME.fullmatch(name):
            raise InvalidInputError("No modality can have such a name.", fix="Use the slugs of the task's modalities.")
        if sum(self.files.values()) >= limits.max_files:
            raise TooLargeError(
                f"The request holds more than {limits.max_files} files.",
                fix="Send the series that are needed, as one zip.",
                details={"limit_files": limits.max_files},
            )
        number = self.files[name] = self.files.get(name, 0) + 1
        (self.folder / name).mkdir(mode=0o700, exist_ok=True)
        return (self.folder / name / f"{number:06d}").open("xb")

    async def wipe(self) -> None:
        """Delete what was received."""
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)
