"""A request that waits until there is a backend to ask."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from dsvl2_app.backend.backend import Backend
from dsvl2_app.backend.stream import Stream
from dsvl2_app.errors import AppError
from dsvl2_app.request import Event


@dataclass(eq=False)
class Waiting:
    """A request whose stream its reader has already."""

    owner: str
    submit: Callable[[Backend], Stream]
    stream: Stream = field(init=False)
    answer: Stream | None = None  # of the backend that writes it
    began: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self.stream = Stream(self._cancel)

    def begin(self, backend: Backend, on_end: Callable[[BaseException | None], None] = lambda error: None) -> None:
        """Ask `backend`; all that it writes goes into the stream that the reader has. `on_end` is told, before
        the reader is, that it has ended, and of the error if there was one, in whichever thread that comes up."""
        waited = time.perf_counter() - self.began
        try:
            self.answer = self.submit(backend)
        except AppError as error:
            on_end(error)
            self.stream.end(error)
            return
        if self.stream.is_cancelled:
            self.answer.cancel()

        def hand_on(event: Event | None, error: BaseException | None) -> None:
            if event is None:
                on_end(error)
                self.stream.end(error)
            else:
                queued = event.timings.queued + waited
                self.stream.put(replace(event, timings=replace(event.timings, queued=queued)))

        self.answer.observe(hand_on)

    def end(self) -> None:
        """As cancelled, before anybody was asked."""
        self.stream.put(Event("done", finish="cancelled"))
        self.stream.end()

    def _cancel(self) -> None:
        if self.answer is not None:
            self.answer.cancel()
        else:
            self.end()
