"""Answer text -> boxes, and whatever in it is no box.

The model writes `<|ref|>label<|/ref|><|det|>[[x1, y1, x2, y2], ...]<|/det|>`, any number of times and with
text between, in integers 0..999 over the original picture. Nothing here evaluates text or raises on it: what can
be read as a box is one, with notes on what was mended, and all else is a `Problem` with its place. Tags and
brackets are each scanned once, so the time is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from dsvl2_app.errors import fill

LARGEST = 999

_TAG = re.compile(r"<\|/?(?:ref|det)\|>")
_TOKEN = re.compile(r"[\[\],]|[+-]?[0-9]+(?:\.[0-9]*)?|[^\[\],\s]")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_EXCERPT = 40  # characters


@dataclass(frozen=True, slots=True)
class Box:
    """Corners in 0..999 of the picture's sides, x1 <= x2, y1 <= y2; `label` is "" where the text has none."""

    label: str
    x1: int
    y1: int
    x2: int
    y2: int
    notes: tuple[str, ...] = ()  # what was mended: "clipped", "corners swapped"

    def pixels(self, width: float, height: float) -> tuple[float, float, float, float]:
        """Left, top, right, bottom in a picture of that size."""
        across, down = width / LARGEST, height / LARGEST
        return self.x1 * across, self.y1 * down, self.x2 * across, self.y2 * down

    @property
    def corners(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom in 0..999."""
        return self.x1, self.y1, self.x2, self.y2

    def centre(self, width: float, height: float) -> tuple[float, float]:
        """Of the box, in a picture of that size: the point that stands for it."""
        left, top, right, bottom = self.pixels(width, height)
        return (left + right) / 2, (top + bottom) / 2


@dataclass(frozen=True, slots=True)
class Problem:
    """Its sentence and values are apart, as in an AppError, so that it can be said in another language."""

    place: int  # index of the first character concerned
    sentence: str
    values: dict[str, Any]
    excerpt: str

    @property
    def what(self) -> str:
        return fill(self.sentence, self.values)

    def describe(self) -> dict[str, Any]:
        return {"place": self.place, "what": self.what, "excerpt": self.excerpt}


@dataclass(frozen=True, slots=True)
class Parsed:
    boxes: tuple[Box, ...]
    problems: tuple[Problem, ...]
    starts: tuple[int, ...] = ()  # of each box, the index of its first character


def parse_boxes(text: str, *, complete: bool = True) -> Parsed:
    """All boxes and problems in `text`, whose end may be unfinished with `complete=False`, while it streams."""
    reader = _Reader(text, complete)
    reader.read()
    problems = sorted(reader.problems, key=lambda problem: problem.place)
    return Parsed(tuple(reader.boxes), tuple(problems), tuple(reader.starts))


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two boxes, each as left, top, right and bottom in any one unit."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(across, 0) * max(down, 0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return shared / (areas - shared) if shared else 0.0


class _Reader:
    def __init__(self, text: str, complete: bool) -> None:
        self.text = text
        self.complete = complete
        self.boxes: list[Box] = []
        self.starts: list[int] = []
        self.problems: list[Problem] = []

    def report(self, place: int, sentence: str, **values: Any) -> None:
        excerpt = self.text[place : place + _EXCERPT]
        if place + _EXCERPT < len(self.text):
            excerpt += "…"
        self.problems.append(Problem(place, sentence, values, excerpt))

    def read(self) -> None:
        tags = list(_TAG.finditer(self.text))
        label, label_place = "", None  # of a <|ref|> that still waits for its <|det|>
        closed = False  # whether this tag closes the one before
        for tag, following in zip_longest(tags, tags[1:]):
            place, kind = tag.start(), tag.group()
            end = following.start() if following else len(self.text)
            if kind in ("<|/ref|>", "<|/det|>"):
                if not closed:
                    self.report(place, "{tag} closes nothing", tag=kind)
                closed = False
                continue
            closed = following is not None and following.group() == kind.replace("<|", "<|/")
            unfinished = following is None and not self.complete
            if not closed and not unfinished:
                self.report(place, "{tag} is not closed", tag=kind)
            if kind == "<|ref|>":
                if label_place is not None:
                    self.report(label_place, "a label without boxes")
                label, label_place = (self.text[tag.end() : end], place) if closed else ("", None)
            else:
                self.read_list(tag.end(), end, label, unfinished)
                label, label_place = "", None
        # Words behind the last label say something of it, such as that there is none.
        if label_place is not None and self.complete and not self.text[tags[-1].end() :].strip():
            self.report(label_place, "a label without boxes")

    def read_list(self, start: int, end: int, label: str, unfinished: bool) -> None:
        """The text between <|det|> and the next tag. Depth 1 is the list, depth 2 a box."""
        if unfinished:
            end -= _started_closing(self.text[start:end])
        found = len(self.boxes) + len(self.problems)
        depth, opened, nested, reported = 0, start, False, False
        inside: list[str] = []  # tokens of the box that began at `opened`
        for token in _TOKEN.finditer(self.text, start, end):
            place, word = token.start(), token.group()
            if word == "[":
                depth += 1
                if depth == 2:
                    opened, nested, inside = place, False, []
                nested = nested or depth > 2
                reported = False
            elif word == "]" and depth:
                if depth == 2:
                    self.read_box(opened, inside, nested, label)
                depth -= 1
            elif depth >= 2:
                inside.append(word)
            elif not reported and not (depth == 1 and word == ","):
                self.report(place, "this is not part of a list [[x1, y1, x2, y2], ...]")
                reported = True  # once, not for each of its words
        if unfinished:
            return
        if depth >= 2:
            self.report(opened, "a box that does not end")
        elif depth == 1:
            self.report(start, "a list of boxes that does not end")
        elif found == len(self.boxes) + len(self.problems):
            self.report(start, "no boxes")

    def read_box(self, place: int, inside: list[str], nested: bool, label: str) -> None:
        numbers = [word for word in inside if word != ","]
        strange = next((word for word in numbers if not _INTEGER.fullmatch(word)), None)
        if nested:
            self.report(place, "brackets inside a box")
        elif strange is not None:
            self.report(place, "{word!r} is not a whole number", word=strange[:_EXCERPT])
        elif len(numbers) != 4:
            self.report(place, "a box needs 4 numbers and has {number}", number=len(numbers))
        elif inside[::2] != numbers:
            self.report(place, "a box with misplaced commas")
        else:
            self.boxes.append(_mend(label, numbers))
            self.starts.append(place)


def _mend(label: str, words: list[str]) -> Box:
    x1, y1, x2, y2 = corners = [_clip(word) for word in words]
    notes: list[str] = []
    if any(str(corner) != (word.lstrip("+0") or "0") for corner, word in zip(corners, words, strict=True)):
        notes.append("clipped")
    if x1 > x2 or y1 > y2:
        notes.append("corners swapped")
    return Box(label, min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2), tuple(notes))


def _clip(word: str) -> int:
    digits = word.lstrip("+-0")
    if word.startswith("-"):
        return 0
    return LARGEST if len(digits) > 3 else int(digits or "0")  # never int() of a million digits


def _started_closing(text: str) -> int:
    """How many characters at the end of `text` are the beginning of a closing tag."""
    closing = "<|/det|>"
    return next((size for size in range(len(closing) - 1, 0, -1) if text.endswith(closing[:size])), 0)
