"""Who may come in, where --auth says so: people by Gradio's own page of names and passwords, programs by HTTP Basic.

Gradio keeps its page, files and API closed to those who have no cookie of a login. `Login` closes the rest of the app,
and takes a name and a password with any request in place of the cookie.
"""

from __future__ import annotations

import math
import time
from base64 import b64decode
from collections import OrderedDict, deque
from collections.abc import Callable
from secrets import token_urlsafe
from urllib.parse import urlsplit

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dsvl2_app.backend.limits import is_own
from dsvl2_app.credentials import Credentials

MOST_TRIES, WINDOW = 10, 60.0  # wrong passwords of an address within so many seconds
MOST_ADDRESSES = 10_000  # whose tries are remembered
CLOSED = ("/v1", "/metrics", "/gradio_api/mcp", "/monitoring")  # what Gradio does not close
REFUSAL = {
    "error": {
        "message": "There is no name and password of this server; send them as HTTP Basic.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_api_key",
    }
}


class Tries:
    """Wrong passwords of each network address within `WINDOW`. This machine's own, and no address, are not counted:
    behind them are all visitors of a proxy that does not tell who they are."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()  # who failed last, last

    def wait(self, address: str) -> int:
        """Seconds until that address may try again; 0: now."""
        failed = self._failed.get(address, ())
        return max(0, math.ceil(failed[0] + WINDOW - self._clock())) if len(failed) == MOST_TRIES else 0

    def fail(self, address: str) -> None:
        if is_own(address):
            return
        self._failed.setdefault(address, deque(maxlen=MOST_TRIES)).append(self._clock())
        self._failed.move_to_end(address)
        while len(self._failed) > MOST_ADDRESSES:
            self._failed.popitem(last=False)


class Login:
    """An ASGI middleware. /healthz and /readyz stay open, for whoever watches over the app."""

    def __init__(self, app: ASGIApp, credentials: Credentials, has_keys: bool = False, root_path: str = "") -> None:
        """With `has_keys`, /v1 looks for API keys by itself."""
        self.app = app
        self.credentials = credentials
        prefix = urlsplit(root_path).path
        self.tries = Tries()
        self.page = prefix + "/login"  # to which Gradio's page sends what was typed
        self.closed = tuple(prefix + path for path in CLOSED if not (has_keys and path == "/v1"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self.credentials:
            await self.app(scope, receive, send)
            return
        header = dict(scope["headers"]).get(b"authorization", b"")
        address = scope["client"][0] if scope.get("client") else ""
        typed = scope["method"] == "POST" and scope["path"].rstrip("/").endswith(self.page)
        if (typed or is_basic(header)) and (seconds := self.tries.wait(address)):
            await refuse_tries(seconds)(scope, receive, send)
            return
        user = self.identify(header)
        if is_basic(header) and not user:
            self.tries.fail(address)
        if typed:
            await self.app(scope, receive, self.watch(address, send))
        elif user:
            await self.app(admit(scope, user), receive, send)
        elif any(f"{scope['path']}/".startswith(f"{path}/") for path in self.closed):
            response = JSONResponse(REFUSAL, 401, {"WWW-Authenticate": 'Basic realm="dsvl2", charset="UTF-8"'})
            await response(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def watch(self, address: str, send: Send) -> Send:
        """Gradio answers with 400 to a name and a password that are wrong."""

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 400:
                self.tries.fail(address)
            await send(message)

        return send_on

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


def is_basic(header: bytes) -> bool:
    return header[:6].lower() == b"basic "


def refuse_tries(seconds: int) -> JSONResponse:
    sentence = f"{MOST_TRIES} wrong passwords came from your network address within a minute; wait {seconds} s."
    error = {"message": sentence, "type": "invalid_request_error", "param": None, "code": "rate_limit_exceeded"}
    return JSONResponse({"error": error, "detail": sentence}, 429, {"Retry-After": str(seconds)})


def admit(scope: Scope, user: str) -> Scope:
    """The request as one of a browser in which that user has logged in: Gradio keeps its logins in `app.tokens`, and
    looks for them in a cookie whose name has `app.cookie_id` (gradio.routes)."""
    app = scope["app"]
    token = next((token for token, name in app.tokens.items() if name == user), None) or token_urlsafe(16)
    app.tokens[token] = user
    cookie = f"access-token-{app.cookie_id}={token}".encode()
    return {**scope, "headers": [*(each for each in scope["headers"] if each[0] != b"cookie"), (b"cookie", cookie)]}
