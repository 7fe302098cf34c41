"""What to look for in a picture -> the model's answer as it grows, with the boxes in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from PIL import Image

from dsvl2_app.backend import Backend, Stream
from dsvl2_app.image.load import Limits
from dsvl2_app.image.overlay import OverlayBox, draw_boxes
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.request import Caller, Event, Request, Sampling
from dsvl2_app.text.boxes import Box, Parsed, parse_boxes
from dsvl2_app.text.grounding import ALLOWED, MOST_TOKENS, Mode, ask_for, name_boxes
from dsvl2_app.text.marking import ask_in_context
from dsvl2_app.text.prompt import Message
from dsvl2_app.ui.events import REFRESH
from dsvl2_app.ui.rectangle import read_rectangle
from dsvl2_app.ui.uploads import measure, uploaded_path


def compose(image: ImageRef, phrase: str, mode: Mode, example: Any, rectangle: Any, limits: Limits) -> list[Message]:
    """What to ask. The mode "in_context" takes an upload and a rectangle in it, the others take the phrase."""
    if mode != "in_context":
        return ask_for(image, phrase, mode)
    marked = measure(uploaded_path(example), limits)
    return ask_in_context(image, marked, read_rectangle(rectangle, marked.size))


def submit(backend: Backend, messages: list[Message], *, well_formed: bool, caller: Caller) -> Stream:
    """With `well_formed` the model cannot write a malformed box. Greedy and without a penalty, which would keep
    coordinates from repeating digits."""
    sampling = Sampling(max_new_tokens=min(MOST_TOKENS, backend.card.context))
    wanted = Request(messages, sampling, ALLOWED, grammar=well_formed, owner=caller.owner, address=caller.address)
    return backend.submit(wanted)


async def read_answer(
    stream: Stream, mode: Mode, phrases: Sequence[str], before: str = ""
) -> AsyncIterator[tuple[str, Parsed, Event]]:
    """The text `before` it with the answer so far, and the boxes in both, whenever there is something new to show.
    `phrases` are what was looked for in both."""
    text = before
    async for events in stream.throttled(REFRESH):
        text += "".join(event.text for event in events)
        parsed = parse_boxes(text, complete=events[-1].finish is not None)
        yield text, name_boxes(parsed, phrases, mode), events[-1]


def draw(image: Image.Image, boxes: Sequence[Box], *, points: bool = False) -> Image.Image:
    """The picture with the boxes in it, or with `points` their centres, as a file that leaves the page needs them."""
    if not points:
        return draw_boxes(image, [OverlayBox(box.label, *box.pixels(*image.size)) for box in boxes])
    reach = max(3, max(image.size) / 150)  # px, from a point to the edge of its mark
    centres = [(box.label, *box.centre(*image.size)) for box in boxes]
    return draw_boxes(image, [OverlayBox(label, x - reach, y - reach, x + reach, y + reach) for label, x, y in centres])
