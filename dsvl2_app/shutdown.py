"""The end of `serve`: how a signal is told from another, and what closes within a time that somebody waits for."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

RESERVE = 2.0  # seconds of the grace that closing may take, of a short grace half


class Terminated(KeyboardInterrupt):
    """SIGTERM, with which a container or a service is stopped. Like Ctrl-C, but answers may end."""


def raise_terminated() -> Callable[[], None]:
    """From now on SIGTERM raises Terminated in the main thread. What is returned raises it again: where the signal
    comes within a finaliser, Python prints what was raised and goes on."""
    came = threading.Event()

    def terminate(*_: Any) -> NoReturn:
        came.set()
        raise Terminated

    def raise_again() -> None:
        if came.is_set():
            raise Terminated

    signal.signal(signal.SIGTERM, terminate)
    return raise_again


def answering_time(grace: float) -> float:
    """Of the seconds until the process has to be gone, those that answers may take."""
    return grace - min(RESERVE, grace / 2)


def close_within(close: Callable[[], Any], seconds: float) -> bool:
    """Call `close` and wait so long at most: what it waits for may be stuck. Whether it has ended."""
    thread = threading.Thread(target=close, name="close", daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


def leave(status: int) -> NoReturn:
    """End the process. Python's own end would wait for work in pools of threads, such as the reading of a picture, and
    for much that a process frees by itself."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # it may be closed, or missing
            stream.flush()
    os._exit(status)
