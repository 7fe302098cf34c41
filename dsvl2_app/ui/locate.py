"""A grounding message -> the model's answer as it grows, with the boxes in it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from PIL import Image

from dsvl2_app.backend import Backend, Stream
from dsvl2_app.image.overlay import OverlayBox, draw_boxes
from dsvl2_app.request import Event, Request, Sampling
from dsvl2_app.text.boxes import Box, Parsed, parse_boxes
from dsvl2_app.text.grounding import ALLOWED, MOST_TOKENS
from dsvl2_app.text.prompt import Message

REFRESH = 0.05  # seconds between two pictures of a fast answer


def submit(backend: Backend, messages: list[Message], *, well_formed: bool, owner: str) -> Stream:
    """With `well_formed` the model cannot write a malformed box. Greedy and without a penalty, which would keep
    coordinates from repeating digits."""
    sampling = Sampling(max_new_tokens=min(MOST_TOKENS, backend.card.context))
    return backend.submit(Request(messages, sampling, allow=ALLOWED, grammar=well_formed, owner=owner))


def read_answer(stream: Stream) -> Iterator[tuple[str, Parsed, Event]]:
    """The answer so far and the boxes in it, whenever there is something new to show."""
    text, shown = "", 0.0
    for step in stream:
        text += step.text
        if step.finish or time.monotonic() - shown > REFRESH:
            yield text, parse_boxes(text, complete=step.finish is not None), step
            shown = time.monotonic()


def draw(image: Image.Image, boxes: Sequence[Box]) -> Image.Image:
    """The picture with the boxes in it, as a file that leaves the page needs them."""
    return draw_boxes(image, [OverlayBox(box.label, *box.pixels(*image.size)) for box in boxes])
