"""QIDO-RS: studies, series and instances by their attributes (PS3.18 10.6)."""

import asyncio
from collections.abc import Iterable

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from entrust.errors import InvalidInputError
from service import audit
from service.api.dicomweb.behind import Kept, Root
from service.api.http.doors import DICOMWEB_ROOT
from service.api.http.negotiation import negotiate
from service.archive import Archive, Level, Query
from service.archive.levels import keyword_of
from service.archive.query import check_keyword

router = APIRouter(prefix=DICOMWEB_ROOT)
MAX_RESULTS = 1000
"""Results on one page, at most; a Warning header tells of more."""
MEDIA_TYPES = ("application/dicom+json", "application/json")


@router.get("/studies")
async def search_studies(request: Request, archive: Kept, root: Root) -> JSONResponse:
    """Search for studies."""
    return await _search(request, archive, root, Level.STUDY, {})


@router.get("/series")
async def search_series(request: Request, archive: Kept, root: Root) -> JSONResponse:
    """Search for series of all studies."""
    return await _search(request, archive, root, Level.SERIES, {})


@router.get("/instances")
async def search_instances(request: Request, archive: Kept, root: Root) -> JSONResponse:
    """Search for instances of all studies."""
    return await _search(request, archive, root, Level.INSTANCE, {})


@router.get("/studies/{study}/series")
async def search_series_of_study(study: str, request: Request, archive: Kept, root: Root) -> JSONResponse:
    """Search for series of a study."""
    return await _search(request, archive, root, Level.SERIES, {"StudyInstanceUID": study})


@router.get("/studies/{study}/instances")
async def search_instances_of_study(study: str, request: Request, archive: Kept, root: Root) -> JSONResponse:
    """Search for instances of a study."""
    return await _search(request, archive, root, Level.INSTANCE, {"StudyInstanceUID": study})


@router.get("/studies/{study}/series/{series}/instances")
async def search_instances_of_series(
    study: str, series: str, request: Request, archive: Kept, root: Root
) -> JSONResponse:
    """Search for instances of a series."""
    within = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
    return await _search(request, archive, root, Level.INSTANCE, within)


async def _search(request: Request, archive: Archive, root: str, level: Level, within: dict[str, str]) -> JSONResponse:
    accept = request.query_params.get("accept") or request.headers.get("accept", "")
    media_type = negotiate(accept, MEDIA_TYPES)
    if media_type is None:
        raise HTTPException(406, "Results of a search are application/dicom+json.")
    query, warnings = parse_query(request.query_params.multi_items(), level, within)
    page = await asyncio.to_thread(archive.search, query)
    # values would name patients
    audit.record(audit.Event(audit.What.QUERIED, query="&".join([f"level={level.value}", *sorted(query.match)])))
    if page.left:
        warnings.append(f"There are {page.left} additional results that can be requested")
    results = []
    for result in page.results:
        addressed = result | {"00081190": {"vr": "UR", "Value": [_address(root, result, level)]}}
        results.append(dict(sorted(addressed.items())))  # in order of tags (PS3.18 F.2.2)
    headers = {"Warning": ", ".join(f'299 {root}: "{text}"' for text in warnings)} if warnings else {}
    return JSONResponse(results, headers=headers, media_type=media_type)


def parse_query(parameters: Iterable[tuple[str, str]], level: Level, within: dict[str, str]) -> tuple[Query, list[str]]:
    """Read the parameters of a search.

    Args:
        parameters: Names and values, as they came.
        level: What is searched for.
        within: The study, and the series, that the address names.

    Returns:
        The search, and what the caller is to be warned of.

    Raises:
        InvalidInputError: A parameter cannot be understood.
    """
    match, include, warnings = dict(within), set(), list[str]()
    include_all, offset, limit = False, 0, MAX_RESULTS
    for name, value in parameters:
        if name == "limit":
            limit = min(_number(name, value), MAX_RESULTS)
        elif name == "offset":
            offset = _number(name, value)
        elif name == "includefield":
            fields = [one.strip() for one in value.split(",") if one.strip()]
            include_all = include_all or "all" in fields
            include |= {keyword_of(one) for one in fields}
        elif name == "fuzzymatching":
            if value.lower() == "true":
                warnings.append("The fuzzymatching parameter is not supported. Only literal matching was performed")
        elif name != "accept":
            keyword = check_keyword(name, level)
            if match.get(keyword, value) != value:
                raise InvalidInputError("A search names an attribute twice.", fix="Name each one once.")
            match[keyword] = value
    return Query(level, match, frozenset(include), include_all, offset, limit), warnings


def _number(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 9:
        raise InvalidInputError(f"{name} is no whole number.", fix=f"Send {name}=100.")
    return int(value)


def _address(root: str, result: dict[str, dict[str, list[str]]], level: Level) -> str:
    address = f"{root}/studies/{result['0020000D']['Value'][0]}"
    if level is not Level.STUDY:
        address += f"/series/{result['0020000E']['Value'][0]}"
    if level is Level.INSTANCE:
        address += f"/instances/{result['00080018']['Value'][0]}"
    return address
