"""Icons, as strokes of a pen."""

from __future__ import annotations

import math

import numpy as np

from nano.scenes.canvas import Canvas
from nano.scenes.scene import Box, Colour

# Strokes of each icon on a 100 x 100 grid: fill, line or loop through points, ring or disc around a point by a radius.
_ICON_STROKES = {
    "home": "fill 0,50 50,5 100,50; fill 15,50 85,50 85,95 15,95",
    "search": "ring 40,40 33; line 64,64 94,94",
    "mail": "loop 4,18 96,18 96,82 4,82; line 6,22 50,58 94,22",
    "bell": "fill 30,20 50,6 70,20 76,60 92,78 8,78 24,60; disc 50,88 9",
    "lock": "ring 50,34 24; fill 14,42 86,42 86,96 14,96",
    "trash": "fill 18,30 82,30 74,97 26,97; line 8,18 92,18; line 38,7 62,7",
    "plus": "line 50,6 50,94; line 6,50 94,50",
    "play": "fill 14,5 94,50 14,95",
    "menu": "line 6,20 94,20; line 6,50 94,50; line 6,80 94,80",
    "user": "disc 50,28 22; fill 8,97 16,68 36,56 64,56 84,68 92,97",
    "camera": "loop 4,26 30,26 38,12 62,12 70,26 96,26 96,88 4,88; disc 50,56 18",
    "download": "line 50,4 50,60; line 26,38 50,64 74,38; line 6,68 6,93 94,93 94,68",
}


def draw_icon(canvas: Canvas, name: str, x: int, y: int, side: int, colour: Colour) -> Box:
    """Returns the tight box of the drawing."""
    thickness = max(2, round(side / 9))
    low, high = np.array((np.inf, np.inf)), np.array((-np.inf, -np.inf))
    for strokes in _ICON_STROKES[name].split("; "):
        stroke, *places = strokes.split(" ")
        radius = 0.0 if "," in places[-1] else float(places.pop()) / 100 * side
        points = np.array([place.split(",") for place in places], float) / 100 * side + (x, y)
        reach = thickness / 2
        if radius:
            centre_x, centre_y = points[0]
            points = disc(centre_x, centre_y, radius)
        if stroke in ("fill", "disc"):
            canvas.fill(points, colour)
            reach = 0.0
        else:
            canvas.outline(points, colour, thickness, closed=stroke != "line")
        low, high = np.minimum(low, points.min(0) - reach), np.maximum(high, points.max(0) + reach)
    left, top = (max(0, round(edge)) for edge in low)
    return left, top, min(round(high[0]), canvas.width), min(round(high[1]), canvas.height)


def disc(x: float, y: float, radius: float) -> np.ndarray:
    turns = np.linspace(0, 2 * math.pi, 24, endpoint=False)
    return np.stack((x + radius * np.cos(turns), y + radius * np.sin(turns)), 1)
