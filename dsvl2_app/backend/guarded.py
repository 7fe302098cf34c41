"""A backend that can be told to end: it takes nothing more, while what it has taken goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from dsvl2_app.backend.backend import Backend
from dsvl2_app.backend.stream import Stream
from dsvl2_app.errors import BusyError
from dsvl2_app.request import Capabilities, Event, Health, ModelCard, PromptPlan, Request
from dsvl2_app.text.prompt import Message


class GuardedBackend:
    """Does what `backend` does."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._changed = threading.Condition()  # guards all below
        self._taken = 0  # streams that have not ended
        self._is_ending = False

    @property
    def card(self) -> ModelCard:
        return self.backend.card

    @property
    def capabilities(self) -> Capabilities:
        return self.backend.capabilities

    def plan(self, messages: list[Message], tiling: bool | None = None, max_tiles: int | None = None) -> PromptPlan:
        return self.backend.plan(messages, tiling, max_tiles)

    def submit(self, request: Request) -> Stream:
        return self._take(partial(self.backend.submit, request))

    def inspect(self, request: Request, answer_ids: Sequence[int]) -> Stream:
        return self._take(partial(self.backend.inspect, request, answer_ids))

    def health(self) -> Health:
        health = self.backend.health()
        return replace(health, accepting=False) if self._is_ending else health

    def close(self) -> None:
        self.backend.close()

    def finish(self, seconds: float) -> bool:
        """Refuse whatever comes from now on, and wait for what was taken, so long at most. Whether all of it ended."""
        until = time.monotonic() + seconds
        with self._changed:
            self._is_ending = True
            return self._changed.wait_for(lambda: not self._taken, max(0.0, until - time.monotonic()))

    def _take(self, submit: Callable[[], Stream]) -> Stream:
        with self._changed:
            if self._is_ending:
                raise BusyError("The model is shutting down; start the app again to ask more.")
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
