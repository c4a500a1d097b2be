"""WADO-RS: instances, metadata, frames, pictures and large values (PS3.18 10.4)."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from entrust.errors import EnTrustError, InvalidInputError, NotFoundError
from service import audit
from service.api.dicomweb.accept import ANY_SYNTAX, MediaRange, accepted, picture_type
from service.api.dicomweb.behind import Kept, Root
from service.api.dicomweb.multipart import Part, multipart
from service.api.http.doors import DICOMWEB_ROOT
from service.api.http.negotiation import negotiate
from service.archive import Archive
from service.archive.frames import MEDIA_TYPES, OCTET_STREAM, FrameBytes, explicit_little_endian, read_frames
from service.archive.index import Located
from service.archive.metadata import bulk_value, instance_metadata
from service.archive.rendering import FORMATS, Rendering, render
from service.observability.logs import get_logger

log = get_logger(__name__)
router = APIRouter(prefix=DICOMWEB_ROOT)
DICOM = "application/dicom"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
THUMBNAIL_PIXELS = 128
_PIECE_BYTES = 1 << 20
_INSTANCE = "/studies/{study}/series/{series}/instances/{instance}"


@router.get("/studies/{study}")
async def retrieve_study(study: str, request: Request, archive: Kept) -> Response:
    """Return every instance of a study."""
    return await _instances(request, archive, study)


@router.get("/studies/{study}/series/{series}")
async def retrieve_series(study: str, series: str, request: Request, archive: Kept) -> Response:
    """Return every instance of a series."""
    return await _instances(request, archive, study, series)


@router.get(_INSTANCE)
async def retrieve_instance(study: str, series: str, instance: str, request: Request, archive: Kept) -> Response:
    """Return one instance."""
    return await _instances(request, archive, study, series, instance)


@router.get("/studies/{study}/metadata")
async def study_metadata(study: str, request: Request, archive: Kept, root: Root) -> Response:
    """Return the attributes of every instance of a study."""
    return await _metadata(request, archive, root, study)


@router.get("/studies/{study}/series/{series}/metadata")
async def series_metadata(study: str, series: str, request: Request, archive: Kept, root: Root) -> Response:
    """Return the attributes of every instance of a series."""
    return await _metadata(request, archive, root, study, series)


@router.get(f"{_INSTANCE}/metadata")
async def one_metadata(study: str, series: str, instance: str, request: Request, archive: Kept, root: Root) -> Response:
    """Return the attributes of one instance."""
    return await _metadata(request, archive, root, study, series, instance)


@router.get(f"{_INSTANCE}/frames/{{numbers}}")
async def frames(study: str, series: str, instance: str, numbers: str, request: Request, archive: Kept) -> Response:
    """Return frames, as they are stored or decoded."""
    located = (await _located(archive, study, series, instance))[0]
    wanted = _frame_numbers(numbers)
    stored_type = MEDIA_TYPES.get(located.transfer_syntax_uid, OCTET_STREAM)
    for one in accepted(request):
        decoded = _decodes(one, located.transfer_syntax_uid, stored_type)
        if decoded is None or not (one.multipart or len(wanted) == 1):
            continue
        found = await asyncio.to_thread(read_frames, archive.path(located), wanted, decoded=decoded)
        if one.multipart or one.media_type == "*/*":
            return multipart([Part(_type_of(frame), [frame.content]) for frame in found], found[0].media_type)
        return Response(found[0].content, media_type=_type_of(found[0]))
    raise HTTPException(406, f"Frames are {OCTET_STREAM}, or {stored_type} as they are stored.")


@router.get(f"{_INSTANCE}/rendered")
async def rendered(study: str, series: str, instance: str, request: Request, archive: Kept) -> Response:
    """Return the first frame as a picture."""
    return await _rendered(request, archive, (study, series, instance), "1")


@router.get(f"{_INSTANCE}/frames/{{numbers}}/rendered")
async def rendered_frame(
    study: str, series: str, instance: str, numbers: str, request: Request, archive: Kept
) -> Response:
    """Return a frame as a picture."""
    return await _rendered(request, archive, (study, series, instance), numbers)


@router.get(f"{_INSTANCE}/thumbnail")
async def thumbnail(study: str, series: str, instance: str, request: Request, archive: Kept) -> Response:
    """Return the first frame as a small picture."""
    return await _rendered(request, archive, (study, series, instance), "1", thumb=True)


@router.get(f"{_INSTANCE}/bulkdata/{{place:path}}")
async def bulkdata(study: str, series: str, instance: str, place: str, request: Request, archive: Kept) -> Response:
    """Return one large value."""
    located = (await _located(archive, study, series, instance))[0]
    for one in accepted(request):
        if one.matches(OCTET_STREAM):
            content = await asyncio.to_thread(bulk_value, archive.path(located), place)
            if one.multipart:
                return multipart([Part(OCTET_STREAM, [content])], OCTET_STREAM)
            return Response(content, media_type=OCTET_STREAM)
    raise HTTPException(406, f"Large values are {OCTET_STREAM}.")


async def _located(archive: Archive, study: str, series: str = "", instance: str = "") -> list[Located]:
    found = await asyncio.to_thread(archive.locate, study, series, instance)
    if not found:
        raise NotFoundError("There is no such study, series or instance.", fix="GET /dicom-web/studies lists studies.")
    # one message for what a viewer asks for frame by frame
    audit.record(audit.Event(audit.What.TRANSFERRED, sending=True, study_uid=study, quiet_seconds=60.0))
    return found


async def _instances(request: Request, archive: Archive, study: str, series: str = "", instance: str = "") -> Response:
    found = await _located(archive, study, series, instance)
    stored = {located.transfer_syntax_uid for located in found}
    for one in accepted(request):
        syntax = one.transfer_syntax_uid
        if not one.matches(DICOM) or (syntax not in ("", ANY_SYNTAX, EXPLICIT_LITTLE_ENDIAN) and stored != {syntax}):
            continue
        as_stored = syntax not in ("", EXPLICIT_LITTLE_ENDIAN)
        if not one.multipart and len(found) == 1 and one.media_type == DICOM:
            part = await asyncio.to_thread(_part, archive, found[0], as_stored)
            return StreamingResponse(iter(part.content), media_type=part.media_type)
        if one.multipart or one.media_type == "*/*":
            return multipart((_part(archive, located, as_stored) for located in found), DICOM)
    raise HTTPException(406, f"Instances are {DICOM}; transfer-syntax=* takes them as they are stored.")


def _part(archive: Archive, located: Located, as_stored: bool) -> Part:
    """Return one instance; one that cannot be decoded comes as it is stored, and its Content-Type says so."""
    path, syntax = archive.path(located), located.transfer_syntax_uid
    if not as_stored and syntax != EXPLICIT_LITTLE_ENDIAN:
        try:
            return Part(f"{DICOM}; transfer-syntax={EXPLICIT_LITTLE_ENDIAN}", [explicit_little_endian(path)])
        except EnTrustError:
            pass
    return Part(f"{DICOM}; transfer-syntax={syntax}", _pieces(path))


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


async def _metadata(
    request: Request, archive: Archive, root: str, study: str, series: str = "", instance: str = ""
) -> Response:
    accept = request.query_params.get("accept") or request.headers.get("accept", "")
    media_type = negotiate(accept, ("application/dicom+json", "application/json"))
    if media_type is None:
        raise HTTPException(406, "Metadata are application/dicom+json.")
    found = await _located(archive, study, series, instance)

    def pieces() -> Iterator[str]:
        yield "["
        before = ""
        for located in found:
            here = f"{root}/studies/{located.study_uid}/series/{located.series_uid}/instances/{located.sop_uid}"
            try:
                content = instance_metadata(archive.path(located), partial(_bulk_address, here))
            except EnTrustError as error:  # one damaged instance must not hide the others
                log.warning("instance-left-out", kind=error.kind)
                continue
            yield before + json.dumps(content, allow_nan=False)
            before = ","
        yield "]"

    return StreamingResponse(pieces(), media_type=media_type)


def _bulk_address(instance: str, place: str) -> str:
    return f"{instance}/bulkdata/{place}"


async def _rendered(
    request: Request, archive: Archive, uids: tuple[str, str, str], numbers: str, *, thumb: bool = False
) -> Response:
    wanted = _frame_numbers(numbers)
    if len(wanted) != 1:
        raise InvalidInputError("One picture shows one frame.", fix="Ask for each frame by itself.")
    media_type = picture_type(request, tuple(FORMATS))
    if media_type is None:
        raise HTTPException(406, f"Pictures are {' or '.join(FORMATS)}.")
    size = _numbers(request, "viewport", 2)
    window = _numbers(request, "window", 2)
    quality = _numbers(request, "quality", 1)
    how = Rendering(
        media_type=media_type,
        window=(window[0], window[1]) if window and window[1] > 0 else None,
        size=_size(size, thumb),
        quality=max(1, min(100, int(quality[0]))) if quality else 90,
    )
    located = (await _located(archive, *uids))[0]
    return Response(await asyncio.to_thread(render, archive.path(located), wanted[0], how), media_type=media_type)


def _size(asked: Sequence[float] | None, thumb: bool) -> tuple[int, int] | None:
    if asked is None:
        return (THUMBNAIL_PIXELS, THUMBNAIL_PIXELS) if thumb else None
    if not all(1 <= side <= 4096 for side in asked):
        raise InvalidInputError("A viewport is 1 to 4096 pixels wide and high.", fix="Send viewport=512,512.")
    return int(asked[0]), int(asked[1])


def _numbers(request: Request, name: str, count: int) -> list[float] | None:
    """Return the leading numbers of a parameter; what follows (a window's function, a source region) is ignored."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        values = [float(part) for part in text.split(",")[:count]]
        if len(values) == count and all(abs(value) < 1e9 for value in values):
            return values
    except ValueError:
        pass
    raise InvalidInputError(f"{name} cannot be read.", fix=f"Send {count} numbers, separated by commas.")


def _frame_numbers(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() and len(part) < 8 for part in parts):
        raise InvalidInputError("Frames are named by numbers from 1.", fix="Ask for frames/1,2,3.")
    return [int(part) for part in parts]


def _decodes(one: MediaRange, stored_syntax: str, stored_type: str) -> bool | None:
    """Tell whether a range asks for decoded frames, for stored ones (False), or for what there is not (None)."""
    if one.transfer_syntax_uid == ANY_SYNTAX and (one.matches(OCTET_STREAM) or one.matches(stored_type)):
        return False
    if one.transfer_syntax_uid in ("", EXPLICIT_LITTLE_ENDIAN) and one.matches(OCTET_STREAM):
        return True
    return False if one.matches(stored_type) and one.transfer_syntax_uid in ("", stored_syntax) else None


def _type_of(frame: FrameBytes) -> str:
    return f"{frame.media_type}; transfer-syntax={frame.transfer_syntax_uid}"
