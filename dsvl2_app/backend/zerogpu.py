"""A model on ZeroGPU: a Space has no GPU of its own there, but gets one for each call of a function that the package
`spaces` decorates, in a process forked for it.

An answer is such a call (`zerogpu_call`). `spaces` asks the service for a GPU in the name of the visitor, waits in its
queue, and hands over what the call yields; here a thread for each call puts that on the stream. Where ZeroGPU is not,
the decorator does nothing: calls run in this process, one after the other.

`spaces` is imported before anything else that could ask for a GPU, because it lets torch pretend that there is one:
in the thread that imports it, tensors go to "cuda" in name and into memory in fact, until a call moves them.
"""

from __future__ import annotations

# isort: off
from dsvl2_app.errors import AppError, BusyError, ServerError, SettingsError

try:
    import spaces
except ImportError as missing:
    raise SettingsError(
        "--backend zerogpu needs a package that is not installed; run: pip install spaces."
    ) from missing
# isort: on

import logging
import os
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, nullcontext
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch

from dsvl2_app.backend import is_zerogpu
from dsvl2_app.backend.local import refuse_late
from dsvl2_app.backend.stream import Stream
from dsvl2_app.backend.zerogpu_call import AtOnce, Call, Item
from dsvl2_app.backend.zerogpu_seconds import Estimate
from dsvl2_app.engine.engine import Engine
from dsvl2_app.engine.inspection import ROWS
from dsvl2_app.engine.loading import MEBIBYTE, Prospect, load_model, look_ahead
from dsvl2_app.engine.scheduler import Scheduler
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.request import Capabilities, Event, Health, ModelCard, PromptPlan, Request, Timings
from dsvl2_app.runtime.devices import choose_device_map
from dsvl2_app.runtime.eager import EagerRunner
from dsvl2_app.settings import Settings
from dsvl2_app.text.planner import Planner
from dsvl2_app.text.prompt import Message

logger = logging.getLogger(__name__)

# By the titles of its errors.
REFUSALS: dict[str, Callable[[], AppError]] = {
    "ZeroGPU quota exceeded": lambda: BusyError(
        "Your GPU time on Hugging Face does not suffice for this answer; log in there for more of it, let the answer "
        "have fewer tokens, or try again later."
    ),
    "ZeroGPU pending credits exceeded": lambda: BusyError(
        "Answers that are being written hold all of your GPU time; let one of them end first."
    ),
    "ZeroGPU illegal duration": lambda: SettingsError(
        "The answer may need a GPU for longer than ZeroGPU lends one; let it have fewer tokens."
    ),
    "ZeroGPU queue timeout": lambda: BusyError("No GPU was free for a minute; try again."),
    "ZeroGPU client error": lambda: BusyError("ZeroGPU had no GPU to lend; reload the page and try again."),
    "ZeroGPU worker error": lambda: report_early_end(),
}


@dataclass(eq=False)
class Asked:
    """A request on its way: waiting for a GPU until it has begun."""

    request: Request
    answer_ids: tuple[int, ...] | None  # of the answer to look into
    stream: Stream = field(init=False)
    submitted: float = field(default_factory=time.perf_counter)
    began: float | None = None
    timings: Timings = field(default_factory=Timings)  # of its last event

    def __post_init__(self) -> None:
        self.stream = Stream(self._cancel)

    @property
    def owner(self) -> str:
        return self.request.owner

    def put(self, event: Event) -> None:
        assert self.began is not None
        self.timings = replace(event.timings, queued=self.began - self.submitted)
        self.stream.put(replace(event, timings=self.timings))

    def _cancel(self) -> None:
        """The reader is told at once, the GPU's process when it yields next."""
        self.stream.put(Event("done", finish="cancelled", timings=self.timings))
        self.stream.end()


