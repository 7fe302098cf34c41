"""Ask for what a rectangle surrounds in another picture. A module of its own, so that whoever asks for names alone
imports nothing that draws."""

from __future__ import annotations

from typing import Any

from dsvl2_app.image.overlay import draw_mark
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.image.tiles import PixelBox
from dsvl2_app.text.grounding import ask_for_marked
from dsvl2_app.text.prompt import Message


def ask_in_context(image: Any, example: ImageRef, rectangle: PixelBox) -> list[Message]:
    """Find in `image` what the rectangle, in px of the upright picture, surrounds in the example, which is decoded."""
    return ask_for_marked(draw_mark(example.open(), rectangle), image)
