"""A posed sprite onto a canvas: its pixels, which object owns each, and what it hides of others."""

from __future__ import annotations

import cv2
import numpy as np

from nano.scenes.canvas import Canvas
from nano.scenes.shapes import cast_shadow
from nano.scenes.sprites import Posed


def place(
    canvas: Canvas, posed: Posed, corner: tuple[int, int], covered: float, totals: list[int], *, shadow: bool = False
) -> bool:
    """Paint it as the next object; False, with nothing changed, where it would hide more than the share `covered` of
    another. `totals` are the pixels of each object with nothing before it; the new one's are appended."""
    (left, top), (wide, tall) = corner, posed.size
    rows, columns = slice(max(top, 0), top + tall), slice(max(left, 0), left + wide)
    inside = slice(max(-top, 0), canvas.height - top), slice(max(-left, 0), canvas.width - left)
    alpha = posed.alpha[inside]
    own = alpha > 127
    total = int(np.count_nonzero(posed.alpha > 127))
    owner = canvas.owner[rows, columns]
    if not own.any():
        return False
    for number in np.unique(owner[own]):
        if number and _left(canvas, int(number), owner, own) < (1 - covered) * totals[number - 1]:
            return False
    if shadow:
        area = (columns.start, rows.start, columns.start + alpha.shape[1], rows.start + alpha.shape[0])
        cast_shadow(canvas, np.ascontiguousarray(alpha), area, max(round(max(posed.size) / 20), 2))
    spot = canvas.pixels[rows, columns]
    rest = cv2.merge((255 - alpha,) * 3)
    spot[:] = cv2.add(cv2.multiply(spot, rest, scale=1 / 255), posed.pixels[inside])
    owner[own] = len(totals) + 1
    totals.append(total)
    return True


def _left(canvas: Canvas, number: int, owner: np.ndarray, own: np.ndarray) -> int:
    """How many pixels of an object would still show."""
    before = np.count_nonzero(canvas.owner == number)
    return int(before - np.count_nonzero(owner[own] == number))
