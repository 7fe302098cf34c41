"""Work that is done in pieces, so that one thread serves several answers in turn.

A generator does the work. It yields an `Event` for the reader, a `Future` when it cannot go on before that is done, and
a `DecodeRequest` when it wants the logits after one more token. `Task` alone tells these apart; whoever drives one
looks at what it has.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from dsvl2_app.model.cache import KVCache
from dsvl2_app.request import Event

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DecodeRequest:
    """The logits after `token`, which joins `cache`, are wanted. The token may still be on the device."""

    token: int | Tensor
    cache: KVCache


Steps = Generator["Event | Future[Any] | DecodeRequest", Any, None]


class Task:
    """An answer or an inspection in the making. After each `advance` one of the three attributes is there."""

    def __init__(self, steps: Steps) -> None:
        """`steps` has not begun; nothing happens before the first `advance`."""
        self._steps = steps
        self.event: Event | None = None  # for the reader
        self.future: Future[Any] | None = None  # to be done before the next piece
        self.request: DecodeRequest | None = None  # to be answered with logits

    def advance(self, reply: Tensor | Exception | None = None) -> bool:
        """Do one piece; False where there is none left. `reply` answers `request`: logits [vocabulary], or the error
        that there are instead. Raises what the work raises."""
        self.event = self.future = self.request = None
        try:
            item = self._steps.throw(reply) if isinstance(reply, Exception) else self._steps.send(reply)
        except StopIteration:
            return False
        if isinstance(item, Event):
            self.event = item
        elif isinstance(item, Future):
            self.future = item
        else:
            self.request = item
        return True

    def close(self) -> None:
        """Stop here. What was begun is cleaned up."""
        self._steps.close()

    def run(self, decode: Callable[[Sequence[DecodeRequest]], Tensor]) -> Generator[Event, None, None]:
        """The events of a task that nobody else is served beside, to its end; closing the generator closes the task."""
        reply = None
        try:
            while self.advance(reply):
                reply = decode([self.request])[0] if self.request else None
                if self.event:
                    yield self.event
                elif self.future:
                    self.future.exception()  # waits; the task raises what went wrong
        finally:
            self.close()


def wait_for(future: Future[T]) -> Generator[Future[T], Any, T]:
    """Yield the future until the driver goes on, then return its result. Closing the generator cancels it."""
    try:
        if not future.done():
            yield future
        return future.result()
    finally:
        future.cancel()


def loses_device(error: Exception) -> bool:
    """Whether nothing can run on the device any more in this process, as after an illegal access to its memory."""
    return isinstance(error, torch.AcceleratorError) and "out of memory" not in str(error).lower()
