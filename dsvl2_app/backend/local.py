"""The engine of this process as a backend: one thread owns the engine and answers everybody.

Answers are tasks of many pieces, so several are served at once. In every round all that write take one token together,
in one step of the model; then one of the others does one piece of its work, a batch of tiles or a chunk of its prompt.
So nobody's stream waits for longer than one piece of somebody else's.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from dsvl2_app.backend.answer import Answer
from dsvl2_app.backend.stream import Stream
from dsvl2_app.engine.engine import Engine
from dsvl2_app.engine.inspection import serve_inspection
from dsvl2_app.engine.scheduler import Scheduler
from dsvl2_app.engine.task import Task
from dsvl2_app.errors import AppError, BusyError, EngineDeadError
from dsvl2_app.request import Capabilities, Event, Health, ModelCard, PromptPlan, Request
from dsvl2_app.settings import Settings
from dsvl2_app.text.prompt import Message

logger = logging.getLogger(__name__)

T = TypeVar("T")


class LocalBackend:
    """Every method may be called from any thread; the engine is touched by this backend's own thread alone, but for
    `plan`, which needs no model."""

    capabilities = Capabilities(grammar=True, inspection=True)

    def __init__(
        self,
        engine: Engine,
        max_active: int = 16,
        max_waiting: int = 32,
        max_per_owner: int = 4,
        max_seconds: float = 0,
    ) -> None:
        """At most `max_active` answers are served at once and `max_waiting` more may wait, of which `max_per_owner` of
        each kind may have the same owner. One that has run for `max_seconds` ends; 0: none does."""
        self._max_seconds = max_seconds
        self.card: ModelCard = engine.card
        self._engine = engine
        self.max_active = min(max_active, engine.max_batch or max_active)
        self._scheduler: Scheduler[Answer] = Scheduler(self.max_active, max_waiting, max_per_owner)
        self._jobs: deque[tuple[Callable[[Engine], Any], Future[Any]]] = deque()
        self._changed = threading.Condition()  # guards the jobs, the refusal, and those who wait
        self._refuse: Callable[[], AppError] | None = None  # why nothing is taken any more
        self._warms_up = True  # until that fails
        self._progressed = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    # -- for callers, in any thread -----------------------------------------------------------------------------

    def submit(self, request: Request) -> Stream:
        return self._enqueue(request.owner, self._engine.serve(request, self._is_alone))

    def inspect(self, request: Request, answer_ids: Sequence[int]) -> Stream:
        return self._enqueue(request.owner, serve_inspection(self._engine, request, list(answer_ids)))

    def plan(self, messages: list[Message], tiling: bool | None = None, max_tiles: int | None = None) -> PromptPlan:
        return self._engine.plan(messages, tiling, max_tiles)

    def call(self, job: Callable[[Engine], T]) -> T:
        """The result of `job(engine)`, which runs on the engine's thread while everybody else waits: for measuring,
        and no part of the protocol. Raises BusyError or EngineDeadError when nothing is run any more."""
        future: Future[T] = Future()
        with self._changed:
            self._raise_if_refusing()
            self._jobs.append((job, future))
            self._changed.notify()
        return future.result()

    def health(self) -> Health:
        with self._changed:
            running, waiting = len(self._scheduler.running), len(self._scheduler.waiting)
            seconds = time.monotonic() - self._progressed if running or waiting else 0.0
            alive = self._thread.is_alive() and self._refuse is None
            accepting = alive and waiting < self._scheduler.max_waiting
            return Health(alive, running, waiting, seconds, accepting, memory=self._engine.count_memory())

    def close(self) -> None:
        """Finish nothing more: running and waiting answers end as cancelled."""
        with self._changed:
            self._refuse = self._refuse or refuse_late
            self._changed.notify()
        self._thread.join()

    def _enqueue(self, owner: str, task: Task) -> Stream:
        stream = Stream(self._wake)
        with self._changed:
            self._raise_if_refusing()
            self._drop_cancelled()
            self._scheduler.enqueue(Answer(owner, stream, task, self._wake, self._max_seconds))
            place = len(self._scheduler.waiting)
            stream.put(Event("queued", done=place, total=place))
            self._changed.notify()
        return stream

    def _raise_if_refusing(self) -> None:
        if self._refuse:
            raise self._refuse()

    def _is_alone(self) -> bool:
        return len(self._scheduler.running) <= 1

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify()

    # -- the engine's thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        """Serve until closed. Whatever ends the thread otherwise is told to all who would wait for it for ever."""
        try:
            while self._await_work():
                self._progressed = time.monotonic()
                self._run_jobs()
                self._admit()
                self._write()
                self._work()
        except BaseException:
            logger.critical("the engine's thread has ended", exc_info=True)
            self._refuse = refuse_dead
        with self._changed:
            assert self._refuse
            error = self._refuse()
            answers, jobs = [*self._scheduler.running, *self._scheduler.take_out()], [*self._jobs]
            self._scheduler.running.clear()
            self._jobs.clear()
        for answer in answers:  # whose readers may ask another backend now, which has a lock too
            answer.end(error)
        for _, future in jobs:
            future.set_exception(error)

    def _await_work(self) -> bool:
        """Sleep until there is something to do; False when the backend is closing."""
        while self._is_idle() and self._warm_up():
            pass
        with self._changed:
            self._drop_cancelled()
            while not (self._refuse or self._jobs or self._can_go_on()):
                self._changed.wait()
                self._drop_cancelled()
            return self._refuse is None

    def _is_idle(self) -> bool:
        with self._changed:
            return not (self._refuse or self._jobs or self._scheduler.running or self._scheduler.waiting)

    def _warm_up(self) -> bool:
        """Whether the engine has used the time to make something ready that answers will need."""
        try:
            return self._warms_up and self._engine.warm_up()
        except Exception as error:  # it is tried again when it is needed
            self._warms_up = False
            logger.warning("Not everything could be made ready beforehand: %s", error)
            return False

    def _can_go_on(self) -> bool:
        return any(answer.can_go_on for answer in self._scheduler.running) or self._scheduler.choose() is not None

    def _run_jobs(self) -> None:
        while self._jobs:
            job, future = self._jobs.popleft()
            try:
                future.set_result(job(self._engine))
            except Exception as error:  # it belongs to who called
                future.set_exception(error)
            except BaseException:
                self._jobs.appendleft((job, future))
                raise

    def _admit(self) -> None:
        """Begin waiting requests while there is room; tell those that stay their new places."""
        with self._changed:
            admitted, waiting = self._scheduler.admit(), self._scheduler.waiting
            for answer in admitted:
                answer.start()
            for place, answer in enumerate(waiting if admitted else (), start=1):
                answer.stream.put(Event("queued", done=place, total=len(waiting)))

    def _write(self) -> None:
        """One token for every answer that has come so far."""
        running = self._scheduler.running
        self._advance([answer for answer in running if answer.writes or answer.stream.is_cancelled])
        decoding = {answer: answer.task.request for answer in running if answer.task.request is not None}
        if not decoding:
            return
        self._advance(decoding, self._engine.decode_each([*decoding.values()]))

    def _work(self) -> None:
        """One piece of vision or prefill, of the answer whose turn it is."""
        answer = self._scheduler.take_turn(
            lambda answer: answer.can_go_on and not answer.writes and answer.task.request is None,
            lambda answer: answer.remaining,
        )
        if answer is not None:
            self._advance([answer])

    def _advance(self, answers: Iterable[Answer], replies: Iterable[Any] = ()) -> None:
        replies = iter(replies)
        for answer in answers:
            if not answer.advance(next(replies, None)):
                with self._changed:
                    self._scheduler.end(answer)

    def _drop_cancelled(self) -> None:
        """Waiting requests that were cancelled end now and keep nobody from their places."""
        for answer in self._scheduler.take_out(lambda answer: answer.stream.is_cancelled):
            answer.advance()


def refuse_late() -> AppError:
    return BusyError("The model is shutting down; start the app again to ask more.")


def refuse_dead() -> AppError:
    return EngineDeadError("The model has stopped working; start the app again.")


def start(engine: Engine, settings: Settings) -> LocalBackend:
    """A backend with the limits that the settings name."""
    return LocalBackend(
        engine,
        max_waiting=settings.max_queue,
        max_per_owner=settings.max_per_owner,
        max_seconds=settings.max_seconds,
    )
