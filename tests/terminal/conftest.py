from __future__ import annotations

from dataclasses import replace

import pytest

from dsvl2_app.backend import scripted
from dsvl2_app.backend.scripted import CARD, ScriptedBackend

ANSWER = "<|ref|>a [b]dog<|/ref|><|det|>[[0, 0, 999, 999], [1, 2, 3]]<|/det|>"


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> ScriptedBackend:
    """The scripted backend that answers every command of the test."""
    backend = ScriptedBackend(ANSWER, pause=0, card=replace(CARD, notice=""))
    monkeypatch.setattr(scripted, "load", lambda _: backend)
    monkeypatch.setenv("DSVL2_BACKEND", "scripted")
    return backend
