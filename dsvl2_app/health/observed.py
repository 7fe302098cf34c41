"""A backend whose requests are watched by others: by the figures for Prometheus, by the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, Protocol

from dsvl2_app.backend import Backend, Stream
from dsvl2_app.backend.stream import Observer
from dsvl2_app.errors import AppError
from dsvl2_app.request import Capabilities, Health, ModelCard, PromptPlan, Request
from dsvl2_app.text.prompt import Message

Kind = Literal["answer", "inspection"]


class Watcher(Protocol):
    """Is told of every request, and never what it says."""

    def begin(self, kind: Kind) -> Observer:
        """A request was taken; what is returned sees its events, in the thread that writes them."""
        ...

    def refuse(self, kind: Kind, error: AppError) -> None:
        """A request was turned away before it waited."""
        ...


class ObservedBackend:
    """Does what `backend` does."""

    def __init__(self, backend: Backend, *watchers: Watcher) -> None:
        self.backend, self.watchers = backend, watchers

    @property
    def card(self) -> ModelCard:
        return self.backend.card

    @property
    def capabilities(self) -> Capabilities:
        return self.backend.capabilities

    def plan(self, messages: list[Message], tiling: bool | None = None, max_tiles: int | None = None) -> PromptPlan:
        return self.backend.plan(messages, tiling, max_tiles)

    def submit(self, request: Request) -> Stream:
        return self._begin("answer", partial(self.backend.submit, request))

    def inspect(self, request: Request, answer_ids: Sequence[int]) -> Stream:
        return self._begin("inspection", partial(self.backend.inspect, request, answer_ids))

    def health(self) -> Health:
        return self.backend.health()

    def close(self) -> None:
        self.backend.close()

    def _begin(self, kind: Kind, submit: Callable[[], Stream]) -> Stream:
        observers = [watcher.begin(kind) for watcher in self.watchers]  # their clocks run from here on
        try:
            stream = submit()
        except AppError as error:
            for watcher in self.watchers:
                watcher.refuse(kind, error)
            raise
        for observer in observers:
            stream.observe(observer)
        return stream
