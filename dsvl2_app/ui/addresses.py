"""Fairness between network addresses where the backend does not see them: in Gradio's own queue, in which what runs no
model waits, and behind the tools of MCP clients, which Gradio asks for from within the server."""

from __future__ import annotations

from collections.abc import MutableMapping

import gradio as gr
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from dsvl2_app.backend.limits import is_own, refuse_address
from dsvl2_app.ui.gradio_quirks import count_waiting
from dsvl2_app.ui.words.wording import describe_error

JOINS = ("/gradio_api/queue/join", "/gradio_api/call/")
TOOLS = "/gradio_api/mcp"


def trust_space(env: MutableMapping[str, str]) -> None:
    """A Space is reached through proxies of Hugging Face's own network alone. Unless uvicorn is told to believe what
    these say of visitors' addresses, all visitors have the proxies'."""
    if env.get("SPACE_ID"):
        env.setdefault("FORWARDED_ALLOW_IPS", "127.0.0.1,10.0.0.0/8")


class Addressed:
    """An ASGI middleware. An event whose address has `most` that wait is refused; 0: none is."""

    def __init__(self, app: ASGIApp, demo: gr.Blocks, most: int) -> None:
        self.app, self.demo, self.most = app, demo, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = scope["client"][0] if scope["type"] == "http" and scope.get("client") else ""
        if address and TOOLS in scope["path"]:
            scope = {**scope, "headers": forward(scope["headers"], address)}
        elif self.waits_already(scope, address):
            sentence = describe_error(refuse_address(self.most))
            await JSONResponse({"error": sentence, "detail": sentence}, 429)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def waits_already(self, scope: Scope, address: str) -> bool:
        joins = address and scope["method"] == "POST" and any(join in scope["path"] for join in JOINS)
        return bool(self.most and joins and not is_own(address)) and count_waiting(self.demo, address) >= self.most


def forward(headers: list[tuple[bytes, bytes]], address: str) -> list[tuple[bytes, bytes]]:
    """Whose request it is, for the requests that Gradio sends to itself with the same headers."""
    others = [each for each in headers if each[0] != b"x-forwarded-for"]
    return [*others, (b"x-forwarded-for", address.encode())]
