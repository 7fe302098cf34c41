"""One thread owns the engine; any number of callers submit requests and iterate over their answers' steps.

Answers are generators, so several are served at once. In every round all that write take one token together, in one
step of the model; then one of the others does one piece of its work, a batch of tiles or a chunk of its prompt. So
nobody's stream waits for longer than one piece of somebody else's.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from types import TracebackType
from typing import Any, TypeVar

from torch import Tensor

from dsvl2_app.engine.engine import Engine, Feed, Serving
from dsvl2_app.engine.loading import load_engine
from dsvl2_app.errors import AppError, BusyError
from dsvl2_app.request import Event, ModelCard, PromptPlan, Request, Timings
from dsvl2_app.settings import Settings
from dsvl2_app.text.prompt import Message

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Stream:
    """The steps of one answer as they come. Iterating raises what went wrong with this request.

    As a context manager it cancels on leaving, so that a reader who goes away stops the work.
    """

    def __init__(self, request: Request, wake: Callable[[], None] = lambda: None) -> None:
        """`wake` is called when it is cancelled."""
        self.owner = request.owner
        self._request: Request | None = request  # until it is served, because pictures are large
        self._wake = wake
        self.submitted = time.perf_counter()
        self._events: queue.SimpleQueue[Event | BaseException | None] = queue.SimpleQueue()
        self._cancelled = threading.Event()
        self._ended = False

    def __iter__(self) -> Iterator[Event]:
        while not self._ended:
            event = self._events.get()
            self._ended = not isinstance(event, Event)
            if isinstance(event, BaseException):
                raise event
            if event is not None:
                yield event

    def cancel(self) -> None:
        """Stop before the next token; unless it has ended, the stream then does with a step whose `finish` is
        "cancelled"."""
        self._cancelled.set()
        self._wake()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()


class Worker:
    def __init__(self, engine: Engine, max_active: int = 16, max_waiting: int = 32, max_per_owner: int = 4) -> None:
        """At most `max_active` answers are served at once and `max_waiting` more may wait, of which `max_per_owner` of
        each kind may have the same owner."""
        self.card: ModelCard = engine.card
        self._engine = engine
        self._max_active = min(max_active, getattr(engine, "room", None) or max_active)
        self._max_waiting, self._max_per_owner = max_waiting, max_per_owner
        self._waiting: deque[Stream] = deque()
        self._active: deque[_Answer] = deque()
        self._jobs: deque[tuple[Callable[[Engine], Any], Future[Any]]] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="worker", daemon=True)
        self._thread.start()

    @classmethod
    def load(cls, settings: Settings) -> Worker:
        """Load the model that the settings name. Raises CheckpointError or SettingsError."""
        return cls(load_engine(settings), max_waiting=settings.max_queue)

    def submit(self, request: Request) -> Stream:
        """Queue a request. Raises BusyError when too many are waiting, of all or of its owner, or the worker is
        closed."""
        stream = Stream(request, self._wake)
        with self._changed:
            self._raise_if_closing()
            self._drop_cancelled()
            if len(self._waiting) >= self._max_waiting:
                raise BusyError(
                    "{number} requests are already waiting; try again in a moment.", number=len(self._waiting)
                )
            if request.owner and count_owned(self._waiting, request.owner) >= self._max_per_owner:
                raise BusyError(
                    "{number} of your requests are already waiting; let one of them end first.",
                    number=self._max_per_owner,
                )
            self._waiting.append(stream)
            stream._events.put(Event("queued", done=len(self._waiting), total=len(self._waiting)))
            self._changed.notify()
        return stream

    def plan(self, messages: list[Message], tiling: bool | None = None, max_tiles: int | None = None) -> PromptPlan:
        """What a conversation would cost. Raises PromptError or ImageError."""
        return self._engine.plan(messages, tiling, max_tiles)

    def call(self, job: Callable[[Engine], T]) -> T:
        """The result of `job(engine)`, which runs on the worker's thread while everybody else waits."""
        future: Future[T] = Future()
        with self._changed:
            self._raise_if_closing()
            self._jobs.append((job, future))
            self._changed.notify()
        return future.result()

    def close(self) -> None:
        """Finish nothing more: running and waiting answers end as cancelled."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _raise_if_closing(self) -> None:
        if self._closing:
            raise refuse()

    # -- the worker's thread ----------------------------------------------------------------------------------

    def _serve(self) -> None:
        while self._await_work():
            self._run_jobs()
            self._admit()
            self._write()
            self._work()
        for answer in (*self._active, *map(self._start, self._waiting)):
            answer.stream.cancel()
            answer.advance()
        for _, future in self._jobs:
            future.set_exception(refuse())

    def _await_work(self) -> bool:
        """Sleep until there is something to do; False when the worker is closing."""
        with self._changed:
            self._drop_cancelled()
            while not (
                self._closing or self._jobs or any(answer.can_go_on for answer in self._active) or self._choose()
            ):
                self._changed.wait()
                self._drop_cancelled()
            return not self._closing

    def _run_jobs(self) -> None:
        while self._jobs:
            job, future = self._jobs.popleft()
            try:
                future.set_result(job(self._engine))
            except BaseException as error:  # it belongs to who called
                future.set_exception(error)

    def _admit(self) -> None:
        """Begin waiting requests while there is room, owners with fewer running answers first; tell those that stay
        their new places."""
        with self._changed:
            admitted = 0
            while stream := self._choose():
                self._waiting.remove(stream)
                self._active.append(self._start(stream))
                admitted += 1
            for place, stream in enumerate(self._waiting if admitted else (), start=1):
                stream._events.put(Event("queued", done=place, total=len(self._waiting)))

    def _choose(self) -> Stream | None:
        """Who is served next, if somebody can be: of several with equally few running answers the first."""
        if len(self._active) >= self._max_active:
            return None
        running = {stream: count_owned(self._streams(), stream.owner) for stream in self._waiting}
        may = [stream for stream, count in running.items() if count < self._max_per_owner or not stream.owner]
        return min(may, key=running.__getitem__, default=None)

    def _write(self) -> None:
        """One token for every answer that has come so far."""
        self._advance([answer for answer in self._active if answer.writes or answer.stream._cancelled.is_set()])
        feeding = [answer for answer in self._active if answer.feed is not None]
        if not feeding:
            return
        try:
            rows: Iterable[Tensor | Exception] = self._engine.forward([answer.feed for answer in feeding])
        except Exception as error:  # who was in the step has lost it
            rows = [error] * len(feeding)
        self._advance(feeding, rows)

    def _work(self) -> None:
        """One piece of vision or prefill, of the answer whose turn it is."""
        self._engine.shared = len(self._active) > 1
        for answer in list(self._active):
            if answer.can_go_on and not answer.writes and answer.feed is None:
                self._active.remove(answer)
                self._active.append(answer)
                self._advance([answer])
                break

    def _advance(self, answers: Iterable[_Answer], replies: Iterable[Any] = ()) -> None:
        replies = iter(replies)
        for answer in answers:
            if not answer.advance(next(replies, None)):
                self._active.remove(answer)
            elif answer.future is not None:
                answer.future.add_done_callback(lambda _: self._wake())

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify()

    def _drop_cancelled(self) -> None:
        """Who went away while waiting takes nobody's place."""
        for stream in [stream for stream in self._waiting if stream._cancelled.is_set()]:
            self._waiting.remove(stream)
            self._start(stream).advance()

    def _start(self, stream: Stream) -> _Answer:
        return _Answer(stream, self._engine.serve)

    def _streams(self) -> Iterator[Stream]:
        return (answer.stream for answer in self._active)