class ZeroGpuBackend:
    """Every method may be called from any thread."""

    capabilities = Capabilities(grammar=True, inspection=True)

    def __init__(
        self,
        prospect: Prospect,
        call: Call,
        estimate: Estimate,
        max_waiting: int = 32,
        max_per_owner: int = 4,
    ) -> None:
        """At most `max_waiting` requests may wait for a GPU, `max_per_owner` of the same owner. Who is next, and how
        many run, is the service's matter."""
        self.card: ModelCard = prospect.card
        self.estimate = estimate
        self._planner = Planner(prospect.processor)
        self._call = spaces.GPU(call.serve, duration=self.count_seconds)
        self._turn: Any = nullcontext() if is_zerogpu() else threading.Lock()
        self._changed = threading.Lock()  # guards all below
        self._scheduler: Scheduler[Asked] = Scheduler(0, max_waiting, max_per_owner)
        self._progressed = time.monotonic()
        self._closed = False

    def plan(self, messages: list[Message], tiling: bool | None = None, max_tiles: int | None = None) -> PromptPlan:
        return self._planner.plan(messages, tiling, max_tiles, self.card.context)

    def submit(self, request: Request) -> Stream:
        return self._begin(Asked(request, None))

    def inspect(self, request: Request, answer_ids: Sequence[int]) -> Stream:
        return self._begin(Asked(request, tuple(answer_ids)))

    def health(self) -> Health:
        with self._changed:
            self._drop_cancelled()
            running, waiting = len(self._scheduler.running), len(self._scheduler.waiting)
            seconds = time.monotonic() - self._progressed if running else 0.0
            accepting = not self._closed and waiting < self._scheduler.max_waiting
            return Health(not self._closed, running, waiting, seconds, accepting)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            left = [*self._scheduler.running, *self._scheduler.waiting]
        for asked in left:
            asked.stream.cancel()

    def count_seconds(self, request: Request, answer_ids: Sequence[int] | None = None) -> int:
        """What to ask for; `spaces` calls it with the arguments of the call. Raises as `plan` does."""
        plan = self.plan(request.messages, request.tiling, request.max_tiles)
        if answer_ids is None:
            return self.estimate.answer(plan, request.sampling.max_new_tokens)
        return self.estimate.inspection(plan, len(answer_ids), ROWS)

    # -- a thread for each call ---------------------------------------------------------------------------------

    def _begin(self, asked: Asked) -> Stream:
        with self._changed:
            if self._closed:
                raise refuse_late()
            self._drop_cancelled()
            self._scheduler.enqueue(asked)
            place = len(self._scheduler.waiting)
            asked.stream.put(Event("queued", done=place, total=place))
        # In the caller's context, where `spaces` finds the visitor's request, whose quota is used.
        run = partial(copy_context().run, self._write, asked)
        threading.Thread(target=run, name="zerogpu", daemon=True).start()
        return asked.stream

    def _write(self, asked: Asked) -> None:
        try:
            with self._turn, closing(self._call(asked.request, asked.answer_ids)) as items:
                self._hand_over(asked, items)
        except Exception as error:
            failure = explain(error)
            if not isinstance(failure, AppError) and not asked.stream.is_cancelled:
                logger.exception("a request failed")
            asked.stream.end(failure)
        finally:
            with self._changed:
                for those in (self._scheduler.running, self._scheduler.waiting):
                    if asked in those:
                        those.remove(asked)

    def _hand_over(self, asked: Asked, items: Generator[Item, None, None]) -> None:
        if asked.stream.is_cancelled:  # while others had their turn
            return
        finished = False
        for item in items:
            if asked.stream.is_cancelled:
                return
            self._note_progress(asked)
            if isinstance(item, AppError):
                raise item
            if item is not None:
                finished = item.finish is not None
                asked.put(item)
        if not finished:
            raise report_early_end()
        asked.stream.end()

    def _note_progress(self, asked: Asked) -> None:
        with self._changed:
            self._progressed = time.monotonic()
            if asked.began is None:
                asked.began = time.perf_counter()
                self._scheduler.take_out(lambda each: each is asked)
                self._scheduler.running.append(asked)

    def _drop_cancelled(self) -> None:
        """Their threads still wait for a GPU, but keep nobody from waiting."""
        self._scheduler.take_out(lambda each: each.stream.is_cancelled)


def explain(error: Exception) -> Exception:
    """An error of `spaces`, which it knows by its title, in one sentence of ours; any other as it is."""
    refuse = REFUSALS.get(getattr(error, "title", ""))
    return refuse() if refuse else error


def report_early_end() -> AppError:
    return ServerError("The GPU was taken away before the answer had ended, or its process failed; try again.")


def load(settings: Settings) -> ZeroGpuBackend:
    """The model with its weights, on "cuda" where ZeroGPU moves them from; to be called in the thread that imported
    this module. Raises CheckpointError or SettingsError."""
    if settings.compile == "on":
        raise SettingsError("--backend zerogpu builds no kernels; leave --compile out.")
    if settings.threads:
        torch.set_num_threads(settings.threads)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # whose threads are not forked
    prospect = look_ahead(settings)
    if is_zerogpu():
        model = load_model(settings, prospect, "cpu")
        model.to(prospect.device)  # pyright: ignore[reportArgumentType]
    else:
        model = load_model(settings, prospect, choose_device_map(settings.device, prospect.device))
    estimate = Estimate(
        weights=sum(parameter.nbytes for parameter in model.parameters()),
        layers=model.config.language_config.num_hidden_layers,
        chunk=EagerRunner.prefill_chunk,
        limit=settings.gpu_seconds,
    )
    call = Call(partial(_make_engine, settings, prospect, model))
    return ZeroGpuBackend(prospect, call, estimate, settings.max_queue, settings.max_per_owner)


def _make_engine(settings: Settings, prospect: Prospect, model: DeepseekVL2ForConditionalGeneration) -> Engine:
    return Engine(
        EagerRunner(model),
        prospect.processor,
        prospect.card,
        vocabulary=prospect.vocabulary,
        cache_bytes=settings.cache_mb * MEBIBYTE,
        threads=AtOnce(),
    )
