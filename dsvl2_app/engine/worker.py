"""One thread owns the engine; any number of callers submit requests and iterate over their answers' steps.

Answers are generators, so several are served at once by taking one step of each in turn: nobody waits for longer
than one token, one prefill chunk or one batch of tiles of somebody else.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import TracebackType

from dsvl2_app.engine.engine import Engine
from dsvl2_app.engine.loading import load_engine
from dsvl2_app.engine.request import ModelCard, PromptPlan, Request, Step, Timings
from dsvl2_app.errors import AppError, BusyError
from dsvl2_app.settings import Settings
from dsvl2_app.text.prompt import Message

logger = logging.getLogger(__name__)


class Stream:
    """The steps of one answer as they come. Iterating raises what went wrong with this request.

    As a context manager it cancels on leaving, so that a reader who goes away stops the work.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.submitted = time.perf_counter()
        self._events: queue.SimpleQueue[Step | BaseException | None] = queue.SimpleQueue()
        self._cancelled = threading.Event()
        self._ended = False

    def __iter__(self) -> Iterator[Step]:
        while not self._ended:
            event = self._events.get()
            self._ended = not isinstance(event, Step)
            if isinstance(event, BaseException):
                raise event
            if event is not None:
                yield event

    def cancel(self) -> None:
        """Stop before the next token; the stream then ends with a step whose `finish` is "cancelled"."""
        self._cancelled.set()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()


class Worker:
    def __init__(self, engine: Engine, max_active: int = 4, max_waiting: int = 32) -> None:
        self.card: ModelCard = engine.card
        self._engine = engine
        self._max_active, self._max_waiting = max_active, max_waiting
        self._waiting: deque[Stream] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="worker", daemon=True)
        self._thread.start()

    @classmethod
    def load(cls, settings: Settings) -> Worker:
        """Load the model that the settings name. Raises CheckpointError or SettingsError."""
        return cls(load_engine(settings), max_waiting=settings.max_queue)

    def submit(self, request: Request) -> Stream:
        """Queue a request. Raises BusyError when too many are waiting or the worker is closed."""
        stream = Stream(request)
        with self._changed:
            if self._closing:
                raise BusyError("The model is shutting down; start the app again to ask more.")
            self._drop_cancelled()
            if len(self._waiting) >= self._max_waiting:
                raise BusyError(f"{len(self._waiting)} requests are already waiting; try again in a moment.")
            self._waiting.append(stream)
            stream._events.put(Step("queued", done=len(self._waiting), total=len(self._waiting)))
            self._changed.notify()
        return stream

    def plan(self, messages: list[Message], tiling: bool | None = None, max_tiles: int | None = None) -> PromptPlan:
        """What a conversation would cost. Raises PromptError or ImageError."""
        return self._engine.plan(messages, tiling, max_tiles)

    def close(self) -> None:
        """Finish nothing more: running and waiting answers end as cancelled."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _serve(self) -> None:
        active: deque[_Answer] = deque()
        while True:
            active += self._admit(room=self._max_active - len(active), block=not active)
            if self._closing:
                break
            if active:
                answer = active.popleft()
                if answer.advance():
                    active.append(answer)
        for answer in (*active, *map(self._start, self._waiting)):
            answer.stream.cancel()
            answer.advance()

    def _admit(self, room: int, block: bool) -> list[_Answer]:
        """Waiting requests that may begin; tells those behind them their new places."""
        with self._changed:
            self._drop_cancelled()
            while block and not self._waiting and not self._closing:
                self._changed.wait()
            if self._closing or not self._waiting or not room:
                return []
            admitted = [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]
            for place, stream in enumerate(self._waiting, start=1):
                stream._events.put(Step("queued", done=place, total=len(self._waiting)))
        return [self._start(stream) for stream in admitted]

    def _drop_cancelled(self) -> None:
        """Who went away while waiting takes nobody's place."""
        for stream in [stream for stream in self._waiting if stream._cancelled.is_set()]:
            self._waiting.remove(stream)
            self._start(stream).advance()

    def _start(self, stream: Stream) -> _Answer:
        return _Answer(stream, self._engine.answer)


class _Answer:
    """A stream and the generator that feeds it."""

    def __init__(self, stream: Stream, answer: Callable[[Request], Iterator[Step]]) -> None:
        self.stream = stream
        self.answer = answer
        self.steps: Iterator[Step] | None = None
        self.queued = time.perf_counter() - stream.submitted
        self.timings = Timings(queued=self.queued)

    def advance(self) -> bool:
        """Take one step and hand it over; False when there will be no more."""
        events = self.stream._events
        if self.stream._cancelled.is_set():
            if self.steps is not None:
                self.steps.close()
            events.put(Step("done", finish="cancelled", timings=self.timings))
            events.put(None)
            return False
        try:
            self.steps = self.steps or self.answer(self.stream.request)
            step = next(self.steps)
        except StopIteration:
            events.put(None)
            return False
        except Exception as error:  # whatever it is, it belongs to this caller and to nobody else
            if not isinstance(error, AppError):
                logger.exception("a request failed")
            events.put(error)
            return False
        self.timings = replace(step.timings, queued=self.queued)
        events.put(replace(step, timings=self.timings))
        return True
