"""What chats and search engines show of a link to the page."""

from __future__ import annotations

import re
from html import escape

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Title and description that the index.html of Gradio 6.31 gives to previews of links, before those of the app.
PREVIEW = ("Gradio", "Click to try out the app!")
DESCRIPTION = "Chat about pictures, find things as boxes, read documents, and see what the model sees."
_OTHERS = re.compile(
    rb'<meta\s+(?:property="og:(?:image|url)"|name="twitter:(?:image|creator)")\s+content="[^"]*"\s*/>'
)


class Previewed:
    """An ASGI middleware: the page's own title and a description stand where Gradio's are, whose picture and address
    go."""

    def __init__(self, app: ASGIApp, title: str) -> None:
        self.app = app
        self.words = [f'content="{escape(words)}"'.encode() for words in (title, DESCRIPTION)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        begun: list[Message] = []  # the start of a page, whose length is another one

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                if MutableHeaders(scope=message).get("content-type", "").startswith("text/html"):
                    begun.append(message)
                    return
            elif begun and message["type"] == "http.response.body" and not message.get("more_body"):
                start, message = begun.pop(), {**message, "body": self.replace(message.get("body", b""))}
                MutableHeaders(scope=start)["content-length"] = str(len(message["body"]))
                await send(start)
            elif begun:
                await send(begun.pop())
            await send(message)

        await self.app(scope, receive, send_on)

    def replace(self, page: bytes) -> bytes:
        for theirs, ours in zip(PREVIEW, self.words, strict=True):
            page = page.replace(f'content="{theirs}"'.encode(), ours)
        return _OTHERS.sub(b"", page)
