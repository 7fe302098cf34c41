"""Who may come in, where --auth says so: people by Gradio's own page of names and passwords, programs by HTTP Basic.

Gradio keeps its page, files and API closed to those who have no cookie of a login. `Login` closes the rest of the app,
and takes a name and a password with any request in place of the cookie.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from secrets import token_urlsafe
from urllib.parse import urlsplit

import gradio as gr
from gradio_client import Client
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from dsvl2_app.credentials import Credentials

CLOSED = ("/v1", "/metrics", "/gradio_api/mcp", "/monitoring")  # what Gradio does not close
REFUSAL = {
    "error": {
        "message": "There is no name and password of this server; send them as HTTP Basic.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_api_key",
    }
}


class Login:
    """An ASGI middleware. /healthz and /readyz stay open, for whoever watches over the app."""

    def __init__(self, app: ASGIApp, credentials: Credentials, has_keys: bool = False, root_path: str = "") -> None:
        """With `has_keys`, /v1 looks for API keys by itself."""
        self.app = app
        self.credentials = credentials
        prefix = urlsplit(root_path).path
        self.closed = tuple(prefix + path for path in CLOSED if not (has_keys and path == "/v1"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self.credentials:
            await self.app(scope, receive, send)
            return
        user = self.identify(dict(scope["headers"]).get(b"authorization", b""))
        if user:
            await self.app(admit(scope, user), receive, send)
        elif any(f"{scope['path']}/".startswith(f"{path}/") for path in self.closed):
            response = JSONResponse(REFUSAL, 401, {"WWW-Authenticate": 'Basic realm="dsvl2", charset="UTF-8"'})
            await response(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def identify(self, header: bytes) -> str:
        """The name in a header of HTTP Basic whose password is right, else ""."""
        scheme, _, encoded = header.partition(b" ")
        if scheme.lower() != b"basic":
            return ""
        try:
            user, _, password = b64decode(encoded.strip(), validate=True).decode().partition(":")
        except ValueError:
            return ""
        return user if self.credentials.admit(user, password) else ""


def admit(scope: Scope, user: str) -> Scope:
    """The request as one of a browser in which that user has logged in: Gradio keeps its logins in `app.tokens`, and
    looks for them in a cookie whose name has `app.cookie_id` (gradio.routes)."""
    app = scope["app"]
    token = next((token for token, name in app.tokens.items() if name == user), None) or token_urlsafe(16)
    app.tokens[token] = user
    cookie = f"access-token-{app.cookie_id}={token}".encode()
    return {**scope, "headers": [*(each for each in scope["headers"] if each[0] != b"cookie"), (b"cookie", cookie)]}


def let_tools_in(demo: gr.Blocks, user: str, password: str) -> None:
    """Gradio's tools for MCP clients ask the server itself, by a client that it makes without a name and password
    (gradio.mcp); this makes it with those, for when everybody must have some."""
    basic = b64encode(f"{user}:{password}".encode()).decode()
    demo.mcp_server_obj._client_instance = Client(  # pyright: ignore[reportOptionalMemberAccess]
        demo.local_url or "",
        headers={"x-gradio-user": "mcp", "Authorization": f"Basic {basic}"},
        download_files=False,
        verbose=False,
        analytics_enabled=False,
        ssl_verify=False,
        _skip_components=False,
    )
