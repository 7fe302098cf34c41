"""/healthz, /readyz and /metrics, beside the page and the API. No key is asked for them; they tell nobody's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute

from dsvl2_app.backend import Backend
from dsvl2_app.health.status import describe, is_alive, is_ready

if TYPE_CHECKING:
    from dsvl2_app.health.metrics import Metrics

NO_METRICS = "Figures are off; start the app with --metrics.\n"


def build_routes(backend: Backend, metrics: Metrics | None = None) -> list[BaseRoute]:
    """`metrics` are those that /metrics tells; without any it is not found. The first two are told by the event loop
    itself, so that they wait for no thread while all of them are busy."""
    router = APIRouter()

    @router.api_route("/healthz", methods=["GET", "HEAD"])
    async def tell_life() -> Response:
        """503 where only a new start helps."""
        health = backend.health()
        return JSONResponse(describe(health), 200 if is_alive(health) else 503)

    @router.api_route("/readyz", methods=["GET", "HEAD"])
    async def tell_readiness() -> Response:
        """503 while a request would be turned away, or would wait for the weights."""
        health = backend.health()
        return JSONResponse(describe(health), 200 if is_ready(health) else 503)

    @router.get("/metrics")
    def tell_figures(http: Request) -> Response:
        if metrics is None:
            return PlainTextResponse(NO_METRICS, 404)
        body, kind = metrics.write(http.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": kind})

    return router.routes
