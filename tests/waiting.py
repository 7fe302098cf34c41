"""Waiting that ends: for a condition, for work in a thread, for a loop. What does not come fails in words.

Threads here are daemons: one that is stuck keeps neither its test nor the process."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
PATIENCE = 60.0  # seconds: far more than anything takes here, on a busy machine too


def wait_until(happens: Callable[[], Any], seconds: float = PATIENCE, pause: float = 0.01) -> float:
    """Return after how many seconds `happens()` was true."""
    began = time.monotonic()
    while not happens():
        assert time.monotonic() - began < seconds, f"it did not happen in {seconds:g} s"
        time.sleep(pause)
    return time.monotonic() - began


def begin(work: Callable[[], T]) -> Future[T]:
    """Start `work` in a thread. The future has what it returns or raises; its `result` takes a timeout."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def run_loop(main: Coroutine[Any, Any, T], seconds: float = PATIENCE) -> T:
    """What a coroutine returns, run in a thread: Playwright leaves a loop running in the main one."""
    return begin(lambda: asyncio.run(asyncio.wait_for(main, seconds))).result(seconds + 10)
