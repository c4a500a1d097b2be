"""The tables of the index, made of the one list of attributes."""

from sqlalchemy import BigInteger, Column, Float, MetaData, Table, Text

from service.archive.levels import ATTRIBUTES, UID_OF_LEVEL, Level

metadata = MetaData()


def _columns(level: Level) -> list[Column[object]]:
    searched = {"PatientID", "AccessionNumber", "StudyDate", "SeriesInstanceUID", "StudyInstanceUID"}
    return [
        Column(
            attribute.keyword,
            BigInteger() if attribute.is_number else Text(),
            primary_key=attribute.keyword == UID_OF_LEVEL[level],
            index=attribute.keyword in searched and attribute.keyword != UID_OF_LEVEL[level],
        )
        for attribute in ATTRIBUTES
        if attribute.level is level and attribute.matched
    ]


studies = Table(
    "studies",
    metadata,
    *_columns(Level.STUDY),
    Column("attributes", Text(), nullable=False),
    Column("first_received_seconds", Float(), nullable=False),
    Column("last_received_seconds", Float(), nullable=False, index=True),
)
"""``last_received_seconds`` (since 1970) is when the study last got an instance: who waits for its end looks here."""

series = Table(
    "series",
    metadata,
    # Two studies with one SeriesInstanceUID break the standard, and are kept apart all the same.
    Column("StudyInstanceUID", Text(), primary_key=True),
    *_columns(Level.SERIES),
    Column("attributes", Text(), nullable=False),
)

instances = Table(
    "instances",
    metadata,
    *_columns(Level.INSTANCE),
    Column("StudyInstanceUID", Text(), nullable=False, index=True),
    Column("SeriesInstanceUID", Text(), nullable=False, index=True),
    Column("attributes", Text(), nullable=False),
    Column("name", Text(), nullable=False, unique=True),
    Column("size_bytes", BigInteger(), nullable=False),
    Column("transfer_syntax_uid", Text(), nullable=False),
    Column("received_seconds", Float(), nullable=False),
)
"""``name`` leads to the file; ``received_seconds`` is when it was kept."""
