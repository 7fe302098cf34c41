"""Things to read: scattered words, pages, receipts, forms and tables, in many typefaces."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from nano.scenes import words
from nano.scenes.canvas import Canvas
from nano.scenes.fonts import Font, load_font
from nano.scenes.records import render_form, render_receipt
from nano.scenes.scattered import render_words
from nano.scenes.scene import Scene
from nano.scenes.sizes import Level, choose_size, unit
from nano.scenes.styles import ANY_STYLE, choose_face, choose_scheme, fit_font
from nano.scenes.tables import render_table


def render(rng: Random, level: Level = Level(), variety: str = "") -> Scene:  # noqa: B008 - frozen value
    if not variety:
        easy, usual = (70, 10, 6, 7, 7), (30, 18, 17, 16, 19)
        weights = [low + (high - low) * level.hardness for low, high in zip(easy, usual, strict=True)]
        variety = rng.choices(list(VARIETIES), weights)[0]
    return VARIETIES[variety](rng, level)


def render_page(rng: Random, level: Level) -> Scene:
    width, height = choose_size(rng, level)
    pixel = unit(width, height, level)
    scheme = choose_scheme(rng, level)
    canvas = Canvas(width, height, scheme.paper)
    margin = round(rng.uniform(0.03, 0.08) * width) + 3
    heading_face, body_face = choose_face(rng, "sans", "serif"), choose_face(rng, *ANY_STYLE)
    room = width - 2 * margin
    title = " ".join(words.invent_word(rng, 3, 8).capitalize() for _ in range(rng.randint(1, 3)))
    heading = fit_font(heading_face, rng.uniform(20, 34) * pixel, title, room, 13 * pixel)
    while heading.width(title) > room and " " in title:
        title = title.rsplit(" ", 1)[0]
    body = load_font(body_face, round(rng.uniform(14, 20) * pixel))
    y = margin + heading.size
    colour = scheme.accent if rng.random() < 0.4 else scheme.ink
    canvas.text(margin, y, title, heading, colour, role="heading")
    y += round(heading.size * 0.5)
    if rng.random() < 0.4:
        canvas.rectangle((margin, y, width - margin, y + max(1, round(pixel))), scheme.faint)
    leading = round(body.size * rng.uniform(1.25, 1.55))
    y += leading
    while y < height - margin:
        for line in wrap(words.invent_sentence(rng), body, room):
            if y >= height - margin * 0.6:
                break
            canvas.text(margin, y, line, body, scheme.ink)
            y += leading
        if rng.random() < 0.35:
            y += round(leading * 0.6)
        if rng.random() < 0.12:
            break
    canvas.wear(rng, level.hardness)
    return canvas.finish("documents", "page", title=title)


def wrap(text: str, font: Font, room: int) -> list[str]:
    lines: list[str] = []
    for word in text.split(" "):
        if font.width(word) > room:
            continue
        if lines and font.width(f"{lines[-1]} {word}") <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


VARIETIES: dict[str, Callable[[Random, Level], Scene]] = {
    "words": render_words,
    "page": render_page,
    "receipt": render_receipt,
    "form": render_form,
    "table": render_table,
}
