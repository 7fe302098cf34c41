"""The named endpoints, for gradio_client and MCP clients. A new one is added to ENDPOINTS."""

from __future__ import annotations

from typing import Protocol

from dsvl2_app.backend import Backend
from dsvl2_app.image.load import Limits
from dsvl2_app.ui.endpoints.chat import ChatEndpoint
from dsvl2_app.ui.endpoints.ground import GroundEndpoint
from dsvl2_app.ui.endpoints.inspect import InspectEndpoint
from dsvl2_app.ui.endpoints.tiles import TilesEndpoint


class Endpoint(Protocol):
    """One named endpoint. Nothing is kept between its calls."""

    def __init__(self, backend: Backend, limits: Limits) -> None:
        """`limits` are those of uploads."""
        ...

    def build(self) -> None:
        """Make the event that clients call. Called within the page's Blocks, where visitors do not see it."""
        ...


ENDPOINTS: tuple[type[Endpoint], ...] = (ChatEndpoint, GroundEndpoint, TilesEndpoint, InspectEndpoint)
