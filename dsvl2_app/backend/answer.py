"""One answer on the engine's thread: a stream, and the generator whose events go into it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from torch import Tensor

from dsvl2_app.backend.stream import Stream
from dsvl2_app.engine.engine import Feed, Serving
from dsvl2_app.errors import AppError, EngineDeadError
from dsvl2_app.request import Event, Timings

logger = logging.getLogger(__name__)


class Answer:
    """Waits, runs piece by piece, and ends: with its last event, with an error, or cancelled."""

    def __init__(self, owner: str, stream: Stream, serve: Callable[[], Serving], wake: Callable[[], None]) -> None:
        """`serve` makes the generator; `wake` is called when something that it waits for is done."""
        self.owner = owner
        self.stream = stream
        self._serve: Callable[[], Serving] | None = serve  # until it starts, because pictures are large
        self._wake = wake
        self._serving: Serving | None = None
        self._submitted = time.perf_counter()
        self._timings = Timings()
        self.feed: Feed | None = None  # its token is to be fed to the model
        self.future: Future[Any] | None = None  # it waits for something else
        self.writes = False  # has just written a token, or its last words

    @property
    def can_go_on(self) -> bool:
        return self.future is None or self.future.done() or self.stream.is_cancelled

    def start(self) -> None:
        """It waits no more."""
        self._timings = Timings(queued=time.perf_counter() - self._submitted)

    def advance(self, reply: Tensor | Exception | None = None) -> bool:
        """Take one step and hand it over; False when there will be no more. `reply` is what the last one wanted."""
        if self.stream.is_cancelled:
            self.end()
            return False
        try:
            item = self._step(reply)
        except StopIteration:
            self.stream.end()
            return False
        except Exception as error:  # whatever it is, it belongs to this caller and to nobody else
            if not isinstance(error, AppError):
                logger.exception("a request failed")
            self.stream.end(error)
            return False
        self.feed = item if isinstance(item, Feed) else None
        self.future = item if isinstance(item, Future) else None
        self.writes = isinstance(item, Event) and item.stage in ("decode", "done")
        if isinstance(item, Event):
            self._timings = replace(item.timings, queued=self._timings.queued)
            self.stream.put(replace(item, timings=self._timings))
        if self.future is not None:
            self.future.add_done_callback(lambda _: self._wake())
        return True

    def _step(self, reply: Tensor | Exception | None) -> Event | Feed | Future[Any]:
        if self._serving is None:
            assert self._serve is not None
            self._serving, self._serve = iter(self._serve()), None
        if isinstance(reply, Exception):
            return self._serving.throw(reply)
        return next(self._serving) if reply is None else self._serving.send(reply)

    def end(self, reason: AppError | None = None) -> None:
        """Stop here: with an error if the engine is dead, else as cancelled. An error while the generator closes has no
        reader any more and is logged."""
        if self._serve is not None:  # it has only waited
            self.start()
            self._serve = None
        try:
            if self._serving is not None:
                self._serving.close()
        except Exception:
            logger.exception("a cancelled request failed")
        if isinstance(reason, EngineDeadError):
            self.stream.end(reason)
        else:
            self.stream.put(Event("done", finish="cancelled", timings=self._timings))
            self.stream.end()
