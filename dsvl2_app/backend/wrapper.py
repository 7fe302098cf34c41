"""A backend before another one, which it asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

from dsvl2_app.backend.backend import Backend
from dsvl2_app.backend.stream import Stream
from dsvl2_app.request import Capabilities, Health, ModelCard, PromptPlan, Request
from dsvl2_app.text.prompt import Message

Kind = Literal["answer", "inspection"]


class BackendWrapper:
    """Does what `backend` does; what derives from it overrides `_begin`, through which every request goes."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    @property
    def card(self) -> ModelCard:
        return self.backend.card

    @property
    def capabilities(self) -> Capabilities:
        return self.backend.capabilities

    def plan(self, messages: list[Message], tiling: bool | None = None, max_tiles: int | None = None) -> PromptPlan:
        return self.backend.plan(messages, tiling, max_tiles)

    def submit(self, request: Request) -> Stream:
        return self._begin("answer", request, partial(self.backend.submit, request))

    def inspect(self, request: Request, answer_ids: Sequence[int]) -> Stream:
        return self._begin("inspection", request, partial(self.backend.inspect, request, answer_ids))

    def health(self) -> Health:
        return self.backend.health()

    def close(self) -> None:
        self.backend.close()

    def _begin(self, kind: Kind, request: Request, submit: Callable[[], Stream]) -> Stream:
        """`submit` asks the other one."""
        return submit()
