"""What to look for -> the request that the model was trained on; its answer -> boxes, drawn and as rows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from PIL import Image

from dsvl2_app.engine.request import Request, Sampling, Step
from dsvl2_app.engine.worker import Stream, Worker
from dsvl2_app.errors import PromptError, SettingsError
from dsvl2_app.image.overlay import OverlayBox, draw_boxes
from dsvl2_app.text.boxes import Box, Parsed, parse_boxes

Mode = Literal["find", "find_all", "describe", "in_context"]
PHRASE_MODES: tuple[Mode, ...] = ("find", "find_all", "describe")  # those that need only one picture

ALLOWED = frozenset({"<|ref|>", "<|/ref|>", "<|grounding|>"})
MOST_TOKENS = 1024  # about 40 boxes
REFRESH = 0.05  # seconds between two pictures of a fast answer
HEADERS = ["Label", "x1", "y1", "x2", "y2", "Pixels", "Notes"]

_TEXTS: dict[Mode, str] = {
    "find": "\n<|ref|>{phrase}<|/ref|>.",
    "find_all": "\nFind all <|ref|>{phrase}<|/ref|>.",
    "describe": "\n<|grounding|>{phrase}",
}
_IN_CONTEXT = (
    "\n<|grounding|>In the first image, an object within the red rectangle is marked. "
    "Locate the object of the same category in the second image."
)


def submit(worker: Worker, messages: list[dict[str, Any]], *, well_formed: bool = True) -> Stream:
    """With `well_formed` the model cannot write a malformed box. Greedy and without a penalty, which would keep
    coordinates from repeating digits."""
    sampling = Sampling(max_new_tokens=min(MOST_TOKENS, worker.card.context))
    return worker.submit(Request(messages, sampling, allow=ALLOWED, grammar=well_formed))


def compose(image: Image.Image, phrase: str, mode: Mode) -> list[dict[str, Any]]:
    if mode not in PHRASE_MODES:
        raise SettingsError(f"The mode is {mode!r}; choose one of {', '.join(PHRASE_MODES)}.")
    if not phrase.strip():
        raise PromptError("There is nothing to look for yet; type a phrase or a question.")
    return _ask([image], _TEXTS[mode].format(phrase=phrase))


def compose_in_context(marked: Image.Image, image: Image.Image) -> list[dict[str, Any]]:
    """Find in `image` what the red rectangle in `marked` surrounds."""
    return _ask([marked, image], _IN_CONTEXT)


def _ask(images: Sequence[Image.Image], text: str) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for image in images:
        parts += [{"type": "text", "text": "\n"}] * bool(parts) + [{"type": "image", "image": image}]
    return [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}]


def read_answer(stream: Stream) -> Iterator[tuple[str, Parsed, Step]]:
    """The answer so far and the boxes in it, whenever there is something new to show."""
    text, shown = "", 0.0
    for step in stream:
        text += step.text
        if step.finish or time.monotonic() - shown > REFRESH:
            yield text, parse_boxes(text, complete=step.finish is not None), step
            shown = time.monotonic()


def draw(image: Image.Image, boxes: Sequence[Box], selected: int | None = None) -> Image.Image:
    overlays = [
        OverlayBox(box.label, *box.pixels(*image.size), selected=number == selected) for number, box in enumerate(boxes)
    ]
    return draw_boxes(image, overlays)


def tabulate(boxes: Sequence[Box], size: tuple[int, int]) -> list[list[Any]]:
    return [
        [
            box.label,
            *(box.x1, box.y1, box.x2, box.y2),
            ", ".join(f"{edge:.0f}" for edge in box.pixels(*size)),
            ", ".join(box.notes),
        ]
        for box in boxes
    ]
