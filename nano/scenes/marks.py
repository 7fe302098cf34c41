"""What is put on finished shapes: a red rectangle around one of them, letters and numbers on others."""

from __future__ import annotations

from random import Random

import numpy as np

from nano.scenes.canvas import Canvas
from nano.scenes.fonts import find_faces, load_font
from nano.scenes.scene import COLOURS, Colour, SceneObject

MARK: Colour = (255, 0, 0)


def mark(canvas: Canvas, number: int, pixel: float) -> None:
    left, top, right, bottom = canvas.objects[number].box
    gap = round(4 * pixel)
    thickness = max(round(2.5 * pixel), 2)
    box = (
        max(left - gap, 0), max(top - gap, 0),
        min(right + gap, canvas.width), min(bottom + gap, canvas.height),
    )  # fmt: skip
    canvas.frame(box, MARK, thickness)


def write_on(canvas: Canvas, rng: Random, pixel: float) -> None:
    """Put a letter or a number on some of the larger filled shapes."""
    faces = find_faces()
    face = rng.choice(faces.get("sans") or next(iter(faces.values())))
    used: set[str] = set()
    for number, item in enumerate(canvas.objects):
        left, top, right, bottom = item.box
        small = min(right - left, bottom - top)
        if not item.filled or small < 40 * pixel or item.kind in ("heart", "cross", "star") or rng.random() < 0.3:
            continue
        if (canvas.owner[top:bottom, left:right] == number + 1).mean() < 0.42:
            continue  # partly covered or too slim to write on
        text = rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ23456789")
        if text in used:
            continue
        used.add(text)
        font = load_font(face, round(small * 0.42))
        ink = (255, 255, 255) if sum(COLOURS[item.colour]) < 420 else (15, 15, 20)
        x, y = _middle(canvas.owner[top:bottom, left:right] == number + 1)
        glyph = font.glyph(text)
        rows, columns = glyph.mask.shape
        canvas.text(left + x - columns // 2 - glyph.left, top + y + rows // 2, text, font, ink, own=False)
        canvas.objects[number] = SceneObject(item.kind, item.box, item.colour, text, item.name, item.filled)


def _middle(mask: np.ndarray) -> tuple[int, int]:
    rows, columns = np.nonzero(mask)
    return round(columns.mean()), round(rows.mean())
