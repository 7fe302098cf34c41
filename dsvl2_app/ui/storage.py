"""The disk that visitors may fill: how many files an address sends in one request and in an hour, how much lies there
in all, and how long.

What lies in the folder of uploads is deleted an hour after it was last used, unless the page itself or somebody's
session still shows it (`hold`). Of an upload that is refused or cut off nothing stays.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from weakref import WeakSet

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dsvl2_app.backend.limits import is_own
from dsvl2_app.errors import BusyError
from dsvl2_app.settings import Settings
from dsvl2_app.ui.gradio_quirks import upload_folder
from dsvl2_app.ui.words.translations import say

HOUR = 3600.0  # seconds
PART = 300.0  # seconds without another byte after which a part of an upload is given up
EVERY = 300.0  # seconds between two sweeps
MOST_FILES = 100  # in one request
MOST_ADDRESSES = 10_000  # whose uploads are remembered
MB = 1_000_000


class Holder(Protocol):
    """Something of a visitor's session that shows files."""

    @property
    def files(self) -> set[Path]: ...


_holders: WeakSet[Holder] = WeakSet()
_lock = threading.Lock()


def hold(holder: Holder) -> None:
    """Its files stay while it lives."""
    with _lock:
        _holders.add(holder)


def held_files() -> set[Path]:
    with _lock:
        holders = [*_holders]
    return {path for holder in holders for path in holder.files}


def list_files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            try:
                yield path, path.lstat()
            except OSError:  # it is gone meanwhile
                continue


def sweep(folder: Path, now: float | None = None) -> None:
    """Delete what nobody has used for an hour and no session shows, and parts of uploads that will not go on."""
    now, held = time.time() if now is None else now, held_files()
    for path, found in list_files(folder):
        age = now - max(found.st_mtime, found.st_ctime)
        if age > (PART if path.parent == folder else HOUR) and path not in held:
            path.unlink(missing_ok=True)
            if path.parent != folder:
                with suppress(OSError):  # there is something else in it, or it is gone
                    path.parent.rmdir()


async def sweep_regularly(forget: Callable[[], None]) -> None:
    """Until it is cancelled; `forget` bounds what Gradio writes down of files."""
    while True:
        await asyncio.sleep(EVERY)
        await asyncio.to_thread(sweep, upload_folder())
        forget()


@dataclass
class Sent:
    """What one address has sent within an hour."""

    files: deque[tuple[float, int]] = field(default_factory=deque[tuple[float, int]])  # when, and bytes

    def count(self, now: float) -> tuple[int, int]:
        """Files and bytes."""
        while self.files and now - self.files[0][0] > HOUR:
            self.files.popleft()
        return len(self.files), sum(size for _, size in self.files)


class Storage:
    """An ASGI middleware for requests that bring files, and what sweeps while the app is served."""

    def __init__(self, app: ASGIApp, settings: Settings, files: set[Path], forget: Callable[[], None]) -> None:
        """`files` are the page's own, which stay; `forget` is called after each sweep."""
        self.app, self.files, self.forget = app, files, forget
        self.max_files, self.max_bytes = settings.max_upload_files, settings.max_upload_mb * MB
        self.max_total = settings.max_disk_mb * MB
        self.sent: dict[str, Sent] = {}
        self.receiving = 0
        hold(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            sweeping = asyncio.create_task(sweep_regularly(self.forget))
            try:
                await self.app(scope, receive, send)
            finally:
                sweeping.cancel()
            return
        kind = Headers(scope=scope).get("content-type", "") if scope["type"] == "http" else ""
        if not kind.lower().startswith("multipart/form-data"):
            await self.app(scope, receive, send)
            return
        upload = _Upload(self, scope, kind, receive)
        refusal, ended = None, False
        self.receiving += 1
        try:
            upload.check(0)
            await self.app(scope, upload.receive, send)
            ended = upload.ended
        except BusyError as error:
            refusal = PlainTextResponse(say(error.sentence, **error.values), 413)
        except ClientDisconnect:
            pass
        finally:
            self.receiving -= 1
            self._tidy(upload, ended)
        if refusal is not None:
            await refusal(scope, receive, send)

    def _tidy(self, upload: _Upload, ended: bool) -> None:
        if ended:
            self.sent.setdefault(upload.address, Sent()).files.extend(upload.files)
            while len(self.sent) > MOST_ADDRESSES:
                del self.sent[next(iter(self.sent))]
        folder = upload_folder()
        if not ended and not self.receiving:
            for path, _ in [each for each in list_files(folder) if each[0].parent == folder]:
                path.unlink(missing_ok=True)


class _Upload:
    """One request while it comes. Files are counted by the boundary between them, which none of them contains."""

    def __init__(self, storage: Storage, scope: Scope, kind: str, receive: Receive) -> None:
        self.storage, self._receive = storage, receive
        self.address = scope["client"][0] if scope.get("client") else ""
        self.boundary = b"--" + kind.partition("boundary=")[2].partition(";")[0].strip(' "').encode()
        self.size, self.parts, self.ended, self._tail = 0, 0, False, b""
        told = Headers(scope=scope).get("content-length", "")
        self.told = int(told) if told.isdigit() else 0
        now = time.monotonic()
        self.files_before, self.bytes_before = storage.sent.get(self.address, Sent()).count(now)
        self.room = storage.max_total - sum(found.st_size for _, found in list_files(upload_folder()))

    @property
    def files(self) -> list[tuple[float, int]]:
        number = max(1, self.parts - 1)
        return [(time.monotonic(), self.size // number)] * number

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            body = message.get("body", b"")
            self.parts += (self._tail + body).count(self.boundary)
            self._tail = (self._tail + body)[1 - len(self.boundary) :] if len(self.boundary) > 1 else b""
            self.size += len(body)
            self.check(self.size)
            self.ended = not message.get("more_body", False)
        return message

    def check(self, size: int) -> None:
        """Raises BusyError, with the limit."""
        storage, size, files = self.storage, max(size, self.told), max(1, self.parts - 1)
        if files > MOST_FILES:
            raise BusyError("A request may bring {number} files at most; send them in several.", number=MOST_FILES)
        if size > self.room:
            raise BusyError(
                "The server's room for files, {most} MB, is full; try again later.", most=storage.max_total // MB
            )
        if is_own(self.address):
            return
        if storage.max_files and self.files_before + files > storage.max_files:
            raise BusyError(
                "{number} files within an hour are the most that this server takes from a network address; "
                "try again later.",
                number=storage.max_files,
            )
        if storage.max_bytes and self.bytes_before + size > storage.max_bytes:
            raise BusyError(
                "{most} MB within an hour are the most that this server takes from a network address; try again later.",
                most=storage.max_bytes // MB,
            )
