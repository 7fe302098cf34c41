"""A backend whose requests are watched by others: by the figures for Prometheus, by the log; and that is as dead as
the page in front of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from dsvl2_app.backend import Backend, Stream
from dsvl2_app.backend.stream import Observer
from dsvl2_app.backend.wrapper import BackendWrapper, Kind
from dsvl2_app.errors import AppError
from dsvl2_app.request import Health, Request


class Watcher(Protocol):
    """Is told of every request, and never what it says."""

    def begin(self, kind: Kind) -> Observer:
        """A request was taken; what is returned sees its events, in the thread that writes them."""
        ...

    def refuse(self, kind: Kind, error: AppError) -> None:
        """A request was turned away before it waited."""
        ...


class ObservedBackend(BackendWrapper):
    def __init__(self, backend: Backend, *watchers: Watcher) -> None:
        super().__init__(backend)
        self.watchers = watchers

    def _begin(self, kind: Kind, request: Request, submit: Callable[[], Stream]) -> Stream:
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


class PageBackend(BackendWrapper):
    """Counts as dead once the page takes no more events: as when the model has stopped, only a new start helps."""

    def __init__(self, backend: Backend, takes_events: Callable[[], bool]) -> None:
        super().__init__(backend)
        self._takes_events = takes_events

    def health(self) -> Health:
        health = super().health()
        return health if self._takes_events() else replace(health, alive=False, accepting=False)
