"""What the server keeps of who asks: of visitors what their events need, of calls without a session nothing."""

from __future__ import annotations

import gc
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gradio as gr
import httpx
import pytest
from PIL import Image

from dsvl2_app.backend.scripted import ScriptedBackend
from dsvl2_app.image.page_ranges import FIRST
from dsvl2_app.settings import Settings
from dsvl2_app.ui import browsers
from dsvl2_app.ui.gradio_quirks import forget_files
from dsvl2_app.ui.page import build, launch
from tests.ui.conftest import CARD, App
from tests.ui.test_leaving import Visitor

pytestmark = pytest.mark.slow  # each serves a page
WORDS = "A word that nobody else says."


@pytest.fixture(scope="module")
def script() -> ScriptedBackend:
    return ScriptedBackend("Hello.", card=CARD)


@pytest.fixture(scope="module")
def served(script: ScriptedBackend) -> Iterator[tuple[gr.Blocks, App]]:
    settings = Settings()
    with socket.socket() as free:
        free.bind((settings.host, 0))
        settings = replace(settings, port=free.getsockname()[1])
    demo = build(script, settings)
    yield demo, App(launch(demo, settings), script)
    demo.close(verbose=False)
    gc.collect()  # as conftest does


def call(app: App, words: str) -> str:
    """/chat by two plain requests, without a session."""
    with httpx.Client(base_url=f"{app.url}gradio_api/", timeout=30) as http:
        body = {"data": [{"text": words, "files": []}, [], 0, 1, 1, 100, 1, FIRST]}
        event = http.post("call/chat", json=body).raise_for_status().json()["event_id"]
        *_, last = http.get(f"call/chat/{event}").raise_for_status().text.strip().split("\n\n")
    kind, data = last.split("\n")
    assert kind == "event: complete"
    return json.loads(data.removeprefix("data: "))[0]


def test_of_calls_without_a_session_nothing_is_kept(served: tuple[gr.Blocks, App], script: ScriptedBackend) -> None:
    """So that they push out nobody's conversation; nor, without an owner, anybody's keys and values."""
    demo, app = served
    visitor = Visitor(app.url)
    visitor.run("send", {"text": "Well?", "files": []})
    before = [*demo.app.state_holder.session_data]
    assert visitor.session in before
    assert [call(app, WORDS) for _ in range(3)] == ["Hello."] * 3
    assert [*demo.app.state_holder.session_data] == before
    assert [request.owner for request in script.requests[-3:]] == ["", "", ""]


def test_a_visitor_is_known_by_the_session(served: tuple[gr.Blocks, App], script: ScriptedBackend) -> None:
    _, app = served
    visitor = Visitor(app.url)
    for _ in range(2):
        visitor.run("send", {"text": "Well?", "files": []})
        visitor.run("answer")
        assert script.requests[-1].owner == visitor.session
    assert [len(request.messages) for request in script.requests[-2:]] == [1, 3]


def test_no_session_has_a_description_of_the_page(served: tuple[gr.Blocks, App]) -> None:
    """The page itself has one."""
    demo, app = served
    visitor = Visitor(app.url)
    visitor.run("send", {"text": WORDS, "files": []})
    visitor.run("answer")
    kept = demo.app.state_holder.session_data[visitor.session]
    assert not any(kept.config_values.values())
    assert WORDS in str([turn.question for state in kept.state_data.values() for turn in getattr(state, "turns", ())])
    assert len(visitor.config["components"]) == len(demo.blocks) > 100


def test_files_that_were_shown_are_forgotten(served: tuple[gr.Blocks, App], tmp_path: Path) -> None:
    """Gradio writes all of them down, for ever, and needs none to show them."""
    demo, app = served
    picture = tmp_path / "red.png"
    Image.new("RGB", (30, 20), "red").save(picture)
    visitor = Visitor(app.url)
    ended = visitor.run("send", {"text": WORDS, "files": [visitor.upload(picture)]})
    assert "picture.webp" in json.dumps(ended["output"]["data"])
    assert any(demo.temp_file_sets)
    forget_files(demo)
    assert not any(demo.temp_file_sets)
    assert "picture.webp" in json.dumps(visitor.run("answer")["output"]["data"])


def test_events_are_not_summed_up(served: tuple[gr.Blocks, App]) -> None:
    demo, app = served
    call(app, WORDS)
    assert demo._queue.event_analytics == {}


def test_no_event_asks_matplotlib(served: tuple[gr.Blocks, App], monkeypatch: pytest.MonkeyPatch) -> None:
    """Which would be imported in the event loop, where nobody has an answer meanwhile."""
    matplotlib = pytest.importorskip("matplotlib")
    asked: list[str] = []
    monkeypatch.setattr(matplotlib, "use", asked.append)
    monkeypatch.setattr(matplotlib, "get_backend", lambda: asked.append("") or "agg")
    _, app = served
    assert call(app, WORDS) == "Hello." and asked == []


def test_sessions_that_were_not_heard_of_for_long_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browsers, "MOST", 2)
    known = browsers.Browsers()
    assert known.admit("a", "1") and known.admit("b", "") and not known.admit("a", "2")
    assert known.admit("c", "3") and known.admit("b", "2") and known.admit("a", "9")  # the last two are known
    assert not known.admit("a", "1é") and not known.admit("b", "")
