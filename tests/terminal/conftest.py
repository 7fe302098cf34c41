from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from dsvl2_app.engine.worker import Worker
from dsvl2_app.request import Event, Request

ANSWER = "<|ref|>a [b]dog<|/ref|><|det|>[[0, 0, 999, 999], [1, 2, 3]]<|/det|>"


class Engineless:
    """In place of the worker: answers every request with the same text."""

    card = SimpleNamespace(notice="")

    def __init__(self) -> None:
        self.say = ANSWER
        self.requests: list[Request] = []

    def submit(self, request: Request) -> Any:
        self.requests.append(request)
        half = len(self.say) // 2
        steps = [
            Event("prefill", done=1, total=1),
            Event("decode", self.say[:half], 1),
            Event("decode", self.say[half:], 2),
            Event("done", finish="eos"),
        ]
        return nullcontext(steps)

    def close(self) -> None: ...


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Engineless:
    worker = Engineless()
    monkeypatch.setattr(Worker, "load", lambda _: worker)
    return worker
