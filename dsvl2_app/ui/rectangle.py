"""The rectangle that marks an example, as browsers and clients send it -> whole px of the picture."""

from __future__ import annotations

import math
from typing import Any

from dsvl2_app.errors import PromptError
from dsvl2_app.image.tiles import PixelBox


def read_rectangle(box: Any, size: tuple[int, int]) -> PixelBox:
    """What a browser or a client sent, as left, top, right, bottom in px of the picture."""
    if box is None:
        raise PromptError("Nothing is marked yet; drag a rectangle around the thing in the example picture.")
    width, height = size
    numbers = box if isinstance(box, list | tuple) else ()
    if len(numbers) != 4 or not all(isinstance(each, int | float) and math.isfinite(each) for each in numbers):
        raise PromptError(
            "The rectangle is {box}; give four numbers, left, top, right, bottom in pixels.", box=str(box)[:80]
        )
    left, top, right, bottom = (round(number) for number in numbers)
    left, top, right, bottom = max(0, left), max(0, top), min(width, right), min(height, bottom)
    if left >= right or top >= bottom:
        raise PromptError(
            "The rectangle {box} holds nothing of the {width} x {height} px picture; "
            "left must be less than right, and top less than bottom.",
            box=[round(number) for number in numbers],
            width=width,
            height=height,
        )
    return left, top, right, bottom
