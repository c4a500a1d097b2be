"""The index: what the files say of themselves, in a database that can be thrown away and made again."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Insert, Table, create_engine, delete, event, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.schema import CreateIndex, CreateTable

from entrust.errors import InternalError
from service.archive.entry import Entry, Json
from service.archive.levels import Level
from service.archive.tables import instances, metadata, series, studies

_BATCH = 500


@dataclass(frozen=True)
class Kept:
    """An instance that has its place on the disk.

    Attributes:
        entry: What it says of itself.
        name: Of its file.
        size_bytes: Of its file.
        received_seconds: When it was kept, since 1970.
    """

    entry: Entry
    name: str
    size_bytes: int
    received_seconds: float


@dataclass(frozen=True)
class Located:
    """Where an instance lies.

    Attributes:
        study_uid: StudyInstanceUID.
        series_uid: SeriesInstanceUID.
        sop_uid: SOPInstanceUID.
        name: Of its file.
        transfer_syntax_uid: How its data set is encoded.
        size_bytes: Of its file.
    """

    study_uid: str
    series_uid: str
    sop_uid: str
    name: str
    transfer_syntax_uid: str
    size_bytes: int


def open_database(url: str) -> Engine:
    """Connect, and make the tables that are not there yet.

    Args:
        url: ``sqlite:///…`` or ``postgresql+…://…``.

    Raises:
        InternalError: The database cannot be used.
    """
    try:
        engine = create_engine(url)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", set_up_sqlite)
        with engine.begin() as connection:
            for table in metadata.sorted_tables:
                connection.execute(CreateTable(table, if_not_exists=True))
                for index in table.indexes:
                    connection.execute(CreateIndex(index, if_not_exists=True))
    except SQLAlchemyError as error:
        raise InternalError(
            f"The archive's database cannot be used ({type(error).__name__}).", fix="See the archive's folder."
        ) from error
    return engine


class Index:
    """Rows by level.

    Args:
        engine: From :func:`open_database`.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def add(self, kept: Sequence[Kept]) -> None:
        """Add instances, and the studies and series that they are the first of, in one transaction.

        What is there already stays as it is: two processes may add the same file.
        """
        if not kept:
            return
        study_rows: dict[str, Any] = {}
        series_rows: dict[tuple[str, str], Any] = {}
        instance_rows: dict[str, Any] = {}
        last: dict[str, float] = {}
        for one in kept:
            entry = one.entry
            columns, attributes = entry.decoded()
            uids = {"StudyInstanceUID": entry.study_uid, "SeriesInstanceUID": entry.series_uid}
            study_rows.setdefault(
                entry.study_uid,
                _row(studies, columns[Level.STUDY], attributes[Level.STUDY])
                | {"first_received_seconds": one.received_seconds, "last_received_seconds": one.received_seconds},
            )
            last[entry.study_uid] = max(one.received_seconds, last.get(entry.study_uid, 0.0))
            series_rows.setdefault(
                (entry.study_uid, entry.series_uid),
                _row(series, columns[Level.SERIES], attributes[Level.SERIES]) | uids,
            )
            file = {
                "name": one.name,
                "size_bytes": one.size_bytes,
                "received_seconds": one.received_seconds,
                "transfer_syntax_uid": entry.transfer_syntax_uid,
            }
            instance_rows[one.name] = _row(instances, columns[Level.INSTANCE], attributes[Level.INSTANCE]) | uids | file
        with self.engine.begin() as connection:
            connection.execute(self._insert_new(studies), list(study_rows.values()))
            connection.execute(self._insert_new(series), list(series_rows.values()))
            connection.execute(self._insert_new(instances), list(instance_rows.values()))
            for uid, seconds in last.items():
                connection.execute(
                    update(studies)
                    .where(studies.c.StudyInstanceUID == uid, studies.c.last_received_seconds < seconds)
                    .values(last_received_seconds=seconds)
                )

    def _insert_new(self, table: Table) -> Insert:
        """Return the statement that adds rows, and passes over those that are there."""
        if self.engine.dialect.name == "sqlite":
            return sqlite.insert(table).on_conflict_do_nothing()
        return postgresql.insert(table).on_conflict_do_nothing()

    def locate(self, study_uid: str, series_uid: str = "", sop_uid: str = "") -> list[Located]:
        """Return the instances of a study, a series or one instance, in order of series and instance number."""
        c = instances.c
        uids = (c.StudyInstanceUID, c.SeriesInstanceUID, c.SOPInstanceUID)
        query = (
            select(*uids, c.name, c.transfer_syntax_uid, c.size_bytes)
            .join(series, (series.c.StudyInstanceUID == c.StudyInstanceUID)
                  & (series.c.SeriesInstanceUID == c.SeriesInstanceUID))
            .where(c.StudyInstanceUID == study_uid)
            .order_by(series.c.SeriesNumber, c.SeriesInstanceUID, c.InstanceNumber, c.SOPInstanceUID)
        )  # fmt: skip
        if series_uid:
            query = query.where(c.SeriesInstanceUID == series_uid)
        if sop_uid:
            query = query.where(c.SOPInstanceUID == sop_uid)
        with self.engine.connect() as connection:
            return [Located(*row) for row in connection.execute(query)]

    def names(self) -> set[str]:
        """Return the file names of all instances."""
        with self.engine.connect() as connection:
            return set(connection.execute(select(instances.c.name)).scalars())

    def forget(self, names: Iterable[str]) -> None:
        """Remove instances by the names of their files, and the series and studies that are empty then."""
        left = list(names)
        with self.engine.begin() as connection:
            for start in range(0, len(left), _BATCH):
                connection.execute(delete(instances).where(instances.c.name.in_(left[start : start + _BATCH])))
            if left:
                _drop_empty(connection)

    def last_received(self, study_uid: str) -> float | None:
        """Return when a study last got an instance (seconds since 1970); None where there is no such study."""
        query = select(studies.c.last_received_seconds).where(studies.c.StudyInstanceUID == study_uid)
        with self.engine.connect() as connection:
            return connection.execute(query).scalar()

    def received_since(self, seconds: float) -> list[tuple[str, float]]:
        """Return the studies that got an instance after a time, with the time of their last one (since 1970)."""
        query = select(studies.c.StudyInstanceUID, studies.c.last_received_seconds).where(
            studies.c.last_received_seconds > seconds
        )
        with self.engine.connect() as connection:
            return [(uid, last) for uid, last in connection.execute(query)]

    def names_until(self, study_uid: str, seconds: float) -> list[tuple[str, str]]:
        """Return file name and SOPInstanceUID of a study's instances that came until a time (since 1970)."""
        c = instances.c
        query = select(c.name, c.SOPInstanceUID).where(c.StudyInstanceUID == study_uid, c.received_seconds <= seconds)
        with self.engine.connect() as connection:
            return [(name, sop_uid) for name, sop_uid in connection.execute(query)]

    def series_received(self, study_uid: str) -> dict[str, float]:
        """Return when each series of a study last got an instance (seconds since 1970), by SeriesInstanceUID."""
        c = instances.c
        query = (
            select(c.SeriesInstanceUID, func.max(c.received_seconds))
            .where(c.StudyInstanceUID == study_uid)
            .group_by(c.SeriesInstanceUID)
        )
        with self.engine.connect() as connection:
            return {str(uid): float(last) for uid, last in connection.execute(query)}

    def oldest_studies(self) -> list[tuple[str, float, int]]:
        """Return every study with the time of its last instance and its size in bytes, the longest untouched first."""
        query = (
            select(studies.c.StudyInstanceUID, studies.c.last_received_seconds, func.sum(instances.c.size_bytes))
            .join(instances, instances.c.StudyInstanceUID == studies.c.StudyInstanceUID)
            .group_by(studies.c.StudyInstanceUID, studies.c.last_received_seconds)
            .order_by(studies.c.last_received_seconds)
        )
        with self.engine.connect() as connection:
            return [(uid, seconds, int(size)) for uid, seconds, size in connection.execute(query)]

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _row(table: Table, columns: Mapping[str, str | int | None], attributes: Json) -> dict[str, Any]:
    """Return a row in which every column of the level has a value: statements for many rows need the same columns."""
    known = dict.fromkeys((column.name for column in table.columns), None)
    return known | dict(columns) | {"attributes": json.dumps(attributes)}


def _drop_empty(connection: Connection) -> None:
    connection.execute(
        delete(series).where(
            ~select(instances.c.name)
            .where(
                instances.c.StudyInstanceUID == series.c.StudyInstanceUID,
                instances.c.SeriesInstanceUID == series.c.SeriesInstanceUID,
            )
            .exists()
        )
    )
    connection.execute(
        delete(studies).where(
            ~select(instances.c.name).where(instances.c.StudyInstanceUID == studies.c.StudyInstanceUID).exists()
        )
    )


def set_up_sqlite(connection: Any, _record: ConnectionPoolEntry) -> None:
    """Let readers and one writer work at a time; a crash may cost rows, never the file, and rows come back."""
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "busy_timeout = 30000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
