"""Several pages that are read at once: a step of the model that writes for all takes little longer than for one.

A page begins once the one before it has text, so that the first one has the model to itself until then. One that a busy
backend turns away begins when another has ended.
"""

from __future__ import annotations

from asyncio import Event, Task, create_task, gather, sleep
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import Any

from dsvl2_app.errors import BusyError
from dsvl2_app.ui.events import REFRESH
from dsvl2_app.ui.tabs.documents.reading import Leaf

AT_ONCE = 3  # one less than a visitor's answers that run by default, so that a question in Chat need not wait


async def read_several(
    leaves: Sequence[Leaf],
    read: Callable[[Leaf, Callable[[], None]], Coroutine[Any, Any, None]],
    goes_on: Callable[[], bool],
) -> AsyncGenerator[None]:
    """Read these pages in their order, AT_ONCE of them together; yields when any has grown, once in REFRESH seconds at
    most. `read` reads one page, and calls what it is given whenever that has grown. No page begins after `goes_on` is
    false. Raises what `read` raises, a BusyError where no other page is being read; whatever ends this ends all."""
    grown, waiting, room = Event(), deque(leaves), AT_ONCE
    running: dict[Task[None], Leaf] = {}
    try:
        while True:
            has_room = len(running) < room and all(leaf.text for leaf in running.values())
            if waiting and has_room and goes_on():
                leaf = waiting.popleft()
                leaf.text, task = "", create_task(read(leaf, grown.set))
                task.add_done_callback(lambda _: grown.set())
                running[task] = leaf
            if not running:
                return
            await grown.wait()
            grown.clear()
            is_alone = len(running) == 1
            for task in [task for task in reversed(running) if task.done()]:
                leaf = running.pop(task)
                try:
                    task.result()
                except BusyError:
                    if is_alone:
                        raise
                    waiting.appendleft(leaf)
                    room = max(1, len(running))
            yield
            await sleep(REFRESH)
    finally:
        for task in running:
            task.cancel()
        await gather(*running, return_exceptions=True)
