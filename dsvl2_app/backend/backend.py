"""The protocol of whoever answers: an engine in this process (`local`), a server elsewhere, a script for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dsvl2_app.backend.stream import Stream
from dsvl2_app.request import Capabilities, Health, ModelCard, PromptPlan, Request
from dsvl2_app.text.prompt import Message


class Backend(Protocol):
    """Answers requests of many callers at once. Every method may be called from any thread, and none of them waits for
    the model: what takes long arrives on a `Stream`."""

    @property
    def card(self) -> ModelCard:
        """Which model answers."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this backend can do besides answering."""
        ...

    def plan(self, messages: list[Message], tiling: bool | None = None, max_tiles: int | None = None) -> PromptPlan:
        """What a conversation would cost. Raises PromptError or ImageError."""
        ...

    def submit(self, request: Request) -> Stream:
        """Begin an answer. Raises BusyError when too many are waiting or the backend is closed, EngineDeadError when
        nothing will answer any more, and PromptError for what it has no capability for; whatever goes wrong later is
        raised by the stream."""
        ...

    def inspect(self, request: Request, answer_ids: Sequence[int]) -> Stream:
        """Begin to look into the answer that `request` got, given as its token ids; the stream's last event carries the
        `Inspection`. Raises as `submit` does."""
        ...

    def health(self) -> Health:
        """How it is at this moment."""
        ...

    def close(self) -> None:
        """End every stream as cancelled, and take no more requests."""
        ...
