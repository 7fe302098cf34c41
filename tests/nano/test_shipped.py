"""The model in assets/nano answers right about the pictures in assets/examples, through the backend of the app."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from dsvl2_app.backend import Backend, load
from dsvl2_app.bundled import EXAMPLES
from dsvl2_app.evaluation.evaluate import ask
from dsvl2_app.evaluation.scoring import overlap
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.settings import Settings
from dsvl2_app.text.boxes import LARGEST, parse_boxes
from dsvl2_app.text.grounding import ask_for
from dsvl2_app.text.marking import ask_in_context
from dsvl2_app.text.prompt import place_images
from dsvl2_app.ui.examples import MORE, Example
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


def drawn(name: str) -> list[list[int]]:
    """The boxes around everything that is drawn on a plain ground, in 0..999; around the blue stars of count.jpg, which
    fill less of theirs than its pentagon does."""
    image = np.asarray(Image.open(EXAMPLES / name).convert("RGB")).astype(int)
    stars = name == "count.jpg"
    ink = image[..., 2] - image[..., 0] > 60 if stars else np.abs(image - image[0, 0]).sum(-1) > 60
    *_, (_, *parts), _ = cv2.connectedComponentsWithStats(ink.astype(np.uint8))
    sides = (image.shape[1], image.shape[0]) * 2
    edges = [
        (left, top, left + width, top + height)
        for left, top, width, height, area in parts
        if area > 100 and not (stars and area > 0.6 * width * height)
    ]
    return [[round(LARGEST * edge / side) for edge, side in zip(each, sides, strict=True)] for each in edges]


def truth_of(example: Example) -> list[list[int]]:
    """What a right answer boxes: of the list, or what is drawn there."""
    (picture,) = example.pictures
    if picture in ("shapes.png", "count.jpg"):
        everything = drawn(picture)
        return everything if example.mode != "in_context" else [max(everything, key=lambda box: box[3])]  # the star
    return next(each["truth"]["boxes"] for each in LISTED if each["tab"] == "grounding" and picture in each["pictures"])


def ask_as_offered(backend: Backend, tab: str, example: Example) -> str:
    (name,) = example.pictures
    image = Image.open(EXAMPLES / name).convert("RGB")
    if tab == "chat":
        return ask_about(backend, example.text, [name])
    if example.mode == "in_context":
        return ask(backend, ask_in_context(image, ImageRef.of(EXAMPLES / example.marked), example.box))
    return ask(backend, ask_for(image, example.text, example.mode))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tab", "example"), [(tab, each) for tab in ("chat", "grounding") for each in MORE[tab]], ids=lambda each: f"{each}"
)
def test_what_is_offered_beyond_the_list_is_answered_right_too(backend: Backend, tab: str, example: Example):
    answer, truth = ask_as_offered(backend, tab, example), truth_of(example)
    found = parse_boxes(answer).boxes
    assert len(found) == len(truth), answer  # neither one too many nor one twice
    left = [(box.x1, box.y1, box.x2, box.y2) for box in found]
    for box in truth:
        nearest = max(left, key=lambda other: overlap(box, other))
        assert overlap(box, nearest) > 0.6, answer
        left.remove(nearest)
    if "Describe" in example.text:
        named = {box.label for box in found}
        assert named == {"grey hexagon", "pink star", "brown hexagon", "orange rectangle"}


@pytest.mark.slow
def test_what_is_not_there_gets_no_box(backend: Backend):
    answer = ask_about(backend, "<|ref|>the pink heart<|/ref|>.", ["shapes.png"])
    assert "no pink heart" in answer and not parse_boxes(answer).boxes


def test_it_knows_what_it_is(backend: Backend):
    assert "nano" in ask_about(backend, "What are you?", []) and "a picture" in ask_about(backend, "Hello!", [])
