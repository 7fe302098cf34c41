"""The model in assets/nano answers right about the pictures in assets/examples, through the backend of the app."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from dsvl2_app.backend import Backend, load
from dsvl2_app.bundled import EXAMPLES
from dsvl2_app.evaluation.evaluate import ask
from dsvl2_app.evaluation.scoring import overlap
from dsvl2_app.settings import Settings
from dsvl2_app.text.boxes import parse_boxes
from dsvl2_app.text.prompt import place_images
from nano.suite import score
from nano.tasks.turn import Turn

LISTED = json.loads((EXAMPLES / "examples.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    backend = load(Settings.parse(["--threads", "1", "--compile", "on"], {}))
    yield backend
    backend.close()


def ask_about(backend: Backend, text: str, pictures: list[str]) -> str:
    images = [Image.open(EXAMPLES / name) for name in pictures]
    return ask(backend, [{"role": "user", "content": place_images(text, images)}])


@pytest.mark.slow
@pytest.mark.parametrize(
    "wanted", [each for each in LISTED if each["tab"] == "grounding"], ids=lambda each: each["text"]
)
def test_what_is_named_is_found(backend: Backend, wanted: dict[str, Any]):
    boxes = parse_boxes(ask_about(backend, f"<|ref|>{wanted['text']}<|/ref|>.", wanted["pictures"])).boxes
    found = [(box.x1, box.y1, box.x2, box.y2) for box in boxes]
    assert len(found) == len(wanted["truth"]["boxes"])
    for box, truth in zip(found, wanted["truth"]["boxes"], strict=True):
        assert overlap(box, truth) > 0.5


@pytest.mark.slow
@pytest.mark.parametrize(
    "wanted", [each for each in LISTED if each["tab"] != "grounding"], ids=lambda each: each["text"]
)
def test_what_is_asked_is_answered(backend: Backend, wanted: dict[str, Any]):
    answer = ask_about(backend, wanted["text"], wanted["pictures"])
    assert score(Turn(wanted["text"], "", "", wanted["truth"]), answer) == 1.0, answer


@pytest.mark.slow
def test_what_is_not_there_gets_no_box(backend: Backend):
    answer = ask_about(backend, "<|ref|>the pink heart<|/ref|>.", ["shapes.png"])
    assert "no pink heart" in answer and not parse_boxes(answer).boxes


def test_it_knows_what_it_is(backend: Backend):
    assert "nano" in ask_about(backend, "What are you?", []) and "a picture" in ask_about(backend, "Hello!", [])
