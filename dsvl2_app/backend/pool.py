"""Copies of one model behind one queue, each on a device of its own: `--devices cuda:0,cuda:1`.

Requests wait here, where turns are fair and limits are counted over all copies; the least busy copy with room takes the
next one. Keys and values of earlier turns lie where the last answer was written, so of equally busy copies it is that.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from dsvl2_app.backend import local
from dsvl2_app.backend.backend import Backend
from dsvl2_app.backend.local import LocalBackend, refuse_dead, refuse_late
from dsvl2_app.backend.stream import Stream
from dsvl2_app.backend.waiting import Waiting
from dsvl2_app.engine.loading import Prospect, load_engine
from dsvl2_app.engine.scheduler import Scheduler
from dsvl2_app.errors import EngineDeadError
from dsvl2_app.request import Capabilities, Event, Health, ModelCard, PromptPlan, Request
from dsvl2_app.runtime.devices import choose_device
from dsvl2_app.settings import Settings
from dsvl2_app.text.prompt import Message

logger = logging.getLogger(__name__)

REMEMBERED = 4096  # owners, and which copy answered each last


class PoolBackend:
    """Does what each of its copies does; one that dies is asked no more."""

    capabilities = Capabilities(grammar=True, inspection=True)

    def __init__(self, copies: Sequence[LocalBackend], max_waiting: int = 32, max_per_owner: int = 4) -> None:
        """Limits are those of `LocalBackend`, over all copies; the copies' own must be no lower."""
        self.copies = tuple(copies)
        self.card: ModelCard = copies[0].card
        room = sum(copy.max_active for copy in copies)
        self._scheduler: Scheduler[Waiting] = Scheduler(room, max_waiting, max_per_owner)
        self._changed = threading.Lock()  # guards all below, and who waits; a copy's own lock is never taken under it
        self._busy = dict.fromkeys(self.copies, 0)  # of the living: answers that each writes
        self._last: dict[str, LocalBackend] = {}  # owner -> the copy that answered last, the latest owner last
        self._closed = False

    def plan(self, messages: list[Message], tiling: bool | None = None, max_tiles: int | None = None) -> PromptPlan:
        return self.copies[0].plan(messages, tiling, max_tiles)

    def submit(self, request: Request) -> Stream:
        return self._enqueue(request.owner, lambda copy: copy.submit(request))

    def inspect(self, request: Request, answer_ids: Sequence[int]) -> Stream:
        return self._enqueue(request.owner, lambda copy: copy.inspect(request, answer_ids))

    def health(self) -> Health:
        each = [copy.health() for copy in self.copies]
        memory = {name: sum(health.memory.get(name, 0) for health in each) for health in each for name in health.memory}
        with self._changed:
            self._drop_cancelled()
            running, waiting = len(self._scheduler.running), len(self._scheduler.waiting)
            alive = any(health.alive for health in each) and not self._closed
            accepting = alive and waiting < self._scheduler.max_waiting
        return Health(alive, running, waiting, max(health.seconds for health in each), accepting, memory=memory)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            waiting = self._scheduler.take_out()
        for each in waiting:
            each.end()
        with ThreadPoolExecutor(len(self.copies)) as threads:
            list(threads.map(LocalBackend.close, self.copies))

    def _enqueue(self, owner: str, submit: Callable[[Backend], Stream]) -> Stream:
        waiting = Waiting(owner, submit)
        with self._changed:
            if self._closed:
                raise refuse_late()
            if not self._busy:
                raise refuse_dead()
            self._drop_cancelled()
            self._scheduler.enqueue(waiting)
            place = len(self._scheduler.waiting)
            waiting.stream.put(Event("queued", done=place, total=place))
        self._admit()
        return waiting.stream

    def _admit(self) -> None:
        """Hand on whoever waits while a copy has room; tell those that stay their new places."""
        with self._changed:
            self._drop_cancelled()
            admitted = [(each, self._choose(each.owner)) for each in self._scheduler.admit()]
            waiting = self._scheduler.waiting
            for place, each in enumerate(waiting if admitted else (), start=1):
                each.stream.put(Event("queued", done=place, total=len(waiting)))
        for each, copy in admitted:
            each.begin(copy, partial(self._end, each, copy))

    def _choose(self, owner: str) -> LocalBackend:
        """The copy that answers next; it is counted."""
        last = self._last.pop(owner, None) if owner else None
        copy = min(self._busy, key=lambda copy: (self._busy[copy], copy is not last))
        self._busy[copy] += 1
        if owner:
            self._last[owner] = copy
            if len(self._last) > REMEMBERED:
                del self._last[next(iter(self._last))]
        return copy

    def _end(self, waiting: Waiting, copy: LocalBackend, error: BaseException | None) -> None:
        with self._changed:
            self._scheduler.end(waiting)
            if copy in self._busy:
                self._busy[copy] -= 1
                if isinstance(error, EngineDeadError):
                    self._bury(copy)
            lost = [] if self._busy else self._scheduler.take_out()
        for each in lost:
            each.stream.end(refuse_dead())
        if not self._closed and not lost:
            self._admit()

    def _bury(self, copy: LocalBackend) -> None:
        del self._busy[copy]
        self._scheduler.max_running -= copy.max_active
        logger.critical("a copy of the model has stopped working; %d are left", len(self._busy))

    def _drop_cancelled(self) -> None:
        self._scheduler.take_out(lambda each: each.stream.is_cancelled)


def load(settings: Settings, prospect: Prospect | None = None) -> LocalBackend | PoolBackend:
    """The model that the settings name, on its device or a copy on each of several. `prospect` is what `look_ahead`
    gave, if it was asked. Raises CheckpointError or SettingsError."""
    if not settings.devices:
        return local.start(load_engine(settings, prospect), settings)
    copies: list[LocalBackend] = []
    try:
        for name in settings.devices:
            here = replace(settings, device=name, devices=())
            there = prospect and replace(prospect, device=choose_device(name))
            copies.append(local.start(load_engine(here, there), settings))
    except BaseException:
        for copy in copies:
            copy.close()
        raise
    pool = PoolBackend(copies, max_waiting=settings.max_queue, max_per_owner=settings.max_per_owner)
    pool.card = replace(pool.card, device=", ".join(settings.devices))
    return pool
