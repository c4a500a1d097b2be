"""Lets callers in who bring a token, where tokens are needed; stands inside the boundary, before every operation."""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from entrust.errors import UnauthenticatedError
from service import audit
from service.api.http.body import drain
from service.api.rest.problems import problem_of, respond
from service.intake.access import Access
from service.observability.metrics import Metrics

OPEN = ("/health/", "/metrics", "/docs", "/openapi.json", "/problems/")
"""What anybody may read: health and numbers without identity for the machinery, and words that any release says."""


class Guard:
    """ASGI middleware; refuses by default, so that a new operation is guarded without a word.

    Args:
        app: What it guards.
        access: Knows who may ask.
        metrics: Told of refusals.
    """

    def __init__(self, app: ASGIApp, access: Access, metrics: Metrics) -> None:
        self._app = app
        self._access = access
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http" and not any(
            scope["path"] == path or (path.endswith("/") and scope["path"].startswith(path)) for path in OPEN
        ):
            request = Request(scope, receive)
            try:
                self._access.check(request.headers.get("authorization"))
            except UnauthenticatedError as error:
                self._metrics.problem(error.kind)
                audit.record(audit.refused_caller(error.kind))
                await drain(request)
                answer = respond(problem_of(error, scope["state"]["request_id"]), {"WWW-Authenticate": "Bearer"})
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)
