"""The addresses under /v1, as routes for the app that serves the page."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from dsvl2_app.api.access import identify
from dsvl2_app.api.chat import Chat, check_model
from dsvl2_app.api.failures import ProtocolError, ProtocolRoute
from dsvl2_app.api.pictures import Reader
from dsvl2_app.backend import Backend
from dsvl2_app.image.load import Limits
from dsvl2_app.request import ModelCard
from dsvl2_app.settings import Settings

OWNER = "dsvl2"  # of the model, by which clients can know this server
TOLD = tuple(each.name for each in fields(ModelCard) if each.name != "geometry")
EVERY_METHOD = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def build_routes(backend: Backend, settings: Settings, limits: Limits, keys: Sequence[str] = ()) -> list[BaseRoute]:
    """`keys` are the API keys that may ask; without any, everybody may."""
    router = APIRouter(prefix="/v1", route_class=ProtocolRoute)
    chat = Chat(backend, Reader(backend.card, limits, settings.image_domains))
    started = int(time.time())

    @router.post("/chat/completions")
    async def complete(http: Request) -> Response:
        return await chat.complete(http, identify(http, keys))

    @router.get("/models")
    async def list_models(http: Request) -> dict[str, Any]:
        identify(http, keys)
        return {"object": "list", "data": [describe_model(backend, started)]}

    @router.get("/models/{name:path}")
    async def retrieve_model(http: Request, name: str) -> dict[str, Any]:
        identify(http, keys)
        check_model(name, backend)
        return describe_model(backend, started)

    @router.api_route("/{path:path}", methods=EVERY_METHOD)
    async def refuse(http: Request) -> None:
        identify(http, keys)
        raise ProtocolError(404, f"There is no {http.method} {http.url.path}; docs/serving.md lists what there is.")

    return router.routes


def describe_model(backend: Backend, started: int) -> dict[str, Any]:
    """As the protocol says it, with vLLM's name for the context, and our own card."""
    card = backend.card
    return {
        "id": card.name,
        "object": "model",
        "created": started,
        "owned_by": OWNER,
        "max_model_len": card.context,
        "dsvl2": {
            "card": {name: getattr(card, name) for name in TOLD},
            "geometry": card.geometry.describe(),
            "grammar": backend.capabilities.grammar,
            "takes_files": True,
        },
    }
