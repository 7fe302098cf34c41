"""The page elsewhere than at the root of a server of its own: behind a proxy, below a path, in another site's page."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.responses import FileResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dsvl2_app.ui.gradio_quirks import COMPONENT, MANIFEST


class BehindProxy:
    """An ASGI middleware. Every request has the path that visitors see, whether or not the proxy has taken the prefix
    off, and so has one that comes without a proxy. Streams ask the proxy to hand every piece on at once."""

    def __init__(self, app: ASGIApp, root_path: str = "") -> None:
        self.app = app
        self.prefix = urlsplit(root_path).path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("content-type", "").startswith("text/event-stream"):
                    headers["X-Accel-Buffering"] = "no"
            elif message["type"] == "http.response.body" and self.prefix:
                message = {**message, "body": message.get("body", b"").replace(*MANIFEST)}
            await send(message)

        await self.app(self.place(scope) if self.prefix else scope, receive, send_on)

    def place(self, scope: Scope) -> Scope:
        """As ASGI has it below a prefix: `root_path` is that, and `path` begins with it."""
        path: str = scope["path"]
        prefixed = f"{path}/".startswith(f"{self.prefix}/")
        return {**scope, "root_path": self.prefix, "path": path if prefixed else self.prefix + path}


def component_route() -> BaseRoute:
    """/gradio.js, which defines <gradio-app> for other sites' pages."""
    return Route("/gradio.js", lambda _: FileResponse(COMPONENT, media_type="text/javascript"))
