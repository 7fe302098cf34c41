"""Ctrl-C and SIGTERM that wait for the step in hand."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def catch_signals() -> Iterator[list[int]]:
    """SIGTERM and Ctrl-C as a list that they are put into: the step in hand is finished, and saved."""
    caught: list[int] = []
    signals = (signal.SIGTERM, signal.SIGINT)
    previous = [signal.signal(number, lambda number, _: caught.append(number)) for number in signals]
    try:
        yield caught
    finally:
        for number, handler in zip(signals, previous, strict=True):
            signal.signal(number, handler)
