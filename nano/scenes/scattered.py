"""Scattered words: one to ten, each in a size, colour and place of its own."""

from __future__ import annotations

from random import Random

from nano.scenes import words
from nano.scenes.canvas import Canvas, overlap
from nano.scenes.grounds import jitter, paint_ground
from nano.scenes.scene import COLOURS, Box, Colour, Scene
from nano.scenes.sizes import Level, choose_size, unit
from nano.scenes.styles import ANY_STYLE, choose_face, choose_scheme, fit_font


def render_words(rng: Random, level: Level) -> Scene:
    """One to nine words and numbers, each in a size, colour and place of its own."""
    width, height = choose_size(rng, level)
    pixel = unit(width, height, level)
    canvas = Canvas(width, height)
    if rng.random() < 0.6:
        scheme = choose_scheme(rng, level)
        canvas.fill_all(scheme.paper)
        grounds = [scheme.paper]
    else:
        grounds, _ = paint_ground(canvas, rng, level)
    face = choose_face(rng, *ANY_STYLE)
    area = width * height / (pixel * 182) ** 2
    wanted = rng.randint(1, 3) if level.hardness < 0.3 else rng.randint(1, min(3 + round(3 * area), 10))
    low, high = (22, 44) if level.hardness < 0.3 else (15, 40)
    taken: list[Box] = []
    for _ in range(wanted):
        if rng.random() < 0.5:
            face = choose_face(rng, *ANY_STYLE)
        text = words.invent_number(rng) if rng.random() < 0.22 else words.invent_word(rng)
        if any(text.lower() == item.text.lower() for item in canvas.objects):
            continue
        size = low + (high - low) * rng.random() ** 1.7
        font = fit_font(face, size * pixel, text, width - 8, 11 * pixel)
        wide, tall = font.width(text), round(font.size * 1.25)
        if wide > width - 6 or tall > height - 6:
            continue
        colour = _ink_on(grounds, rng)
        for _ in range(12):
            x, y = rng.randint(3, width - wide - 3), rng.randint(3, height - tall - 3)
            box = (x - 3, y, x + wide + 3, y + tall)
            if not any(overlap(box, other, margin=2) for other in taken):
                taken.append(box)
                canvas.text(x, y + font.size, text, font, colour[1], role="word", colour_name=colour[0])
                break
    canvas.wear(rng, level.hardness)
    return canvas.finish("documents", "words")


def _ink_on(grounds: list[Colour], rng: Random) -> tuple[str, Colour]:
    def contrast(value: Colour) -> float:
        light = 0.3 * value[0] + 0.59 * value[1] + 0.11 * value[2]
        return min(abs(light - (0.3 * g[0] + 0.59 * g[1] + 0.11 * g[2])) for g in grounds)

    readable = [name for name, value in COLOURS.items() if contrast(value) > 75]
    plain = max(("black", "white"), key=lambda name: contrast(COLOURS[name]))
    name = rng.choice(readable) if readable and rng.random() < 0.6 else plain
    return name, jitter(COLOURS[name], rng, 10)
