"""What no page would send, to every event of the page: a sentence or a normal result, never a traceback."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest

from dsvl2_app.errors import PromptError
from dsvl2_app.ui.payloads import can_hold, mend_text, read_index
from tests.ui.conftest import App
from tests.ui.test_leaving import Visitor

FILE = {"_type": "gradio.FileData"}
ODD: list[Any] = [
    None,
    True,
    -1,
    10**30,
    1e308,
    "",
    "x" * 100_000,
    "half \ud83d",
    "\0",
    [],
    {},
    [[[[[[]]]]]],
    ["x", 1, {}, None],
    {"text": 7, "files": "no"},
    {"text": "\udc00", "files": [None]},
    {"text": "Well?", "files": [{"path": "/etc/hostname", "meta": FILE}]},
    {"box": "no", "width": []},
    {"path": "/nowhere/hill.png"},
    {"path": "/nowhere/hill.png", "meta": "x"},
    {"path": None, "url": None, "meta": FILE},
    {"path": ["hill.png"], "size": "much", "orig_name": {}, "meta": FILE},
    {"path": "\ud83d", "meta": FILE},
    {"__type__": "update", "value": 1},
    [{"image": None}],
    [{"image": 7, "caption": {}}],
    [{"role": [], "content": {"type": 7}}],
]
CHOSEN: list[Any] = [{"index": -1}, {"index": "x"}, {"index": 10**9}, {"index": None}, {}, [], "x"]


def payloads(values: list[Any]) -> Iterator[list[Any]]:
    """Each odd value in each place, and too few and too many of them."""
    for place in range(len(values)):
        for odd in ODD:
            yield [*values[:place], odd, *values[place + 1 :]]
    for odd in ODD:
        yield [odd] * len(values)
    yield values[:-1]
    yield []
    yield [*values, "more", {}, None]


def is_sentence(text: Any) -> bool:
    """For a person: it ends, is short, and has nothing that only programmers read."""
    names = ("Traceback", "Error", "NoneType", "object at", "validation", "Errno", "\n", "component")
    return isinstance(text, str) and 10 < len(text) < 700 and text[-1] in ".。" and not any(n in text for n in names)


def send(http: httpx.Client, path: str, body: dict[str, Any]) -> httpx.Response:
    """As JSON with whatever Python's strings hold."""
    return http.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})


@pytest.mark.slow
@pytest.mark.parametrize("way", ["local"], indirect=True)
def test_every_event_ends_every_payload_in_a_sentence_or_a_result(
    scripted: App, pictures: dict[str, Path], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    visitor = Visitor(scripted.url)
    values = {part["id"]: part["props"].get("value") for part in visitor.config["components"]}
    visitor.run("send", {"text": "Well?", "files": [visitor.upload(pictures["tall"])]})
    visitor.run("answer")  # so that there is a conversation to act upon
    calls, wrong = 0, list[str]()
    for event in visitor.config["dependencies"]:
        if not event["backend_fn"]:
            continue
        usual = [values[number] for number in event["inputs"]]
        for data, chosen in [*((data, None) for data in payloads(usual)), *((usual, chosen) for chosen in CHOSEN)]:
            body = {"data": data, "fn_index": event["id"], "session_hash": visitor.session, "event_data": chosen}
            answer = send(visitor.http, "run/predict", body)
            said, errors = capfd.readouterr(), [each for each in caplog.records if each.levelno >= logging.ERROR]
            noise = said.out + said.err + "".join(map(str, errors))
            caplog.clear()
            calls += 1
            refused = answer.status_code != 200
            if answer.status_code >= 500 or noise or (refused and not is_sentence(answer.json().get("error"))):
                told = f"{answer.status_code} {answer.text[:100]} {noise[-200:]}"
                wrong.append(f"{event['api_name']} {json.dumps(data)[:200]} {chosen}: {told}")
    assert calls > 2000
    assert not wrong, f"{len(wrong)} of {calls}, as " + "\n".join(wrong[:10])
    assert visitor.run("chat", {"text": "Well?", "files": []})["output"]["data"] == ["Hello."]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["local"], indirect=True)
