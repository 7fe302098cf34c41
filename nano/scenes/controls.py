"""What a window looks like, and its checkboxes, switches and radio buttons, `side` px tall."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np

from nano.scenes.canvas import Canvas
from nano.scenes.grounds import jitter
from nano.scenes.icons import disc
from nano.scenes.scene import COLOURS, Box, Colour


@dataclass(frozen=True, slots=True)
class Theme:
    ground: Colour
    panel: Colour
    ink: Colour
    edge: Colour
    primary: str  # colour name
    radius: int
    dark: bool


def choose_theme(rng: Random, pixel: float) -> Theme:
    radius = round(rng.choice((0, 0, 3, 6, 12)) * pixel)
    primary = rng.choice(("blue", "green", "red", "purple", "orange", "blue", "black"))
    if rng.random() < 0.3:
        ground = jitter((36, 38, 44), rng, 12)
        primary = "blue" if primary == "black" else primary
        return Theme(ground, jitter((56, 58, 66), rng, 6), (232, 232, 236), (104, 108, 118), primary, radius, True)
    ground = rng.choice(((255, 255, 255), (246, 247, 250), (238, 238, 238), (225, 232, 240)))
    return Theme(ground, (255, 255, 255), (28, 28, 34), (160, 164, 172), primary, radius, False)


def ink_on(colour: Colour) -> Colour:
    return (255, 255, 255) if 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2] < 150 else (20, 20, 24)


def draw_checkbox(canvas: Canvas, theme: Theme, x: int, y: int, side: int, state: bool) -> Box:
    box = (x, y, x + side, y + side)
    if state:
        colour = COLOURS[theme.primary]
        canvas.rectangle(box, colour)
        tick = np.array(((0.2, 0.52), (0.42, 0.75), (0.8, 0.25))) * side + (x, y)
        canvas.outline(tick, ink_on(colour), max(2, side // 8), closed=False)
    else:
        canvas.rectangle(box, theme.panel)
        canvas.frame(box, theme.edge, max(1, side // 10))
    return box


def draw_switch(canvas: Canvas, theme: Theme, x: int, y: int, side: int, state: bool) -> Box:
    box = (x, y, x + round(1.8 * side), y + side)
    canvas.rectangle(box, COLOURS[theme.primary] if state else theme.edge, radius=side // 2)
    middle = box[2] - side / 2 if state else x + side / 2
    canvas.fill(disc(middle, y + side / 2, 0.36 * side), (255, 255, 255))
    return box


def draw_radio(canvas: Canvas, theme: Theme, x: int, y: int, side: int, state: bool) -> Box:
    middle = (x + side / 2, y + side / 2)
    canvas.fill(disc(*middle, side / 2), COLOURS[theme.primary] if state else theme.edge)
    canvas.fill(disc(*middle, side * 0.38), theme.panel)
    if state:
        canvas.fill(disc(*middle, side * 0.24), COLOURS[theme.primary])
    return (x, y, x + side, y + side)
