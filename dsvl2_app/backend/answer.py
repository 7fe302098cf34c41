"""One answer on the engine's thread: a stream, and the task whose events go into it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from dsvl2_app.backend.stream import Stream
from dsvl2_app.engine.task import Task, loses_device
from dsvl2_app.errors import AppError, EngineDeadError, explain
from dsvl2_app.request import Event, Finish, Timings

logger = logging.getLogger(__name__)


class Answer:
    """Waits, runs piece by piece, and ends: with its last event, with an error, or cancelled."""

    def __init__(self, owner: str, stream: Stream, task: Task, wake: Callable[[], None], seconds: float = 0) -> None:
        """`wake` is called when something that the task waits for is done. So many `seconds` after its start it ends;
        0: never."""
        self._seconds = seconds
        self._until = math.inf
        self.owner = owner
        self.stream = stream
        self.task = task
        self._wake = wake
        self._submitted = time.perf_counter()
        self._timings: Timings | None = None  # since it runs
        self.remaining = 0  # tokens of its prompt that the model has not had yet, once they are counted

    @property
    def can_go_on(self) -> bool:
        """Whether there is a piece of its work to do now."""
        future = self.task.future
        return future is None or future.done() or self.stream.is_cancelled

    @property
    def writes(self) -> bool:
        """Whether it has just written a token, or its last words."""
        return self.task.event is not None and self.task.event.stage in ("decode", "done")

    def start(self) -> None:
        """It waits no more."""
        self._timings = Timings(queued=time.perf_counter() - self._submitted)
        self._until = time.perf_counter() + self._seconds if self._seconds else math.inf

    def advance(self, reply: Tensor | Exception | None = None) -> bool:
        """Do one piece and hand it over; False when there will be no more. `reply` answers the task's request."""
        if self.stream.is_cancelled:
            self.end()
            return False
        if time.perf_counter() > self._until:
            self.end(finish="time")
            return False
        try:
            goes_on = self.task.advance(reply)
        except Exception as error:  # whatever else it is, it belongs to this caller and to nobody else
            if loses_device(error):
                raise
            if not isinstance(error, AppError):
                logger.exception("a request failed")
            self.stream.end(explain(error))
            return False
        if not goes_on:
            self.stream.end()
            return False
        if self.task.event is not None:
            self._hand_over(self.task.event)
        elif self.task.future is not None:
            self.task.future.add_done_callback(lambda _: self._wake())
        return True

    def _hand_over(self, event: Event) -> None:
        assert self._timings
        self._timings = replace(event.timings, queued=self._timings.queued)
        if event.stage == "vision":
            self.remaining = event.timings.prompt_tokens - event.timings.reused_tokens
        elif event.stage == "prefill":
            self.remaining = event.total - event.done
        self.stream.put(replace(event, timings=self._timings))

    def end(self, reason: AppError | None = None, finish: Finish = "cancelled") -> None:
        """Stop here: with an error if the engine is dead, else with that finish. An error while the task closes has no
        reader any more and is logged."""
        if self._timings is None:  # it has only waited
            self.start()
        try:
            self.task.close()
        except Exception:
            logger.exception("a cancelled request failed")
        if isinstance(reason, EngineDeadError):
            self.stream.end(reason)
        else:
            self.stream.put(Event("done", finish=finish, timings=self._timings or Timings()))
            self.stream.end()
