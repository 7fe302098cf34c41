"""A backend with the limits of whoever runs the app: what a request may hold (limits.py), how much each asks at once
and in a minute. It can be told to end: it then takes nothing more, while what it has taken goes on."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import replace

from dsvl2_app.backend.backend import Backend
from dsvl2_app.backend.limits import Addresses, RequestLimits
from dsvl2_app.backend.stream import Stream
from dsvl2_app.backend.wrapper import BackendWrapper, Kind
from dsvl2_app.errors import BusyError
from dsvl2_app.request import Event, Health, Request
from dsvl2_app.settings import Settings

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
    def __init__(
        self,
        backend: Backend,
        max_per_minute: int = 0,
        max_per_address: int = 0,
        limits: RequestLimits = RequestLimits(),  # noqa: B008 - it is frozen
    ) -> None:
        """An owner's requests in a minute are at most `max_per_minute`, those of a network address at once at most
        `max_per_address`; 0: any number."""
        super().__init__(backend)
        self._rate = Rate(max_per_minute)
        self._addresses = Addresses(max_per_address)
        self._limits = limits
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

    def submit(self, request: Request) -> Stream:
        return super().submit(self._limits.apply(request, self.backend.plan))

    def _begin(self, kind: Kind, request: Request, submit: Callable[[], Stream]) -> Stream:
        with self._changed:
            if self._is_ending:
                raise BusyError("The model is shutting down; start the app again to ask more.")
            give_back = self._addresses.take(request.address)
            try:
                self._rate.count(request.owner)
            except BusyError:
                give_back()
                raise
            self._taken += 1

        def give_up() -> None:
            give_back()
            with self._changed:
                self._taken -= 1
                self._changed.notify_all()

        def watch(event: Event | None, error: BaseException | None) -> None:
            if event is None:
                give_up()

        try:
            stream = submit()
        except BaseException:
            give_up()
            raise
        stream.observe(watch)
        return stream


def guard(backend: Backend, settings: Settings) -> GuardedBackend:
    """With the limits that the settings name."""
    return GuardedBackend(backend, settings.max_per_minute, settings.max_per_address, RequestLimits.of(settings))
