"""Whose an open page is. The name of its session is all that Gradio asks for; here the cookie that the session began
with is wanted, too.

Pages of other sites, in which this one stands as a frame or a component, send no such cookie, nor do programs: their
sessions stay as Gradio has them (SECURITY.md).
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from secrets import token_urlsafe
from threading import Lock
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dsvl2_app.errors import PromptError
from dsvl2_app.ui.words.wording import describe_error

COOKIE = "dsvl2-browser"
MOST = 20_000  # sessions, of which Gradio keeps a tenth
HEARTBEAT = "/gradio_api/heartbeat/"


class Browsers:
    """The cookie that each session began with; "" where there was none."""

    def __init__(self) -> None:
        self._cookies: OrderedDict[str, str] = OrderedDict()  # which was heard of last, last
        self._lock = Lock()

    def admit(self, session: str, cookie: str) -> bool:
        """Whether who has that cookie may act as that session, which begins now if it is not known."""
        with self._lock:
            known = self._cookies.setdefault(session, cookie)
            self._cookies.move_to_end(session)
            while len(self._cookies) > MOST:
                self._cookies.popitem(last=False)
        return not known or hmac.compare_digest(known.encode(), cookie.encode())


_browsers = Browsers()  # of all pages of this process, for nobody chooses the name of a session


def check_browser(request: Any) -> None:
    """Of the gr.Request of an event. Raises PromptError where its session is another browser's."""
    http = getattr(request, "request", None)
    if http is not None and request.session_hash and not _admits(http, str(request.session_hash)):
        raise refuse()


def _admits(http: Request, session: str) -> bool:
    return _browsers.admit(session, http.cookies.get(COOKIE, ""))


def refuse() -> PromptError:
    return PromptError("This page was opened in another browser; reload it to begin anew.")


class OwnBrowser:
    """An ASGI middleware. It gives a cookie to the browser that opens the page, and refuses another one the stream of
    a session's events, and the connection with whose end the session ends."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        session = request.query_params.get("session_hash") or scope["path"].partition(HEARTBEAT)[2]
        if session and not _admits(request, session):
            await JSONResponse({"error": describe_error(refuse())}, 403)(scope, receive, send)
            return

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start" and COOKIE not in request.cookies:
                headers = MutableHeaders(raw=message["headers"])
                if headers.get("content-type", "").startswith("text/html"):
                    secure = "; Secure" if scope["scheme"] == "https" else ""
                    cookie = f"{COOKIE}={token_urlsafe(24)}; Path=/; HttpOnly; SameSite=Lax{secure}"
                    headers.append("Set-Cookie", cookie)
                    message["headers"] = headers.raw
            await send(message)

        await self.app(scope, receive, send_on)
