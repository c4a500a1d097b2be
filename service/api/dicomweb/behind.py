"""The service behind DICOMweb, as parameters of its operations."""

from typing import Annotated

from fastapi import Depends, Request

from entrust.errors import NotFoundError
from service.api.http.doors import DICOMWEB_ROOT
from service.archive import Archive
from service.intake.gateway import Gateway


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def _archive(request: Request) -> Archive:
    archive = _gateway(request).archive
    if archive is None:
        raise NotFoundError("This gateway keeps no studies.", fix="Set ENTRUST_ARCHIVE__FOLDER.")
    return archive


def _root(request: Request) -> str:
    return f"{(_gateway(request).public_url or str(request.base_url)).rstrip('/')}{DICOMWEB_ROOT}"


Behind = Annotated[Gateway, Depends(_gateway)]
"""The service."""
Kept = Annotated[Archive, Depends(_archive)]
"""The archive."""
Root = Annotated[str, Depends(_root)]
"""Where DICOMweb begins, as the caller sees it."""