def refuse() -> BusyError:
    return BusyError("The model is shutting down; start the app again to ask more.")


def count_owned(streams: Iterable[Stream], owner: str) -> int:
    return sum(stream.owner == owner for stream in streams)


class _Answer:
    """A stream and the generator that feeds it."""

    def __init__(self, stream: Stream, serve: Callable[[Request], Serving]) -> None:
        assert stream._request is not None
        self.stream = stream
        self.request, stream._request = stream._request, None
        self.serve = serve
        self.steps: Serving | None = None
        self.queued = time.perf_counter() - stream.submitted
        self.timings = Timings(queued=self.queued)
        self.feed: Feed | None = None  # wants a token of its fed to the model
        self.future: Future[Any] | None = None  # waits for something else
        self.writes = False  # has just written a token, or its last words

    @property
    def can_go_on(self) -> bool:
        return self.future is None or self.future.done() or self.stream._cancelled.is_set()

    def advance(self, reply: Tensor | Exception | None = None) -> bool:
        """Take one step and hand it over; False when there will be no more. `reply` is what the last one wanted."""
        events = self.stream._events
        if self.stream._cancelled.is_set():
            self.close()
            events.put(Event("done", finish="cancelled", timings=self.timings))
            events.put(None)
            return False
        try:
            if self.steps is None:
                self.steps = iter(self.serve(self.request))
            if isinstance(reply, Exception):
                self.steps.throw(reply)
            item = next(self.steps) if reply is None else self.steps.send(reply)
        except StopIteration:
            events.put(None)
            return False
        except Exception as error:  # whatever it is, it belongs to this caller and to nobody else
            if not isinstance(error, AppError):
                logger.exception("a request failed")
            events.put(error)
            return False
        self.feed = item if isinstance(item, Feed) else None
        self.future = item if isinstance(item, Future) else None
        self.writes = isinstance(item, Event) and item.stage in ("decode", "done")
        if isinstance(item, Event):
            self.timings = replace(item.timings, queued=self.queued)
            events.put(replace(item, timings=self.timings))
        return True

    def close(self) -> None:
        """What goes wrong on the way out is nobody's any more."""
        try:
            if self.steps is not None:
                self.steps.close()
        except Exception:
            logger.exception("a cancelled request failed")
