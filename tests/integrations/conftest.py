"""Stand-ins for what the adapters import of the harnesses, as these document it; the real ones in test_real.py."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from dsvl2_app.backend import scripted
from dsvl2_app.backend.scripted import ScriptedBackend
from dsvl2_app.backend.stream import Stream
from dsvl2_app.request import Request


@dataclass(frozen=True)
class ModelManifest:
    model_id: str
    chat_class_path: str | None = None


class LMMS:
    """lmms_eval.api.model.lmms: what a subclass finds."""

    def __init__(self) -> None:
        self.task_dict: dict[str, Any] = {}
        self.cached: list[Any] = []
        self.cache_hook = SimpleNamespace(add_partial=lambda *given: self.cached.append(given))

    @property
    def rank(self) -> int:
        return self._rank  # pyright: ignore[reportAttributeAccessIssue]


class BaseModel:
    """vlmeval.vlm.base.BaseModel: `generate` hands a list of {"type", "value"} on."""

    def __init__(self) -> None:
        self.dump_image_func = None

    def generate(self, message: list[dict[str, str]], dataset: str | None = None) -> str:
        return self.generate_inner(message, dataset)  # pyright: ignore[reportAttributeAccessIssue]


def stand_in(monkeypatch: pytest.MonkeyPatch, **modules: dict[str, Any]) -> None:
    for name, content in modules.items():
        dotted = name.replace("__", ".")
        for end in range(1, dotted.count(".") + 2):
            parent = ".".join(dotted.split(".")[:end])
            monkeypatch.setitem(sys.modules, parent, sys.modules.get(parent) or ModuleType(parent))
        vars(sys.modules[dotted]).update(content)


@pytest.fixture
def lmms_eval(monkeypatch: pytest.MonkeyPatch) -> Any:
    stand_in(
        monkeypatch,
        lmms_eval__api__model={"lmms": LMMS},
        lmms_eval__api__instance={"Instance": SimpleNamespace},
        lmms_eval__models__registry_v2={"ModelManifest": ModelManifest},
    )
    monkeypatch.delitem(sys.modules, "dsvl2_app.integrations.lmms_eval_model", raising=False)
    from dsvl2_app.integrations import lmms_eval_model

    return lmms_eval_model


@pytest.fixture
def vlmevalkit(monkeypatch: pytest.MonkeyPatch) -> Any:
    stand_in(monkeypatch, vlmeval__vlm__base={"BaseModel": BaseModel})
    monkeypatch.delitem(sys.modules, "dsvl2_app.integrations.vlmevalkit_model", raising=False)
    from dsvl2_app.integrations import vlmevalkit_model

    return vlmevalkit_model


class Echo(ScriptedBackend):
    """Says what it was asked last, with <p> for a picture."""

    def submit(self, request: Request) -> Stream:
        self.say = "".join(
            "<p>" if part["type"] == "image" else part["text"] for part in request.messages[-1]["content"]
        )
        self.requests.append(request)
        stream = Stream()
        self._write(stream, request)
        return stream


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Echo:
    echo = Echo(pause=0)
    monkeypatch.setattr(scripted, "load", lambda settings: echo)
    return echo
