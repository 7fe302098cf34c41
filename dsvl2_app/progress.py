"""How far long work with bytes is, told to whoever listens on the thread that does it; to nobody by default."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

Stage = Literal["download", "check", "read"]  # from the hub to the disk, of its hashes, from the disk into memory


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` bytes; 0 of 0 where that is not known yet."""

    stage: Stage
    done: int = 0
    total: int = 0


Listener = Callable[[Progress], None]
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Within, what this thread's work tells goes to `listener`, which other threads may call that help with it."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def find_listener() -> Listener:
    """Whom to tell, for work that is spread over threads."""
    return _listener.get() or _ignore


class Meter:
    """Adds up bytes that several threads tell, and passes the sum on. Stopped, it raises in each of them."""

    def __init__(self, stage: Stage, total: int, done: int = 0) -> None:
        self.done = done
        self._stage: Stage = stage
        self._total, self._tell, self._lock = total, find_listener(), threading.Lock()
        self._stopped = False
        self.add(0)

    def add(self, number: int) -> None:
        with self._lock:
            if self._stopped:
                raise InterruptedError("the work was stopped")
            self.done += number
            self._tell(Progress(self._stage, self.done, self._total))

    def stop(self) -> None:
        self._stopped = True


def _ignore(_: Progress) -> None:
    """Nobody listens."""
