"""Bar, line and pie charts whose values can be read off them."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import numpy as np

from nano.scenes import words
from nano.scenes.grounds import jitter
from nano.scenes.pies import render_pie
from nano.scenes.scene import COLOURS, Scene, SceneObject
from nano.scenes.sheet import CATEGORIES, YEARS, Sheet
from nano.scenes.sizes import Level

UNITS = ("EUR", "USD", "kg", "Units", "Points", "mm", "Hours", "Count", "Percent")


def render(rng: Random, level: Level = Level(), variety: str = "") -> Scene:  # noqa: B008 - frozen value
    """Facts: kind, part, title, axes {"x": label, "y": label}, values {name: number}, colours {name: colour},
    and `readable`, the names whose values are written or lie on a tick.
    """
    variety = variety or rng.choices(list(VARIETIES), (55, 22, 23))[0]
    return VARIETIES[variety](rng, level)


def _choose_values(rng: Random, count: int, step: int, most: int = 10) -> list[int]:
    """Multiples of `step`, the largest alone at the top by at least one step."""
    parts = [rng.randint(1, most) for _ in range(count)]
    top = max(range(count), key=parts.__getitem__)
    parts[top] = max(parts[top], min(most, max([part for n, part in enumerate(parts) if n != top], default=0) + 1))
    for number, part in enumerate(parts):
        if number != top and part >= parts[top]:
            parts[number] = parts[top] - 1
    return [part * step for part in parts]


def _axes(sheet: Sheet, rng: Random, highest: int, step: int) -> tuple[Callable[[float], float], dict[str, str], int]:
    """Draw both axes with ticks and grid lines; returns value -> y, the labels, and the step of the written
    ticks.
    """
    canvas, font, scheme = sheet.canvas, sheet.font, sheet.scheme
    labels: dict[str, str] = {}
    if sheet.right - sheet.left > 200 * sheet.pixel and rng.random() < 0.5:
        labels["y"] = rng.choice(UNITS)
        canvas.text(sheet.left, sheet.top + font.size, labels["y"], font, scheme.ink, role="axis")
        sheet.top += round(font.size * 1.5)
    if sheet.bottom - sheet.top > 170 * sheet.pixel and rng.random() < 0.4:
        labels["x"] = rng.choice(("Month", "Year", "City", "Name", "Item", "Group"))
        sheet.centred((sheet.left + sheet.right) / 2, sheet.bottom - 2, labels["x"], "axis")
        sheet.bottom -= round(font.size * 1.35)
    sheet.bottom -= round(font.size * 1.5)  # the names below the axis
    sheet.left += font.width(str(highest)) + round(5 * sheet.pixel)
    ceiling = sheet.top + round(font.size * 1.2)
    ticks = highest // step
    skip = max(1, math.ceil(ticks * font.size * 1.25 / (sheet.bottom - ceiling)))

    def height_of(value: float) -> float:
        return sheet.bottom - (sheet.bottom - ceiling) * value / highest

    line = max(1, round(sheet.pixel))
    grid = rng.random() < 0.6
    for tick in range(0, ticks + 1, skip):
        y = round(height_of(tick * step))
        if grid:
            canvas.rectangle((sheet.left, y, sheet.right, y + line), scheme.faint)
        text = str(tick * step)
        x = sheet.left - font.width(text) - round(4 * sheet.pixel)
        canvas.text(x, y + font.cap_height // 2, text, font, scheme.ink, role="tick")
    canvas.rectangle((sheet.left, ceiling, sheet.left + line, sheet.bottom), scheme.ink)
    canvas.rectangle((sheet.left, sheet.bottom, sheet.right, sheet.bottom + line), scheme.ink)
    return height_of, labels, skip * step


def _choose_names(rng: Random, sheet: Sheet, wanted: int, room: int) -> list[str]:
    """Names that fit side by side into `room`."""
    names = rng.choice(CATEGORIES)
    if names is words.MONTHS:
        start = rng.randrange(12)
        chosen = [words.MONTHS[(start + number) % 12] for number in range(wanted)]
    else:
        chosen = rng.sample(names, wanted)
    while len(chosen) > 2 and max(map(sheet.font.width, chosen)) > room / len(chosen) - 3:
        chosen.pop()
    if max(map(sheet.font.width, chosen)) > room / len(chosen) - 3:
        chosen = rng.sample("ABCDEFGHJKLM", min(wanted, 4))
    return chosen


def render_bars(rng: Random, level: Level) -> Scene:
    sheet = Sheet(rng, level, (1, 1))
    canvas = sheet.canvas
    step = rng.choice((1, 2, 5, 10, 10, 20, 50, 100))
    names = _choose_names(rng, sheet, rng.randint(2, 7), sheet.right - sheet.left - sheet.font.width("1000"))
    values = _choose_values(rng, len(names), step, rng.randint(4, 10))
    height_of, labels, tick = _axes(sheet, rng, max(values) + (step if rng.random() < 0.3 else 0), step)
    pitch = (sheet.right - sheet.left) / len(names)
    colours = sheet.colours(rng, len(names)) if rng.random() < 0.6 else sheet.colours(rng, 1) * len(names)
    share = rng.uniform(0.5, 0.8)
    written = rng.random() < 0.55
    readable = {name for name, value in zip(names, values, strict=True) if value % tick == 0}
    for number, (name, value, colour) in enumerate(zip(names, values, colours, strict=True)):
        middle = sheet.left + pitch * (number + 0.5)
        box = (
            round(middle - pitch * share / 2), round(height_of(value)),
            round(middle + pitch * share / 2), sheet.bottom,
        )  # fmt: skip
        canvas.rectangle(box, jitter(COLOURS[colour], rng, 8))
        canvas.claim(SceneObject("bar", box, colour, "", name))
        sheet.centred(middle, sheet.bottom + round(sheet.font.size * 1.15), name, "label")
        if written and sheet.font.width(str(value)) < pitch:
            readable.add(name)
            sheet.centred(middle, box[1] - round(3 * sheet.pixel), str(value), "value")
    canvas.wear(rng, level.hardness)
    return canvas.finish(
        "charts", "bar", kind="bar chart", part="bar", title=sheet.title, axes=labels,
        values=dict(zip(names, values, strict=True)), colours=dict(zip(names, colours, strict=True)),
        readable=[name for name in names if name in readable],
    )  # fmt: skip


def render_line(rng: Random, level: Level) -> Scene:
    sheet = Sheet(rng, level, (1, 1))
    canvas = sheet.canvas
    step = rng.choice((1, 2, 5, 10, 10, 20, 50))
    room = sheet.right - sheet.left - sheet.font.width("1000")
    if rng.random() < 0.5:
        start = rng.randrange(len(YEARS) - 7)
        names = list(YEARS[start : start + rng.randint(3, 7)])
    else:
        start = rng.randrange(12)
        names = [words.MONTHS[(start + number) % 12] for number in range(rng.randint(3, 7))]
    while len(names) > 2 and max(map(sheet.font.width, names)) > room / len(names) - 4:
        names.pop()
    values = _choose_values(rng, len(names), step, rng.randint(4, 10))
    height_of, labels, tick = _axes(sheet, rng, max(values), step)
    pitch = (sheet.right - sheet.left) / len(names)
    (colour,) = sheet.colours(rng, 1)
    points = np.array([(sheet.left + pitch * (number + 0.5), height_of(value)) for number, value in enumerate(values)])
    value = jitter(COLOURS[colour], rng, 8)
    canvas.outline(points, value, max(2, round(2 * sheet.pixel)), closed=False)
    radius = rng.uniform(3, 5) * sheet.pixel
    turns = np.linspace(0, 2 * math.pi, 20, endpoint=False)
    written = rng.random() < 0.4
    for name, number, (x, y) in zip(names, values, points, strict=True):
        canvas.fill(np.stack((x + radius * np.cos(turns), y + radius * np.sin(turns)), 1), value)
        box = (
            max(math.floor(x - radius), 0), max(math.floor(y - radius), 0),
            min(math.ceil(x + radius), canvas.width), min(math.ceil(y + radius), canvas.height),
        )  # fmt: skip
        canvas.claim(SceneObject("point", box, colour, "", name))
        sheet.centred(x, sheet.bottom + round(sheet.font.size * 1.15), name, "label")
        if written:
            sheet.centred(x, box[1] - round(4 * sheet.pixel), str(number), "value")
    canvas.wear(rng, level.hardness)
    return canvas.finish(
        "charts", "line", kind="line chart", part="point", title=sheet.title, axes=labels,
        values=dict(zip(names, values, strict=True)), colours={"line": colour},
        readable=[name for name, value in zip(names, values, strict=True) if written or value % tick == 0],
    )  # fmt: skip


VARIETIES: dict[str, Callable[[Random, Level], Scene]] = {
    "bar": render_bars,
    "line": render_line,
    "pie": render_pie,
}
