"""What lies under the objects of a picture: plain, graded or grainy."""

from __future__ import annotations

from random import Random

import cv2
import numpy as np

from nano.scenes.canvas import Canvas
from nano.scenes.scene import COLOURS, PURE, Colour
from nano.scenes.sizes import Level


def paint_ground(canvas: Canvas, rng: Random, level: Level) -> tuple[list[Colour], str]:
    """Fill the canvas; returns the colours that objects must differ from and the name of a plain ground."""
    if level.pure:
        name = "white" if rng.random() < 0.5 else rng.choice(("black", "grey", *PURE))
        canvas.fill_all(PURE[name])
        return [PURE[name]], name
    kind = rng.random() * (0.35 + 0.65 * level.hardness)
    if kind < 0.35:
        name = rng.choice(("white", "white", "black", "grey", *COLOURS))
        value = jitter(COLOURS[name], rng, 6)
        canvas.fill_all(value)
        return [value], name
    if kind < 0.5:
        value = _any_colour(rng)
        canvas.fill_all(value)
        return [value], ""
    base = _any_colour(rng)
    if kind < 0.72:
        other = jitter(base, rng, 45)
        corners = np.array([[base, other], [jitter(other, rng, 20), other]], np.uint8)
        if rng.random() < 0.5:
            corners[1] = corners[0] if rng.random() < 0.5 else corners[0, ::-1]
        canvas.pixels[:] = cv2.resize(corners, (canvas.width, canvas.height), interpolation=cv2.INTER_LINEAR)
        return [base, other], ""
    noise = np.random.default_rng(rng.getrandbits(32))
    cells = rng.choice((4, 8, 16, 32))
    across, down = max(canvas.width // cells, 2), max(canvas.height // cells, 2)
    tones = 1 if rng.random() < 0.5 else 3
    grain = noise.integers(-22, 23, (down, across, tones)) + np.array(base)
    texture = grain.clip(0, 255).astype(np.uint8)
    smooth = cv2.INTER_NEAREST if rng.random() < 0.3 else cv2.INTER_LINEAR
    canvas.pixels[:] = cv2.resize(texture, (canvas.width, canvas.height), interpolation=smooth)
    return [base], ""


def jitter(colour: Colour, rng: Random, amount: int) -> Colour:
    red, green, blue = (min(max(part + rng.randint(-amount, amount), 0), 255) for part in colour)
    return red, green, blue


def _any_colour(rng: Random) -> Colour:
    """Mostly pale or dark, as grounds are."""
    low, high = rng.choice(((190, 255), (190, 255), (0, 70), (90, 190)))
    return rng.randint(low, high), rng.randint(low, high), rng.randint(low, high)
