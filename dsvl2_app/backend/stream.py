"""The events of one answer on their way from its writer, a thread, to its reader, a thread or an event loop.

There is one writer and one reader. A reader in an event loop holds no thread: it is woken through the loop.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

from dsvl2_app.request import Event

logger = logging.getLogger(__name__)

REST, LONGEST = 4, 0.5  # times as long as drawing took, and most seconds, between two batches

# An event, or None at the end with what went wrong, if anything did.
Observer = Callable[[Event | None, BaseException | None], None]


class Stream:
    """The events of one answer as they come, for `for` and for `async for`. Iterating raises what went wrong with this
    request, once, after the events before it.

    As a context manager it cancels on leaving, so that a reader who goes away stops the work.
    """

    def __init__(self, on_cancel: Callable[[], None] = lambda: None) -> None:
        """`on_cancel` is called at every `cancel`, in the thread of whoever cancels."""
        self._on_cancel = on_cancel
        self._events: deque[Event] = deque()
        self._ended = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._wake: Callable[[], None] = lambda: None  # the reader, where it waits in a loop
        self._observers: list[Observer] = []
        self._cancelled = threading.Event()

    # -- for the reader -----------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Event]:
        while self._wait(self._has_news):
            if not (events := self._take(1)):
                return
            yield events[0]

    async def __aiter__(self) -> AsyncIterator[Event]:
        while await self._wait_in_loop(self._has_news):
            if not (events := self._take(1)):
                return
            yield events[0]

    def throttled(self, seconds: float) -> Batches:
        """The same events in batches, one in `seconds` at most, for a reader who draws each: no event is lost, and the
        last comes at once. A reader who takes long to draw one, because many draw, gets fewer: it has four times as
        long in between, up to `LONGEST`. For `for` and for `async for`; with 0 nothing is held back."""
        return Batches(self, seconds)

    def cancel(self) -> None:
        """Stop before the next token. Unless the answer has ended, the last event's `finish` is then "cancelled"."""
        self._cancelled.set()
        self._on_cancel()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    def observe(self, observer: Observer) -> None:
        """Before anything is read: let `observer` see every event, those that are there already first, and then the
        end. It is called in the writer's thread, which it must not keep waiting."""
        with self._changed:
            for event in self._events:
                observer(event, None)
            if self._ended:
                observer(None, self._error)
            self._observers.append(observer)

    # -- for the writer -----------------------------------------------------------------------------------------

    @property
    def is_cancelled(self) -> bool:
        return self._cancelled.is_set()

    def put(self, event: Event) -> None:
        """Hand an event over; after the end it is dropped."""
        self._change(event)

    def end(self, error: BaseException | None = None) -> None:
        """Nothing more comes; the reader is told of the error, if there is one. A second end changes nothing."""
        self._change(None, error)

    def _change(self, event: Event | None, error: BaseException | None = None) -> None:
        with self._changed:
            if self._ended:
                return
            for observe in self._observers:
                try:
                    observe(event, error)
                except Exception:  # who only looks on stops nobody's answer
                    logger.exception("an observer of a stream failed")
            if event is None:
                self._ended, self._error = True, error
            else:
                self._events.append(event)
            self._changed.notify_all()
            self._wake()

    # -- waiting ------------------------------------------------------------------------------------------------

    def _has_news(self) -> bool:
        return bool(self._events) or self._ended

    def _is_complete(self) -> bool:
        return self._ended

    def _take(self, most: float = math.inf) -> list[Event]:
        """The next events, at most so many; none at the end, or what went wrong is raised."""
        with self._changed:
            events = [self._events.popleft() for _ in range(int(min(most, len(self._events))))]
            error, self._error = (self._error, None) if not events else (None, self._error)
        if error is not None:
            raise error
        return events

    def _wait(self, is_so: Callable[[], bool], seconds: float | None = None) -> bool:
        with self._changed:
            return self._changed.wait_for(is_so, seconds)

    async def _wait_in_loop(self, is_so: Callable[[], bool], seconds: float | None = None) -> bool:
        loop, until = asyncio.get_running_loop(), time.monotonic() + (math.inf if seconds is None else seconds)
        while True:
            with self._changed:
                remaining = until - time.monotonic()
                if is_so() or remaining <= 0:
                    return is_so()
                woken = asyncio.Event()

                def wake(woken: asyncio.Event = woken) -> None:
                    with suppress(RuntimeError):  # the loop is closed, so nobody waits
                        loop.call_soon_threadsafe(woken.set)

                self._wake = wake
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(woken.wait(), None if math.isinf(remaining) else remaining)


@dataclass(frozen=True, slots=True)
class Batches:
    """See `Stream.throttled`."""

    stream: Stream
    seconds: float

    def __iter__(self) -> Iterator[list[Event]]:
        stream, due = self.stream, 0.0
        while stream._wait(stream._has_news):
            stream._wait(stream._is_complete, max(0.0, due - time.monotonic()))
            if not (events := stream._take()):
                return
            began = time.monotonic()
            yield events
            due = self._pause_from(began)

    async def __aiter__(self) -> AsyncIterator[list[Event]]:
        stream, due = self.stream, 0.0
        while await stream._wait_in_loop(stream._has_news):
            await stream._wait_in_loop(stream._is_complete, max(0.0, due - time.monotonic()))
            if not (events := stream._take()):
                return
            began = time.monotonic()
            yield events
            due = self._pause_from(began)

    def _pause_from(self, began: float) -> float:
        """Until when nothing is given to a reader who has drawn since `began`."""
        now = time.monotonic()
        return now + (max(self.seconds, min(REST * (now - began), LONGEST)) if self.seconds else 0.0)
