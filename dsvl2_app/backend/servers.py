"""Servers of one model elsewhere: which of them are up, what they say of themselves, and which is asked next."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from dsvl2_app.errors import AppError, BusyError, PromptError, ServerError

logger = logging.getLogger(__name__)

CHECK_EVERY = 5.0  # seconds
CHECK_PATIENCE = 5.0
OURS = "dsvl2"  # owner of the model where the server is another copy of this app
PASSING = (502, 503, 504)  # statuses that another server, or the same one later, may not answer with


@dataclass
class Server:
    """What is known of one."""

    url: str  # up to /v1, without a slash at the end
    busy: int = 0  # answers that it writes for us
    is_up: bool = True  # until the first look shows otherwise
    checked: bool = False
    model: dict[str, Any] = field(default_factory=dict)  # as it lists it
    is_learnt: bool = False  # the following are known
    guide: dict[str, Any] = field(default_factory=dict)  # what makes it keep boxes well-formed, see guided.py
    mismatch: str = ""  # what shows that it has another checkpoint than --model names
    compared: set[bool] = field(default_factory=set)  # prompts without pictures and with them whose tokens were counted

    @property
    def owner(self) -> str:
        """Of its model: which program it is, where it is one of those that are known."""
        return self.model.get("owned_by", "")

    @property
    def is_ours(self) -> bool:
        return self.owner == OURS

    @property
    def told(self) -> dict[str, Any]:
        """What another copy of this app says of its model."""
        return read_object(self.model.get("dsvl2")) if self.is_ours else {}

    @property
    def card(self) -> dict[str, Any]:
        """Its model's, as another copy of this app tells it."""
        return read_object(self.told.get("card"))

    @property
    def keeps_boxes(self) -> bool:
        """Well-formed, where it is asked to."""
        return bool(self.guide or self.told.get("grammar"))

    @property
    def takes_files(self) -> bool:
        """Beside the request, see packing.py."""
        return bool(self.told.get("takes_files"))

    @property
    def is_near(self) -> bool:
        """On this machine, where bytes cost less than packing them."""
        return httpx.URL(self.url).host in ("localhost", "127.0.0.1", "::1")

    @property
    def name(self) -> str:
        return self.model.get("id", "")


class Servers:
    """Used in one event loop. The least busy of those that are up is asked; one that fails is left alone until a look
    at it shows that it is back, unless all of them are down."""

    def __init__(
        self, urls: Sequence[str], key: str, model: str, patience: float, learn: Callable[[Server], Awaitable[None]]
    ) -> None:
        """`model` is the one to ask for, "" the first that a server lists; `patience` in seconds of silence. `learn` is
        called once for each server that has said what it is, and again after it was down."""
        self.all = [Server(url.rstrip("/")) for url in urls]
        self.wanted = model
        self.learn = learn
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.client = httpx.AsyncClient(
            headers=headers,
            timeout=httpx.Timeout(patience, connect=CHECK_PATIENCE),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
        )

    @property
    def known(self) -> Server:
        """One that has said what it is, else any."""
        return next((server for server in self.all if server.model), self.all[0])

    def choose(self, but: Collection[Server] = ()) -> Server:
        """The next to ask, none of `but` where there is another."""
        others = [server for server in self.all if not any(server is each for each in but)] or self.all
        return min([server for server in others if server.is_up] or others, key=lambda server: server.busy)

    async def look(self, patience: float) -> None:
        """At all of them once, for that many seconds at most."""
        await asyncio.wait([asyncio.create_task(self.check(server)) for server in self.all], timeout=patience)

    async def watch(self) -> None:
        """Look at all of them for ever."""
        await asyncio.gather(*map(self._watch, self.all))

    async def _watch(self, server: Server) -> None:
        while True:
            began = time.monotonic()
            try:
                await self.check(server)
            except Exception:  # whatever it says: others are looked at for ever, and it is again
                logger.exception("%s could not be looked at", server.url)
            await asyncio.sleep(max(0.0, CHECK_EVERY - (time.monotonic() - began)))

    async def check(self, server: Server) -> None:
        """One that answers is up, though it may refuse the key or be no such server, which whoever asks it is told."""
        try:
            response = await self.client.get(f"{server.url}/models", timeout=CHECK_PATIENCE)
            server.is_learnt = server.is_learnt and server.is_up
            server.is_up = response.status_code not in PASSING
            models = response.json()["data"] if response.is_success else []
            wanted = [each for each in models if self.wanted in ("", each["id"])]
            server.model = wanted[0] if wanted else {"id": self.wanted} if self.wanted else {}
        except (httpx.HTTPError, httpx.InvalidURL):
            server.is_up = False
        except (ValueError, LookupError, TypeError):
            server.model = {}
        server.checked = True
        if server.is_up and server.model and not server.is_learnt:
            server.is_learnt = True
            await self.learn(server)


def read_object(told: Any) -> dict[str, Any]:
    """A JSON object of a server's answer; empty where it says something else."""
    return told if isinstance(told, dict) else {}


def explain_failure(
    error: httpx.HTTPError | httpx.InvalidURL, server: Server, patience: float, begun: bool
) -> AppError:
    """In one sentence. `begun` says whether some of the answer has come."""
    if isinstance(error, httpx.ReadTimeout):
        return ServerError(
            "The model's server {address} has been silent for {seconds:g} s; try again, or wait for it longer with "
            "--api-timeout.",
            address=server.url,
            seconds=patience,
        )
    if begun:
        return ServerError(
            "The connection to the model's server {address} broke, so the answer ends here; try again.",
            address=server.url,
        )
    return ServerError(
        "No model's server answers at {address}; check --api-base, or try again once it is up.", address=server.url
    )


def explain_status(status: int, body: bytes, server: Server, model: str) -> AppError:
    """What a server refuses with, in its own words where it has some."""
    reason = read_reason(body)
    if status in (401, 403):
        return ServerError(
            "The model's server {address} refuses the API key; name the variable that holds another one with "
            "--api-key-env.",
            address=server.url,
        )
    if status == 404 and reason and "model" in reason:
        return ServerError(
            "The model's server {address} has no model {model}; name another one with --remote-model.",
            address=server.url,
            model=model or "of that name",
        )
    if status in (404, 405) or not reason:
        return ServerError(
            "The model's server {address} answers with status {status}; check --api-base, which usually ends in /v1.",
            address=server.url,
            status=status,
        )
    kind = {400: PromptError, 413: PromptError, 422: PromptError, 429: BusyError}.get(status, ServerError)
    return pass_on(kind, reason, server)


def pass_on(kind: type[AppError], reason: str, server: Server) -> AppError:
    """Another copy of this app speaks in sentences already, which the page may have in the visitor's language."""
    if server.is_ours:
        return kind(reason)
    return kind("The model's server says: {reason}", reason=reason)


def read_reason(body: bytes) -> str:
    """The words in an error of the protocol, in one line; "" where there are none."""
    try:
        found = httpx.Response(200, content=body).json()
        error = found.get("error") or found
        message = error if isinstance(error, str) else error.get("message") or error.get("detail")
        return " ".join(str(message or "").split())[:500]
    except (ValueError, AttributeError):
        return ""
