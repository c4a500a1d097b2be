"""Where the results of finished jobs lie: in memory, or in a folder from which the next process takes them up again.

A folder holds patients' results: it is private to its user, and each job's part of it is deleted when the job expires.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from pydantic import TypeAdapter, ValidationError

from entrust.errors import InvalidInputError
from service.jobs.job import Job, Product
from service.observability.logs import get_logger

log = get_logger(__name__)
JOB = "job.json"
LOCK = ".lock"
PARTIAL = ".partial-"
_JOBS = TypeAdapter(Job)


class Shelf(Protocol):
    """Keeps files by job; calls may block."""

    def put(self, job: Job, products: Sequence[Product]) -> None:
        """Keep the results of a job; when this returns, they are kept.

        Raises:
            OSError: They cannot be.
        """
        ...

    def take(self, job: Job, name: str) -> Product:
        """Return one file of a job.

        Raises:
            KeyError: There is none of that name.
            OSError: It cannot be read.
        """
        ...

    def drop(self, job_id: str) -> None:
        """Forget the results of a job, if there are any."""
        ...


class MemoryShelf:
    """Keeps results as long as the process lives."""

    def __init__(self) -> None:
        self._products: dict[str, dict[str, Product]] = {}

    def put(self, job: Job, products: Sequence[Product]) -> None:
        """See :class:`Shelf`."""
        self._products[job.id] = {product.name: product for product in products}

    def take(self, job: Job, name: str) -> Product:
        """See :class:`Shelf`."""
        return self._products[job.id][name]

    def drop(self, job_id: str) -> None:
        """See :class:`Shelf`."""
        self._products.pop(job_id, None)


class FolderShelf:
    """Keeps results in a folder, one folder a job, and finds them there again.

    A job's folder appears under its name only when everything in it is on the disk.

    Args:
        folder: The folder; :func:`open_folder` makes and guards it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, job: Job, products: Sequence[Product]) -> None:
        """See :class:`Shelf`."""
        partial = self._folder / f"{PARTIAL}{job.id}"
        partial.mkdir(mode=0o700)
        try:
            for product in products:
                _write(partial / product.name, product.content)
            _write(partial / JOB, _JOBS.dump_json(job))
            _sync(partial)
            partial.rename(self._folder / job.id)
            _sync(self._folder)
        except OSError:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    def take(self, job: Job, name: str) -> Product:
        """See :class:`Shelf`."""
        media_types = {info.name: info.media_type for info in job.products}
        return Product(name, media_types[name], (self._folder / job.id / name).read_bytes())

    def drop(self, job_id: str) -> None:
        """See :class:`Shelf`."""
        shutil.rmtree(self._folder / job_id, ignore_errors=True)

    def found(self) -> Iterator[Job]:
        """Yield the jobs of earlier processes; what they left unfinished or broken is deleted."""
        for folder in sorted(path for path in self._folder.iterdir() if path.is_dir()):
            try:
                job = _JOBS.validate_json((folder / JOB).read_bytes())
                whole = all((folder / info.name).stat().st_size == info.size_bytes for info in job.products)
            except (OSError, ValidationError):
                whole = False
            if whole and folder.name == job.id:
                yield job
            else:
                log.warning("results-unreadable")
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def open_folder(folder: Path) -> Iterator[FolderShelf]:
    """Make a folder for results, and hold it against other processes.

    Raises:
        InvalidInputError: It cannot be used, or another gateway uses it.
    """
    fix = "Set ENTRUST_JOBS__RESULTS_FOLDER to a folder of this gateway's own that it may write to."
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InvalidInputError(
            f"The folder for results cannot be used: {os.strerror(error.errno or 0)}.", fix=fix
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InvalidInputError("The folder for results is another gateway's.", fix=fix) from error
        yield FolderShelf(folder)
    finally:
        os.close(lock)


def _write(path: Path, content: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
