"""The tables of studies, in the same database as the workflows."""

from sqlalchemy import BigInteger, Boolean, Column, Engine, Float, MetaData, Table, Text, create_engine, event, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateIndex, CreateTable

from entrust.errors import InvalidInputError
from service.archive.index import set_up_sqlite

metadata = MetaData()
DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}
"""The drivers that DBOS uses, by the dialect that a deployment names."""

studies = Table(
    "entrust_studies",
    metadata,
    Column("name", Text(), primary_key=True),
    Column("study_uid", Text(), nullable=False, unique=True),
    Column("state", Text(), nullable=False, index=True),
    Column("run", BigInteger(), nullable=False),
    Column("step", Text(), nullable=False),
    Column("task", Text(), nullable=False),
    Column("priority_rank", BigInteger(), nullable=False),
    Column("reason", Text(), nullable=False),
    Column("received_seconds", Float(), nullable=False),
    Column("considered_seconds", Float()),
    Column("assessed_seconds", Float(), nullable=False),
    Column("queued_seconds", Float()),
    Column("started_seconds", Float()),
    Column("finished_seconds", Float()),
    Column("failure", Text()),
    Column("review", Text()),
    Column("review_score", Float(), nullable=False),
    Column("results", Text(), nullable=False),
    Column("images_purged", Boolean(), nullable=False),
)
"""``assessed_seconds`` is the ``received_seconds`` up to which it is known that nothing is to be begun.
``review_score`` is -1 without a review, so that such studies come last."""

targets = Table(
    "entrust_study_targets",
    metadata,
    Column("name", Text(), primary_key=True),
    Column("target", Text(), primary_key=True),
    Column("state", Text(), nullable=False),
    Column("failure", Text()),
)

orders = Table(
    "entrust_study_orders",
    metadata,
    Column("name", Text(), primary_key=True),
    Column("order_id", Text(), nullable=False, index=True),
    Column("begun", Boolean(), nullable=False),
    Column("attributes", Text(), nullable=False),
)
"""At most one row of a study. ``order_id`` says who has it to itself; it is empty when that is over, and ``attributes``
stay, for a restart by a person."""

owners = Table("entrust_owner", metadata, Column("place", BigInteger(), primary_key=True), Column("owner", Text()))
"""One row: the archive to which all of this belongs."""


def database_url(url: str) -> str:
    """Return a database's address with the driver that is installed.

    Raises:
        InvalidInputError: It is no address of SQLite or PostgreSQL.
    """
    try:
        parsed = make_url(url)
        return parsed.set(drivername=DRIVERS[parsed.get_backend_name()]).render_as_string(hide_password=False)
    except (ArgumentError, KeyError, ValueError):
        raise InvalidInputError(
            "The database's address cannot be used.",
            fix="Set ENTRUST_DATABASE__URL to postgresql://user:password@host/name, or leave it empty.",
        ) from None


def open_tables(url: str, owner: str) -> Engine:
    """Connect, and make the tables that are not there yet.

    Args:
        url: From :func:`database_url`.
        owner: Name of the archive whose studies these are.

    Raises:
        InvalidInputError: The database cannot be used, or is another archive's.
    """
    try:
        # A connection for each transaction: there are few, and none is open when a thread outlives the engine.
        engine = create_engine(url, poolclass=NullPool)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", set_up_sqlite)
        with engine.begin() as connection:
            for table in metadata.sorted_tables:
                connection.execute(CreateTable(table, if_not_exists=True))
                for index in table.indexes:
                    connection.execute(CreateIndex(index, if_not_exists=True))
            insert = sqlite.insert if engine.dialect.name == "sqlite" else postgresql.insert
            connection.execute(insert(owners).values(place=1, owner=owner).on_conflict_do_nothing())
            found = connection.execute(select(owners.c.owner)).scalar_one()
    except SQLAlchemyError as error:
        raise InvalidInputError(
            f"The database of studies cannot be used ({type(error).__name__}).", fix="See ENTRUST_DATABASE__URL."
        ) from None
    if found != owner:
        raise InvalidInputError(
            "The database keeps the studies of another archive.",
            fix="Set ENTRUST_DATABASE__URL to a database that no other archive uses.",
        )
    return engine
