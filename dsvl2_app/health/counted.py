"""How many questions were answered since the start, for the page: with --show-count alone. Nothing else is kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from dsvl2_app.backend import Stream
from dsvl2_app.backend.wrapper import BackendWrapper, Kind
from dsvl2_app.request import Event, Finish, Health, Request


class CountedBackend(BackendWrapper):
    """A backend before another one, whose `health` tells the number. An answer that was stopped, or ended in an error,
    is none."""

    def __init__(self, backend: BackendWrapper) -> None:
        super().__init__(backend)
        self._answered = 0
        self._lock = threading.Lock()

    def _begin(self, kind: Kind, request: Request, submit: Callable[[], Stream]) -> Stream:
        stream = submit()
        finish: Finish | None = None

        def observe(event: Event | None, error: BaseException | None) -> None:
            nonlocal finish
            if event is not None:
                finish = event.finish
            elif error is None:
                self._count(finish)

        if kind == "answer":
            stream.observe(observe)
        return stream

    def _count(self, finish: Finish | None) -> None:
        with self._lock:
            self._answered += finish not in (None, "cancelled")

    def health(self) -> Health:
        return replace(super().health(), answered=self._answered)
