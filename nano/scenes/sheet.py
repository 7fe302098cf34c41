"""What all charts are drawn on."""

from __future__ import annotations

import math
from random import Random

from nano.scenes import words
from nano.scenes.canvas import Canvas
from nano.scenes.fonts import Font, load_font
from nano.scenes.scene import COLOURS, Box
from nano.scenes.sizes import Level, choose_size, unit
from nano.scenes.styles import Scheme, choose_face, choose_scheme, fit_font

YEARS = tuple(str(year) for year in range(1998, 2030))
CATEGORIES = (words.CITIES, words.MONTHS, words.GOODS, words.FIRST_NAMES, tuple("ABCDEFGHJKLM"))


class Sheet:
    """What all charts share: a canvas, its fonts, a title on top and the box left for the plot."""

    def __init__(self, rng: Random, level: Level, least: tuple[int, int]) -> None:
        width, height = choose_size(rng, level, least=least)
        # Nobody draws charts as long strips.
        width, height = min(width, round(2.2 * height)), min(height, round(1.7 * width))
        self.pixel = unit(width, height, level)
        self.scheme: Scheme = choose_scheme(rng, level)
        self.canvas = Canvas(width, height, self.scheme.paper)
        self.font: Font = load_font(choose_face(rng, "sans", "sans", "serif"), round(rng.uniform(12, 16) * self.pixel))
        margin = round(0.03 * min(width, height)) + 2
        self.left, self.top, self.right, self.bottom = margin, margin, width - margin, height - margin
        self.title = rng.choice(words.TOPICS)
        if width > 170 * self.pixel and rng.random() < 0.6:
            self.title += rng.choice((f" {rng.choice(YEARS)}", f" in {rng.choice(words.CITIES)}", " per month"))
        face = choose_face(rng, "sans", "serif")
        heading = fit_font(face, self.font.size * rng.uniform(1.1, 1.5), self.title, width - 8, self.font.size * 0.8)
        if heading.width(self.title) > width - 8:
            self.title = self.title.split(" ")[0]
        x = (width - heading.width(self.title)) // 2 if rng.random() < 0.7 else margin
        self.canvas.text(x, self.top + heading.size, self.title, heading, self.scheme.ink, role="heading")
        self.top += round(heading.size * 1.5)

    def centred(self, x: float, baseline: int, text: str, role: str) -> Box:
        start = round(x - self.font.width(text) / 2)
        return self.canvas.text(start, baseline, text, self.font, self.scheme.ink, role=role)

    def colours(self, rng: Random, count: int) -> list[str]:
        paper = self.scheme.paper
        usable = [name for name, value in COLOURS.items() if math.dist(value, paper) > 110]
        return rng.sample(usable, count)
