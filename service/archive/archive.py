"""The archive: one for all doors, threads and processes that share its folder."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sqlalchemy.exc import SQLAlchemyError

from entrust.errors import ConflictError, EnTrustError
from service.archive.entry import Entry, read_entry
from service.archive.files import InstanceFiles, same_bytes
from service.archive.index import Index, Kept, Located, open_database
from service.archive.query import Page, Query, run
from service.archive.space import Watermark
from service.ingest.limits import IngestLimits
from service.observability.logs import describe_exception, get_logger

log = get_logger(__name__)
INDEX_FILE = "index-1.sqlite"
"""The number grows with the tables: an older index is left aside, and a new one made from the files."""
_QUIET_SECONDS = 0.25
"""After how long without a new instance the index is written; searches in this process do not wait for that."""
_MAX_PENDING = 2000
"""Instances that wait for the index at most."""
_RETRY_SECONDS = 1.0


@dataclass(frozen=True)
class Stored:
    """What became of an instance.

    Attributes:
        entry: What it says of itself.
        duplicate: Whether the same bytes were there already.
    """

    entry: Entry
    duplicate: bool


class Archive:
    """Keeps instances. Methods may be called from any thread; a stored instance is on the disk when they return.

    Args:
        folder: Where files and index lie.
        database_url: Another database for the index; SQLite in the folder when empty.
        watermark: How full the disk may become.
        limits: Bounds on what deflated files unpack to.
    """

    def __init__(
        self,
        folder: Path,
        *,
        database_url: str = "",
        watermark: Watermark | None = None,
        limits: IngestLimits | None = None,
    ) -> None:
        self.files = InstanceFiles(folder)
        self.index = Index(open_database(database_url or f"sqlite:///{folder / INDEX_FILE}"))
        self._watermark = watermark or Watermark()
        self._limits = limits or IngestLimits()
        self._pending: list[Kept] = []
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._arrived = threading.Event()
        self._stopping = threading.Event()
        self._reconciled = threading.Event()
        self._writer = threading.Thread(target=self._write_index, name="archive-index", daemon=True)
        self._writer.start()

    def check_space(self) -> None:
        """Refuse what is new where the disk is too full.

        Raises:
            OverloadedError: It is.
        """
        self._watermark.check(self.files.folder)

    @contextlib.contextmanager
    def incoming(self) -> Iterator[IO[bytes]]:
        """Open a file for one instance in the DICOM File Format; pass it to :meth:`read` and :meth:`keep`.

        Raises:
            OverloadedError: The disk is full.
        """
        with self.files.incoming() as file:
            yield file

    def read(self, file: IO[bytes]) -> Entry:
        """Read what an incoming file says of itself.

        Raises:
            InvalidInputError: It is no DICOM file, or lacks what it needs to be kept.
            TooLargeError: A deflated file unpacks to more than is allowed.
        """
        file.flush()
        return read_entry(Path(file.name), self._limits)

    def keep(self, file: IO[bytes], entry: Entry) -> Stored:
        """Keep an incoming file; what is kept already is never overwritten.

        Args:
            file: From :meth:`incoming`, written.
            entry: From :meth:`read`.

        Raises:
            ConflictError: Other bytes are kept under the same SOPInstanceUID.
            OverloadedError: The disk is full.
        """
        name, size_bytes = self.files.name(entry.sop_uid), file.seek(0, os.SEEK_END)
        if not self.files.keep(file, name):
            self._check_same(Path(file.name), entry, self.files.path(name))
            return Stored(entry, duplicate=True)
        kept = Kept(entry, name, size_bytes, time.time())
        with self._lock:
            self._pending.append(kept)
        self._arrived.set()
        return Stored(entry, duplicate=False)

    def store(self, content: bytes) -> Stored:
        """Keep an instance that is in memory, such as a result.

        Raises:
            InvalidInputError: It is no DICOM file.
            ConflictError: Other bytes are kept under the same SOPInstanceUID.
            OverloadedError: The disk is full.
        """
        with self.incoming() as file:
            file.write(content)
            return self.keep(file, self.read(file))

    def holds(self, study_uid: str) -> bool:
        """Tell whether there is an instance of a study."""
        self.flush()
        return self.index.last_received(study_uid) is not None

    def has(self, sop_uid: str) -> bool:
        """Tell whether an instance is kept, whichever process kept it: the file says so, not the index."""
        return self.files.path(self.files.name(sop_uid)).exists()

    def search(self, query: Query) -> Page:
        """Search; what this process has stored before is found.

        Raises:
            InvalidInputError: A value cannot be matched.
        """
        self.flush()
        with self.index.engine.connect() as connection:
            return run(connection, query)

    def locate(self, study_uid: str, series_uid: str = "", sop_uid: str = "") -> list[Located]:
        """Return the instances of a study, a series or one instance, in order of series and instance number."""
        self.flush()
        return self.index.locate(study_uid, series_uid, sop_uid)

    def path(self, located: Located) -> Path:
        """Return the file of an instance."""
        return self.files.path(located.name)

    def flush(self) -> None:
        """Have the index hold everything that this process has stored."""
        with self._writing:  # taken before the list: who waits here finds what the other writer wrote
            with self._lock:
                batch, self._pending = self._pending, []
            try:
                self.index.add(batch)
            except SQLAlchemyError:
                with self._lock:
                    self._pending = batch + self._pending
                raise

    def reconcile(self) -> int:
        """Add to the index what lies on the disk alone, and forget what is gone; return how many rows changed."""
        self.flush()
        known, changed = self.index.names(), 0
        for name in self.files.names():
            if name in known:
                continue
            path = self.files.path(name)
            try:
                status = path.stat()
                self.index.add([Kept(read_entry(path, self._limits), name, status.st_size, status.st_mtime)])
            except (EnTrustError, FileNotFoundError) as error:
                log.warning("archive-file-unreadable", **describe_exception(error))
                continue
            changed += 1
        gone = [name for name in known if not self.files.path(name).exists()]
        self.index.forget(gone)
        return changed + len(gone)

    @property
    def reconciled(self) -> bool:
        """Whether the index knows by now what lay on the disk when this process began."""
        return self._reconciled.is_set()

    def close(self) -> None:
        """Write what is left of the index, and close it."""
        self._stopping.set()
        self._arrived.set()
        self._writer.join()
        self.index.close()
        self.files.close()

    def _check_same(self, incoming: Path, entry: Entry, kept: Path) -> None:
        """Compare data sets: the two doors write different file meta information around the same one."""
        if same_bytes(incoming, 0, kept, 0):
            return
        other = read_entry(kept, self._limits)
        alike = other.transfer_syntax_uid == entry.transfer_syntax_uid and entry.offset_bytes and other.offset_bytes
        if not alike or not same_bytes(incoming, entry.offset_bytes, kept, other.offset_bytes):
            raise ConflictError(
                "Another instance is kept under this SOPInstanceUID.",
                fix="Give a changed instance a new SOPInstanceUID (PS3.3 C.12.1.1).",
            )

    def _write_index(self) -> None:
        """Bring the index up to date, then add to it whenever no instance came for a moment, until the end.

        While instances come one upon the other, indexing them would only slow down their senders.
        """
        if self._attempt(self.reconcile):
            self._reconciled.set()
        while not self._stopping.is_set():
            self._arrived.wait()
            seen = -1
            while seen != len(self._pending) < _MAX_PENDING and not self._stopping.is_set():
                seen = len(self._pending)
                self._stopping.wait(_QUIET_SECONDS)
            self._arrived.clear()
            if not self._attempt(self.flush) and not self._stopping.is_set():
                self._stopping.wait(_RETRY_SECONDS)
                self._arrived.set()
        self._attempt(self.flush)

    def _attempt(self, work: Callable[[], object]) -> bool:
        """Run one piece of the writer's work; the files are kept whatever becomes of it."""
        try:
            work()
        except (SQLAlchemyError, OSError) as error:
            log.error("archive-index-broke", **describe_exception(error))
            return False
        return True
