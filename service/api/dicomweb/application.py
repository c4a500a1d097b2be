"""The operations of DICOMweb, under one root."""

from fastapi import APIRouter

from service.api.dicomweb import retrieve, search, store


def create_router() -> APIRouter:
    """Return the operations. PS3.18 describes them, so the OpenAPI document does not."""
    router = APIRouter(include_in_schema=False)
    for part in (store.router, search.router, retrieve.router):
        router.include_router(part)
    return router
