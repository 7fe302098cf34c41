"""Tables of numbers, with names down the side and headings on top."""

from __future__ import annotations

from random import Random

from nano.scenes import words
from nano.scenes.canvas import Canvas
from nano.scenes.fonts import load_font
from nano.scenes.grounds import jitter
from nano.scenes.scattered import render_words
from nano.scenes.scene import Box, Colour, Scene
from nano.scenes.sizes import Level, choose_size, unit
from nano.scenes.styles import choose_face, choose_scheme


def render_table(rng: Random, level: Level) -> Scene:
    """Facts: columns, rows, cells {(row, column): text}, boxes {(row, column): box}."""
    table = _Table(rng, level)
    if not table.columns:  # too narrow for this font
        return render_words(rng, level)
    table.lay_out(rng)
    table.rule(rng)
    cells, boxes = table.fill(rng)
    table.canvas.wear(rng, level.hardness)
    return table.canvas.finish("documents", "table", columns=table.columns, rows=table.rows, cells=cells, boxes=boxes)


class _Table:
    """The columns that fit a picture; then their places and the rows; then rules; then what stands in the cells."""

    def __init__(self, rng: Random, level: Level) -> None:
        width, height = choose_size(rng, level)
        pixel = unit(width, height, level)
        self.scheme = choose_scheme(rng, level)
        self.canvas = Canvas(width, height, self.scheme.paper)
        self.font = load_font(choose_face(rng, "sans", "serif", "mono"), round(rng.uniform(13, 19) * pixel))
        self.pad = round(self.font.size * rng.uniform(0.35, 0.7))
        self.tall = self.font.size + 2 * self.pad
        self.margin = 4 + round(0.02 * width)
        self.room = width - 2 * self.margin
        self.names = rng.choice((words.FIRST_NAMES, words.CITIES, words.GOODS))
        self.widths = [max(self.font.width(name) for name in self.names) + 2 * self.pad]
        self.columns: list[str] = []
        for heading in rng.sample(words.TOPICS + words.MONTHS, 5):
            wide = max(self.font.width(heading), self.font.width("8888")) + 2 * self.pad
            if sum(self.widths) + wide > self.room:
                break
            self.columns.append(heading)
            self.widths.append(wide)

    def lay_out(self, rng: Random) -> None:
        most = (self.canvas.height - 2 * self.margin) // self.tall - 1
        self.rows = rng.sample(self.names, max(1, min(rng.randint(2, 7), most)))
        spare = (self.room - sum(self.widths)) / len(self.widths) * rng.uniform(0.2, 1.0)
        widths = [round(wide + spare) for wide in self.widths]
        self.edges = [self.margin + sum(widths[:number]) for number in range(len(widths) + 1)]

    def rule(self, rng: Random) -> None:
        """Grounds and lines under what is written."""
        canvas, scheme, edges, margin, tall = self.canvas, self.scheme, self.edges, self.margin, self.tall
        bottom = margin + tall * (len(self.rows) + 1)
        striped, ruled = rng.random() < 0.5, rng.random() < 0.6
        band = jitter(scheme.paper, rng, 14)
        if rng.random() < 0.6:
            canvas.rectangle((edges[0], margin, edges[-1], margin + tall), _mix(scheme.accent, scheme.paper, 0.75))
        for number in range(len(self.rows)):
            top = margin + tall * (number + 1)
            if striped and number % 2:
                canvas.rectangle((edges[0], top, edges[-1], top + tall), band)
            if ruled:
                canvas.rectangle((edges[0], top, edges[-1], top + 1), scheme.faint)
        if ruled and rng.random() < 0.6:
            canvas.frame((edges[0], margin, edges[-1], bottom), scheme.faint)
            for edge in edges[1:-1]:
                canvas.rectangle((edge, margin, edge + 1, bottom), scheme.faint)

    def fill(self, rng: Random) -> tuple[dict[tuple[str, str], str], dict[tuple[str, str], Box]]:
        """The numbers and their boxes, each under (row, column)."""
        right = rng.random() < 0.5
        for number, heading in enumerate(self.columns, start=1):
            self._write(0, number, heading, "heading", right)
        cells: dict[tuple[str, str], str] = {}
        boxes: dict[tuple[str, str], Box] = {}
        digits = rng.choice((1, 2, 2, 3, 4))
        for number, name in enumerate(self.rows, start=1):
            self._write(number, 0, name, "label", right)
            for place, heading in enumerate(self.columns, start=1):
                cells[name, heading] = words.invent_number(rng, digits)
                boxes[name, heading] = self._write(number, place, cells[name, heading], "value", right)
        return cells, boxes

    def _write(self, row: int, column: int, text: str, role: str, right: bool) -> Box:
        x = self.edges[column] + self.pad
        if right and column:
            x = self.edges[column + 1] - self.pad - self.font.width(text)
        y = self.margin + self.tall * row + self.pad + round(self.font.size * 0.88)
        return self.canvas.text(x, y, text, self.font, self.scheme.ink, role=role)


def _mix(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue
