"""A backend whose model is still on its way: it says which one that is and how far it has come, lets requests wait, and
hands all of them over once the weights are there."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from dsvl2_app.backend import pool
from dsvl2_app.backend.backend import Backend
from dsvl2_app.backend.local import LocalBackend, refuse_late
from dsvl2_app.backend.stream import Stream
from dsvl2_app.backend.waiting import Waiting
from dsvl2_app.checkpoints.fetch import fetch, list_files
from dsvl2_app.engine.loading import Prospect, look_ahead
from dsvl2_app.engine.scheduler import Scheduler
from dsvl2_app.errors import AppError, CheckpointError
from dsvl2_app.hub import find_folder
from dsvl2_app.progress import Progress, listening
from dsvl2_app.request import Capabilities, Event, Health, Loading, ModelCard, PromptPlan, Request
from dsvl2_app.settings import Settings
from dsvl2_app.text.planner import Planner
from dsvl2_app.text.prompt import Message

logger = logging.getLogger(__name__)


class LoadingBackend:
    """Once `load` has given the backend that answers, it does what that one does."""

    def __init__(
        self,
        prospect: Prospect,
        load: Callable[[], Backend],
        max_waiting: int = 32,
        max_per_owner: int = 4,
    ) -> None:
        """`load` runs on a thread of its own. Where it fails, `failure` has the reason; requests that wait are told the
        same."""
        self.failure: BaseException | None = None
        self._prospect, self._load = prospect, load
        self._scheduler: Scheduler[Waiting] = Scheduler(0, max_waiting, max_per_owner)
        self._planner = Planner(prospect.processor)
        self._changed = threading.Lock()  # guards all below, and who waits
        self._backend: Backend | None = None
        self._closed = False
        self._progress = Progress("read")
        self._stage_began = time.perf_counter()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._thread.start()

    # -- the protocol -------------------------------------------------------------------------------------------

    @property
    def card(self) -> ModelCard:
        return self._backend.card if self._backend else self._prospect.card

    @property
    def capabilities(self) -> Capabilities:
        return self._backend.capabilities if self._backend else LocalBackend.capabilities

    def plan(self, messages: list[Message], tiling: bool | None = None, max_tiles: int | None = None) -> PromptPlan:
        if self._backend:
            return self._backend.plan(messages, tiling, max_tiles)
        return self._planner.plan(messages, tiling, max_tiles, self.card.context)

    def submit(self, request: Request) -> Stream:
        return self._begin(request.owner, lambda backend: backend.submit(request))

    def inspect(self, request: Request, answer_ids: Sequence[int]) -> Stream:
        return self._begin(request.owner, lambda backend: backend.inspect(request, answer_ids))

    def health(self) -> Health:
        with self._changed:
            if self._backend:
                return self._backend.health()
            self._drop_cancelled()
            waiting, told = len(self._scheduler.waiting), self._progress
            seconds = time.perf_counter() - self._stage_began
            loading = Loading(told.stage, told.done, told.total, seconds)
            accepting = not self._closed and waiting < self._scheduler.max_waiting
            return Health(self.failure is None, 0, waiting, 0.0, accepting, loading)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            waiting = self._scheduler.take_out()
        for each in waiting:
            each.end()
        if self._backend:
            self._backend.close()

    # -- until then ---------------------------------------------------------------------------------------------

    def wait(self, seconds: float | None = None) -> bool:
        """Whether the model is there, after so long at most; what went wrong is raised."""
        self._thread.join(seconds)
        self.raise_failure()
        return self._backend is not None

    def raise_failure(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _begin(self, owner: str, submit: Callable[[Backend], Stream]) -> Stream:
        with self._changed:
            if self._backend is None:
                if self._closed or self.failure is not None:
                    raise refuse_late()
                self._drop_cancelled()
                waiting = Waiting(owner, submit)
                self._scheduler.enqueue(waiting)
                place = len(self._scheduler.waiting)
                waiting.stream.put(Event("queued", done=place, total=place))
                return waiting.stream
        return submit(self._backend)

    def _drop_cancelled(self) -> None:
        self._scheduler.take_out(lambda each: each.stream.is_cancelled)

    def _hear(self, told: Progress) -> None:
        with self._changed:
            if told.stage != self._progress.stage or not self._progress.total:
                self._stage_began = time.perf_counter()
            self._progress = told

    def _run(self) -> None:
        try:
            with listening(self._hear):
                backend = self._load()
        except BaseException as error:
            self._fail(error)
            return
        with self._changed:
            self._drop_cancelled()
            closed, waiting = self._closed, self._scheduler.take_out()
            if not closed:
                for each in waiting:
                    each.begin(backend)
                self._backend = backend
        if closed:
            backend.close()

    def _fail(self, error: BaseException) -> None:
        if not isinstance(error, AppError):
            logger.critical("the model could not be loaded", exc_info=error)
        with self._changed:
            self.failure = error
            waiting = self._scheduler.take_out()
        for each in waiting:
            each.stream.end(error if isinstance(error, AppError) else refuse_late())


def load(settings: Settings) -> LoadingBackend:
    """At once, with configuration and tokenizer alone. Raises CheckpointError or SettingsError for what is wrong with
    these; whatever is wrong with the weights comes later."""
    prospect = look_ahead(settings)
    limits = settings.max_queue, settings.max_per_owner
    return LoadingBackend(prospect, partial(_load_weights, settings, prospect), *limits)


def _load_weights(settings: Settings, prospect: Prospect) -> Backend:
    source = prospect.source
    if isinstance(source, str) and not Path(source).exists():
        try:
            find_folder(source, local_files_only=True)
        except CheckpointError:  # not all of it is here
            fetch(list_files(source))
    return pool.load(settings, prospect)
