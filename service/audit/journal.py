"""The trail on the disk: one JSON object a line, in numbered files, of which the oldest go.

The files are the record, and what waits for a syslog receiver as well: who sends follows them from a position that is
kept beside them.
"""

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from entrust.errors import InvalidInputError

LOCK = ".lock"
POSITION = "syslog-position.json"
_FILE = re.compile(r"audit-(\d{6,})\.jsonl")


@dataclass(frozen=True, order=True)
class Position:
    """A place between two lines.

    Attributes:
        number: Of the file.
        offset_bytes: Within it.
    """

    number: int = 0
    offset_bytes: int = 0


class Journal:
    """The writing end; one process at a time.

    Args:
        folder: Where the files lie; :func:`open_journal` makes and guards it.
        max_file_bytes: Size from which a new file is begun.
        max_files: Files that are kept.
    """

    def __init__(self, folder: Path, *, max_file_bytes: int, max_files: int) -> None:
        self.folder = folder
        self._max_file_bytes = max_file_bytes
        self._max_files = max_files
        numbers = file_numbers(folder)
        self._number = numbers[-1] if numbers else 1
        self._file = self._open()

    def append(self, lines: Sequence[bytes]) -> None:
        """Write lines; when this returns they are on the disk.

        Raises:
            OSError: They cannot be written.
        """
        if self._file.tell() >= self._max_file_bytes:
            self._file.close()
            self._number += 1
            self._file = self._open()
            for number in file_numbers(self.folder)[: -self._max_files]:
                file_path(self.folder, number).unlink(missing_ok=True)
        self._file.write(b"".join(line + b"\n" for line in lines))
        self._file.flush()
        os.fdatasync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _open(self) -> IO[bytes]:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        file = open(os.open(file_path(self.folder, self._number), flags, 0o600), "a+b")  # noqa: SIM115 (kept open)
        if size := file.seek(0, os.SEEK_END):
            file.seek(size - 1)
            if file.read(1) != b"\n":  # a process died within a line; the next one is not to be lost with it
                file.write(b"\n")
        return file


def file_path(folder: Path, number: int) -> Path:
    """Return the file of a number."""
    return folder / f"audit-{number:06d}.jsonl"


def file_numbers(folder: Path) -> list[int]:
    """Return the numbers of the files that there are, in order."""
    return sorted(int(match[1]) for path in folder.iterdir() if (match := _FILE.fullmatch(path.name)))


def read_lines(folder: Path, start: Position) -> Iterator[tuple[dict[str, Any], Position]]:
    """Yield what was written from a position on, each with the position after it.

    A file that is gone is passed over, and a line that is not whole yet ends the reading; one that will never be whole,
    because another follows it, is passed over.
    """
    for number in file_numbers(folder):
        if number < start.number:
            continue
        offset = start.offset_bytes if number == start.number else 0
        with contextlib.suppress(FileNotFoundError), file_path(folder, number).open("rb") as file:
            file.seek(offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                offset += len(line)
                with contextlib.suppress(ValueError):
                    found = json.loads(line)
                    if isinstance(found, dict):
                        yield found, Position(number, offset)


def load_position(folder: Path) -> Position:
    """Return up to where everything was sent; the beginning where nothing was."""
    try:
        return Position(*json.loads((folder / POSITION).read_bytes()))
    except (OSError, ValueError, TypeError):
        return Position()


def save_position(folder: Path, position: Position) -> None:
    """Keep up to where everything was sent.

    Raises:
        OSError: It cannot be kept.
    """
    partial = folder / f"{POSITION}.partial"
    partial.write_text(json.dumps([position.number, position.offset_bytes]), encoding="ascii")
    partial.replace(folder / POSITION)


@contextlib.contextmanager
def open_journal(folder: Path, *, max_file_bytes: int, max_files: int) -> Iterator[Journal]:
    """Make a folder for the trail, and hold it against other processes.

    Raises:
        InvalidInputError: It cannot be used, or another gateway uses it.
    """
    fix = "Set ENTRUST_AUDIT__FOLDER to a folder of this gateway's own that it may write to."
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            stack.callback(os.close, lock)
        except OSError as error:
            raise InvalidInputError(
                f"The audit trail's folder cannot be used: {os.strerror(error.errno or 0)}.", fix=fix
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InvalidInputError("The audit trail's folder is another gateway's.", fix=fix) from error
        try:
            journal = Journal(folder, max_file_bytes=max_file_bytes, max_files=max_files)
        except OSError as error:
            raise InvalidInputError(
                f"The audit trail cannot be written: {os.strerror(error.errno or 0)}.", fix=fix
            ) from error
        with contextlib.closing(journal):
            yield journal
