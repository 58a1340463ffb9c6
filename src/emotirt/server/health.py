"""``/healthz``: the process answers; ``/readyz``: it takes requests, and what speaks them."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import JSONResponse

from emotirt.engine.live import AsyncEngine
from emotirt.engine.observe import HealthState
from emotirt.server.replies import Alive, Readiness, reply_of


def health_router(engine: AsyncEngine) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["operation"])

    @router.get("/healthz", responses=reply_of(Alive))
    async def healthz() -> dict[str, str]:
        """Say that the process answers."""
        return {"status": "ok"}

    @router.get(
        "/readyz", responses={200: {"model": Readiness}, 503: {"model": Readiness, "description": "takes no requests"}}
    )
    async def readyz() -> JSONResponse:
        """Say whether requests are taken; degraded means that the CPU speaks for a backend that is away."""
        health = engine.health()
        manifest = engine.bundle.manifest
        described = {
            "status": health.state.value,
            "backend": health.backend,
            "detail": health.detail,
            "bundle": manifest.name,
            "sample_rate": manifest.sample_rate_hz,
        }
        return JSONResponse(described, 503 if health.state is HealthState.CLOSED else 200)

    return router
