"""Searches: what to match, what to return, which page (PS3.18 10.6, PS3.4 C.2.2.2)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, exists, func, or_, select

from entrust.errors import InvalidInputError
from service.archive.entry import Json, normalised
from service.archive.levels import BY_KEYWORD, UID_OF_LEVEL, Attribute, Level, keyword_of
from service.archive.tables import instances, series, studies

MODALITIES_IN_STUDY = "ModalitiesInStudy"
_TABLES: Mapping[Level, Table] = {Level.STUDY: studies, Level.SERIES: series, Level.INSTANCE: instances}
_SEEN_FROM: Mapping[Level, tuple[Level, ...]] = {
    Level.STUDY: (Level.STUDY,),
    Level.SERIES: (Level.STUDY, Level.SERIES),
    Level.INSTANCE: (Level.STUDY, Level.SERIES, Level.INSTANCE),
}
"""The levels whose attributes a search may match on and return: its own, and those above."""
_RANGES = ("DA", "TM", "DT")


@dataclass(frozen=True)
class Query:
    """One search.

    Attributes:
        level: What is searched for.
        match: Value by keyword, as the standard writes it: ``*`` and ``?``, ranges with a hyphen, lists of UIDs.
        include: Keywords to return besides; with ``include_all`` every one that the index has.
        include_all: Whether ``includefield=all`` was asked.
        offset: Results to pass over.
        limit: Most results to return.
    """

    level: Level
    match: Mapping[str, str] = field(default_factory=dict)
    include: frozenset[str] = frozenset()
    include_all: bool = False
    offset: int = 0
    limit: int = 1000


@dataclass(frozen=True)
class Page:
    """What a search found.

    Attributes:
        results: DICOM JSON of each.
        left: How many more there are behind the page.
    """

    results: list[Json]
    left: int


def check_keyword(name: str, level: Level) -> str:
    """Return the keyword by which a search may match.

    Args:
        name: Keyword or eight hexadecimal digits.
        level: What is searched for.

    Raises:
        InvalidInputError: It is no attribute that a search at this level knows.
    """
    keyword = keyword_of(name)
    attribute = BY_KEYWORD.get(keyword)
    known = attribute is not None and attribute.matched and attribute.level in _SEEN_FROM[level]
    if not known and not (keyword == MODALITIES_IN_STUDY and level is Level.STUDY):
        raise InvalidInputError(
            "A search names an attribute that cannot be matched here.",
            fix="docs/dicomweb.md lists the attributes of each level.",
        )
    return keyword


def run(connection: Connection, query: Query) -> Page:
    """Search.

    Raises:
        InvalidInputError: A value cannot be matched.
    """
    seen = _SEEN_FROM[query.level]
    conditions = [_condition(keyword, value) for keyword, value in query.match.items()]
    found = _joined(select(*[_TABLES[level].c.attributes.label(level) for level in seen], *_uids(query.level)), seen)
    found = found.where(*conditions).order_by(*_order(query.level)).offset(query.offset).limit(query.limit)
    rows = connection.execute(found).mappings().all()
    total = connection.execute(_joined(select(func.count()), seen).where(*conditions)).scalar_one()
    counts = _counts(connection, query.level, [dict(row) for row in rows])
    results = []
    for row, count in zip(rows, counts, strict=True):
        result: Json = {}
        for level in seen:
            stored = json.loads(row[level])
            result |= {a.tag: stored[a.tag] for a in BY_KEYWORD.values() if a.tag in stored and _is_returned(a, query)}
        results.append(result | count)
    return Page(results, max(0, total - query.offset - len(rows)))


def _is_returned(attribute: Attribute, query: Query) -> bool:
    if attribute.keyword == UID_OF_LEVEL[attribute.level]:
        return True
    return attribute.returned or query.include_all or attribute.keyword in query.include


def _uids(level: Level) -> list[Any]:
    if level is Level.STUDY:
        return [studies.c.StudyInstanceUID]
    return [_TABLES[level].c.StudyInstanceUID, _TABLES[level].c.SeriesInstanceUID]


def _joined(query: Select[Any], seen: Sequence[Level]) -> Select[Any]:
    query = query.select_from(studies)
    if Level.SERIES in seen:
        query = query.join(series, series.c.StudyInstanceUID == studies.c.StudyInstanceUID)
    if Level.INSTANCE in seen:
        same = (instances.c.StudyInstanceUID == series.c.StudyInstanceUID) & (
            instances.c.SeriesInstanceUID == series.c.SeriesInstanceUID
        )
        query = query.join(instances, same)
    return query


def _order(level: Level) -> list[Any]:
    if level is Level.STUDY:
        return [studies.c.StudyDate.desc(), studies.c.StudyTime.desc(), studies.c.StudyInstanceUID]
    order = [series.c.StudyInstanceUID, series.c.SeriesNumber, series.c.SeriesInstanceUID]
    return order if level is Level.SERIES else [*order, instances.c.InstanceNumber, instances.c.SOPInstanceUID]


def _condition(keyword: str, value: str) -> ColumnElement[bool]:
    """Return what a row must fulfil."""
    if keyword == MODALITIES_IN_STUDY:
        of_study = series.c.StudyInstanceUID == studies.c.StudyInstanceUID
        wanted = [part for part in value.replace(",", "\\").split("\\") if part.strip()]
        matching = or_(*(_text(series.c.Modality, BY_KEYWORD["Modality"], part) for part in wanted))
        return exists().where(of_study, matching)
    attribute = BY_KEYWORD[keyword]
    column: ColumnElement[Any] = _TABLES[attribute.level].c[keyword]
    if attribute.vr == "UI":
        return column.in_([uid.strip() for uid in value.replace(",", "\\").split("\\")])
    if attribute.is_number:
        number = normalised(attribute, value)
        if number is None:
            raise InvalidInputError(f"{keyword} is matched by a whole number.", fix="Send one, without wildcards.")
        return column == number
    if attribute.vr in _RANGES and "-" in value:
        return _range(column, keyword, value)
    return _text(column, attribute, value)


def _range(column: ColumnElement[Any], keyword: str, value: str) -> ColumnElement[bool]:
    first, _, last = (part.strip() for part in value.partition("-"))
    if not (first or last) or not all(part.replace(".", "").isdigit() for part in (first, last) if part):
        raise InvalidInputError(f"The range of {keyword} cannot be read.", fix="Send 20300101-20301231, or one end.")
    bounds = [column != ""]
    if first:
        bounds.append(column >= first)
    if last:
        bounds.append(column < last + "~")  # behind every longer time that begins with the last one
    return and_(*bounds)


def _text(column: ColumnElement[Any], attribute: Attribute, value: str) -> ColumnElement[bool]:
    wanted = str(normalised(attribute, value))
    if not wanted.strip("*"):
        return column.is_(None) | column.is_not(None)  # universal matching
    if not set("*?") & set(wanted):
        return column == wanted
    escaped = wanted.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return column.like(escaped.replace("*", "%").replace("?", "_"), escape="!")


def _counts(connection: Connection, level: Level, rows: Sequence[Mapping[str, Any]]) -> list[Json]:
    """Return the numbers that a search returns with each result (PS3.18 tables 10.6.3-3 and 10.6.3-4)."""
    if level is Level.INSTANCE or not rows:
        return [{} for _ in rows]
    uids = {row["StudyInstanceUID"] for row in rows}
    c = instances.c
    grouped = (
        select(series.c.StudyInstanceUID, series.c.SeriesInstanceUID, series.c.Modality, func.count(c.name))
        .join(c.name.table, (c.StudyInstanceUID == series.c.StudyInstanceUID)
              & (c.SeriesInstanceUID == series.c.SeriesInstanceUID))
        .where(series.c.StudyInstanceUID.in_(uids))
        .group_by(series.c.StudyInstanceUID, series.c.SeriesInstanceUID, series.c.Modality)
    )  # fmt: skip
    found = list(connection.execute(grouped))
    if level is Level.SERIES:
        by_series = {(study, one): count for study, one, _, count in found}
        return [
            {"00201209": _number(by_series.get((row["StudyInstanceUID"], row["SeriesInstanceUID"]), 0))} for row in rows
        ]
    results = []
    for row in rows:
        own = [(modality, count) for study, _, modality, count in found if study == row["StudyInstanceUID"]]
        results.append(
            {
                "00080061": _values("CS", sorted({modality for modality, _ in own if modality})),
                "00201206": _number(len(own)),
                "00201208": _number(sum(count for _, count in own)),
            }
        )
    return results


def _number(value: int) -> Json:
    return {"vr": "IS", "Value": [value]}


def _values(vr: str, values: Iterable[str]) -> Json:
    return {"vr": vr, "Value": list(values)}
