"""Liveness, readiness, and the scrape for Prometheus."""

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from service.api.rest.gateway import Behind
from service.api.rest.resources import HealthResource
from service.pipeline import hindrances

router = APIRouter(tags=["operation"])


@router.get("/health/live", response_model=HealthResource)
async def live() -> HealthResource:
    """Say that the process answers."""
    return HealthResource(status="live")


@router.get(
    "/health/ready",
    response_model=HealthResource,
    responses={503: {"model": HealthResource, "description": "Not ready; the reasons are in the body."}},
)
async def ready(gateway: Behind) -> Response:
    """Say whether work can be done: Triton is there, and every deployed task is served as the contract promises."""
    reasons = hindrances(await gateway.pipeline.models())
    if gateway.runner.stopping:
        reasons.append("The gateway is stopping.")
    body = HealthResource(status="not-ready" if reasons else "ready", reasons=reasons)
    return JSONResponse(body.model_dump(), 503 if reasons else 200)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus metrics."}},
)
async def metrics(request: Request, gateway: Behind) -> Response:
    """Expose the metrics in Prometheus' text format, or in OpenMetrics where the scraper prefers it."""
    await gateway.runner.counts()
    body, media_type = gateway.metrics.render(request.headers.get("accept", ""))
    return Response(body, headers={"Content-Type": media_type})
