"""Pie charts."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import numpy as np

from nano.scenes.canvas import Canvas
from nano.scenes.grounds import jitter
from nano.scenes.scene import COLOURS, Scene, SceneObject
from nano.scenes.sheet import CATEGORIES, Sheet
from nano.scenes.sizes import Level

WRITTEN_AT = 0.62  # of the radius


def render_pie(rng: Random, level: Level) -> Scene:
    """The values are per cent; names stand in a legend, per cents at times in their slices."""
    pie = _Pie(rng, level)
    start = rng.uniform(0, 2 * math.pi)
    written = rng.random() < 0.6
    pie.fill(rng, start)
    readable = pie.write_values(start) if written else []
    pie.add_legend()
    canvas = pie.sheet.canvas
    canvas.wear(rng, level.hardness)
    return canvas.finish(
        "charts", "pie", kind="pie chart", part="slice", title=pie.sheet.title, axes={},
        values=dict(zip(pie.names, pie.values, strict=True)), colours=dict(zip(pie.names, pie.colours, strict=True)),
        readable=readable,
    )  # fmt: skip


class _Pie:
    """A pie with its legend: beside it in a wide picture, else below."""

    def __init__(self, rng: Random, level: Level) -> None:
        sheet = self.sheet = Sheet(rng, level, (1, 1))
        font = sheet.font
        count = rng.randint(2, 6)
        names = rng.sample(rng.choice(CATEGORIES), count)
        self.leading = round(font.size * 1.4)
        self.beside = sheet.canvas.width > sheet.canvas.height
        if self.beside:
            count = min(count, max(2, (sheet.bottom - sheet.top) // self.leading))
            legend = max(map(font.width, names)) + round(font.size * 1.6)
            radius = min(sheet.right - sheet.left - legend - font.size, sheet.bottom - sheet.top) / 2
        else:
            count = min(count, max(2, round((sheet.bottom - sheet.top) * 0.45) // self.leading))
            high = sheet.bottom - sheet.top - self.leading * count - font.size
            radius = min(sheet.right - sheet.left, high) / 2
        self.names = names[:count]
        self.radius = max(radius, 20.0)
        self.middle = np.array((sheet.left + self.radius, sheet.top + self.radius))
        self.colours = sheet.colours(rng, count)
        self.values = _choose_shares(rng, count)

    def fill(self, rng: Random, start: float) -> None:
        """Slices one after another, from the angle `start` on."""
        canvas = self.sheet.canvas
        rows, columns = np.mgrid[0 : canvas.height, 0 : canvas.width] + 0.5
        y, x = rows - self.middle[1], columns - self.middle[0]
        turn = (np.arctan2(y, x) - start) % (2 * math.pi)
        inside = np.hypot(y, x) <= self.radius
        for name, value, colour in zip(self.names, self.values, self.colours, strict=True):
            sweep = value / 100 * 2 * math.pi
            turns = np.linspace(start, start + sweep, max(3, round(value)))
            arc = self.middle + self.radius * np.stack((np.cos(turns), np.sin(turns)), 1)
            canvas.fill(np.vstack((self.middle, arc)), jitter(COLOURS[colour], rng, 8))
            canvas.objects.append(SceneObject("slice", (0, 0, 0, 0), colour, "", name))
            start += sweep
        _own_slices(canvas, inside, turn, self.values)

    def write_values(self, start: float) -> list[str]:
        """Write per cents into the slices wide enough for them; returns these slices' names."""
        font, reach = self.sheet.font, self.radius * WRITTEN_AT
        readable: list[str] = []
        for name, value, colour in zip(self.names, self.values, self.colours, strict=True):
            sweep, text = value / 100 * 2 * math.pi, f"{value}%"
            if 2 * reach * math.sin(min(sweep, math.pi) / 2) > font.width(text):
                half = start + sweep / 2
                x, y = self.middle + reach * np.array((math.cos(half), math.sin(half)))
                place = (round(x) - font.width(text) // 2, round(y) + font.cap_height // 2)
                ink = (255, 255, 255) if sum(COLOURS[colour]) < 420 else (15, 15, 20)
                self.sheet.canvas.text(*place, text, font, ink, role="value")
                readable.append(name)
            start += sweep
        return readable

    def add_legend(self) -> None:
        sheet, font = self.sheet, self.sheet.font
        key, wide = round(font.size * 0.8), round(2 * self.radius)
        x = sheet.left + wide + font.size if self.beside else sheet.left
        y = sheet.top if self.beside else sheet.top + wide + round(font.size * 0.6)
        for name, colour in zip(self.names, self.colours, strict=True):
            box = (x, y, x + key, y + key)
            sheet.canvas.rectangle(box, COLOURS[colour])
            sheet.canvas.claim(SceneObject("key", box, colour, "", name))
            sheet.canvas.text(x + round(key * 1.5), y + key, name, font, sheet.scheme.ink, role="label")
            y += self.leading


def _choose_shares(rng: Random, count: int) -> list[int]:
    """Multiples of 5 with the sum 100, one of them above all others."""
    while True:
        shares = [rng.randint(1, 10) for _ in range(count)]
        values = [round(20 * share / sum(shares)) * 5 for share in shares]
        ordered = sorted(values)
        if sum(values) == 100 and ordered[0] >= 5 and ordered[-1] > ordered[-2]:
            return values


def _own_slices(canvas: Canvas, inside: np.ndarray, turn: np.ndarray, values: list[int]) -> None:
    """Give each slice its pixels, and the box of these: the tip of a thin slice is narrower than a pixel."""
    first = len(canvas.objects) - len(values)
    ends = np.cumsum(values) / 100 * 2 * math.pi
    slices = np.minimum(np.searchsorted(ends, turn, side="right"), len(values) - 1)
    canvas.owner[inside] = (slices + first + 1)[inside]
    for number in range(first, len(canvas.objects)):
        own = canvas.owner == number + 1
        rows, columns = np.flatnonzero(own.any(1)), np.flatnonzero(own.any(0))
        box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
        canvas.objects[number] = replace(canvas.objects[number], box=box)
