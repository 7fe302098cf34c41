"""What runs on ZeroGPU: one request after the other in a process that holds a GPU, without threads, graphs or kernels
that have to be built.

The process is forked from the one that serves the page. It keeps its engine, and with it what the engine's caches hold,
for as long as it is given requests.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor, Future
from typing import Any

import torch

from dsvl2_app.engine.engine import Engine
from dsvl2_app.engine.inspection import serve_inspection
from dsvl2_app.errors import AppError
from dsvl2_app.request import Event, Request

# None: the GPU is there and the work begins. An AppError is the last.
Item = Event | AppError | None


class AtOnce(Executor):
    """Does what it is given at once, in the thread that gives it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # whoever asks for the result gets it
            future.set_exception(error)
        return future


class Call:
    """The function that a GPU is wanted for. One request at a time in a process."""

    def __init__(self, make_engine: Callable[[], Engine]) -> None:
        """`make_engine` is called in the process that serves, and never touches the GPU before."""
        self._make_engine = make_engine
        self._process = os.getpid()
        self._engine: Engine | None = None
        self._made_in = 0

    def serve(self, request: Request, answer_ids: Sequence[int] | None = None) -> Generator[Item, None, None]:
        """The events of an answer, or with `answer_ids` of the inspection of that one. Whatever goes in and comes out
        can be pickled. Closing it stops the work."""
        yield None
        engine = self._find_engine()
        task = engine.serve(request) if answer_ids is None else serve_inspection(engine, request, answer_ids)
        try:
            yield from task.run(engine.decode)
        except AppError as error:  # of any other `spaces` would hand on the name of its class alone
            yield error

    def _find_engine(self) -> Engine:
        """That of this process: locks and threads of the one that it was forked from are of no use here."""
        if self._engine is None or self._made_in != os.getpid():
            if os.getpid() != self._process:
                torch.set_num_threads(1)  # OpenMP's threads are not forked, and a region of several would wait for them
            self._engine, self._made_in = self._make_engine(), os.getpid()
        return self._engine