def test_the_queue_says_the_same(scripted: App, capfd: pytest.CaptureFixture[str]) -> None:
    visitor, wrong = Visitor(scripted.url), list[Any]()
    for event in visitor.config["dependencies"]:
        if not (event["backend_fn"] and event["queue"] and event["inputs"]):
            continue
        for odd in ({"path": "\ud83d", "meta": "x"}, "half \ud83d", [[None]]):
            body = {"data": [odd] * len(event["inputs"]), "fn_index": event["id"], "session_hash": visitor.session}
            send(visitor.http, "queue/join", body).raise_for_status()
            with visitor.http.stream("GET", "queue/data", params={"session_hash": visitor.session}) as answer:
                messages = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]
            ended = next(each for each in messages if each["msg"] == "process_completed")
            if not ended["success"] and not is_sentence(ended["output"]["error"]):
                wrong.append((event["api_name"], odd, ended))
    assert not wrong
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("way", ["local"], indirect=True)
@pytest.mark.parametrize(
    ("path", "number"), [("run/predict", 10**6), ("run/nothing", None), ("queue/join", -1), ("call/nothing", None)]
)
def test_there_is_no_such_event(
    scripted: App, path: str, number: int | None, capfd: pytest.CaptureFixture[str]
) -> None:
    with httpx.Client(base_url=f"{scripted.url}gradio_api/") as http:
        answer = send(http, path, {"data": [], "fn_index": number, "session_hash": "a"})
    assert (answer.status_code, is_sentence(answer.json()["error"])) == (404, True)
    assert "Traceback" not in "".join(capfd.readouterr())


def test_what_controls_can_hold() -> None:
    with gr.Blocks():
        slider, number = gr.Slider(1, 8), gr.Number()
        for value in (1, 8, 2.5, 12):
            assert can_hold(slider, value)
        for value in (0, 101, None, True, "2", float("nan"), float("inf"), 10**30, [1]):
            assert not can_hold(slider, value)
        assert can_hold(number, None) and can_hold(number, -(10**30)) and not can_hold(number, float("nan"))
        assert can_hold(gr.Textbox(), "") and not can_hold(gr.Textbox(), None)
        assert can_hold(gr.Checkbox(), False) and not can_hold(gr.Checkbox(), 1)
        assert can_hold(gr.Radio(["a"], value=None), None) and not can_hold(gr.Radio(["a"], value="a"), None)
        assert can_hold(gr.Radio(), 1) and not can_hold(gr.Radio(), [])


def test_half_characters_are_mended_at_any_depth() -> None:
    assert mend_text({"a\ud83d": ["\udc00", {"b": "😀"}, 7, None]}) == {"a?": ["?", {"b": "😀"}, 7, None]}


def test_only_what_is_there_can_be_chosen() -> None:
    assert read_index(gr.EventData(None, {"index": 1}), "ab") == 1
    for told in (*CHOSEN, {"index": 2}, None):
        with pytest.raises(PromptError, match="no such choice"):
            read_index(gr.EventData(None, told), "ab")


@pytest.mark.slow
@pytest.mark.parametrize("way", ["local"], indirect=True)
def test_what_the_page_does_send_fits(scripted: App, pictures: dict[str, Path]) -> None:
    """More pictures than the Tiles tab's slider reaches, a slider that was moved, a picture by its number."""
    visitor = Visitor(scripted.url)
    gallery = [{"image": visitor.upload(pictures["wide"]), "caption": None} for _ in range(12)]
    added = visitor.run("receive_1", gallery)
    assert added["success"] and "12" in str(added["output"])
    for which, count, limit, width in ((12, 12, 9, 0), (1, 3, 4, 500), (2, 1, 1, 0)):
        ended = visitor.run("show_number", gallery, which, count, limit, width, 0, False)
        assert ended["success"] and 'role="alert"' not in str(ended["output"]), ended
    ended = visitor.run("answer_3", gallery, "Well?", 12, 9)
    assert ended["success"] and "Hello." in str(ended["output"])
