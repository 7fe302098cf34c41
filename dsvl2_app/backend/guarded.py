"""A backend that counts what each asks in a minute, and that can be told to end: it then takes nothing more, while
what it has taken goes on."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import replace

from dsvl2_app.backend.backend import Backend
from dsvl2_app.backend.stream import Stream
from dsvl2_app.backend.wrapper import BackendWrapper, Kind
from dsvl2_app.errors import BusyError
from dsvl2_app.request import Event, Health, Request

MINUTE = 60.0  # seconds
MOST_OWNERS = 10_000  # whose requests are remembered


class Rate:
    """How many requests each owner has sent within a minute."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Up to `most`; 0: any number. Without a name nobody is counted."""
        self._most, self._clock = most, clock
        self._sent: OrderedDict[str, deque[float]] = OrderedDict()  # who was heard of last, last

    def count(self, owner: str) -> None:
        """One more. Raises BusyError where that would be too many."""
        if not self._most or not owner:
            return
        now, sent = self._clock(), self._sent.setdefault(owner, deque())
        self._sent.move_to_end(owner)
        while sent and now - sent[0] >= MINUTE:
            sent.popleft()
        if len(sent) >= self._most:
            raise BusyError(
                "You have sent {number} requests within a minute, the most that this server takes; wait {seconds} s.",
                number=self._most,
                seconds=math.ceil(sent[0] + MINUTE - now),
            )
        sent.append(now)
        while len(self._sent) > MOST_OWNERS:
            self._sent.popitem(last=False)


class GuardedBackend(BackendWrapper):
    def __init__(self, backend: Backend, max_per_minute: int = 0) -> None:
        """An owner's requests in a minute are at most `max_per_minute`; 0: any number."""
        super().__init__(backend)
        self._rate = Rate(max_per_minute)
        self._changed = threading.Condition()  # guards all below
        self._taken = 0  # streams that have not ended
        self._is_ending = False

    def health(self) -> Health:
        health = super().health()
        return replace(health, accepting=False) if self._is_ending else health

    def finish(self, seconds: float) -> bool:
        """Refuse whatever comes from now on, and wait for what was taken, so long at most. Whether all of it ended."""
        until = time.monotonic() + seconds
        with self._changed:
            self._is_ending = True
            return self._changed.wait_for(lambda: not self._taken, max(0.0, until - time.monotonic()))

    def _begin(self, kind: Kind, request: Request, submit: Callable[[], Stream]) -> Stream:
        with self._changed:
            if self._is_ending:
                raise BusyError("The model is shutting down; start the app again to ask more.")
            self._rate.count(request.owner)
            self._taken += 1
        try:
            stream = submit()
        except BaseException:
            self._give_up()
            raise
        stream.observe(self._watch)
        return stream

    def _watch(self, event: Event | None, error: BaseException | None) -> None:
        if event is None:
            self._give_up()

    def _give_up(self) -> None:
        with self._changed:
            self._taken -= 1
            self._changed.notify_all()
