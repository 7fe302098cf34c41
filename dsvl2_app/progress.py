"""How far long work with bytes is, told to whoever listens on the thread that does it; to nobody by default."""

from __future__ import annotations

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


def _ignore(_: Progress) -> None:
    """Nobody listens."""
