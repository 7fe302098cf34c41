"""What a renderer hands over: the picture together with everything that is true of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageColor

from nano.things.vocabulary import known

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom are exclusive
Colour = tuple[int, int, int]

SHAPES = (
    "circle", "square", "rectangle", "triangle", "star", "pentagon",
    "hexagon", "heart", "cross", "diamond", "ellipse",
)  # fmt: skip
ICONS = (
    "home", "search", "mail", "bell", "lock", "trash", "plus", "play", "menu", "user", "camera", "download",
)  # fmt: skip
UNKNOWN_THING = "unknown thing"  # the kind of what nano must not name
SWITCHED = ("checkbox", "switch", "radio button", "tab")  # what can be on or off
# What a patch can show; the index is the class of the vision warm-up.
KINDS = (
    "background", *SHAPES, "word", "button", "field", *SWITCHED,
    "bar", "point", "slice", "key", *(f"{icon} icon" for icon in ICONS), *(f"{kind}, on" for kind in SWITCHED),
    UNKNOWN_THING, *(noun for noun in known() if noun != "key"),  # which charts have as well
)  # fmt: skip
KIND_CODE = {kind: code for code, kind in enumerate(KINDS)}
COLOURS: dict[str, Colour] = {
    "red": (214, 38, 38),
    "green": (40, 158, 62),
    "blue": (38, 82, 214),
    "yellow": (246, 216, 40),
    "orange": (245, 138, 28),
    "purple": (130, 52, 172),
    "pink": (246, 142, 186),
    "brown": (122, 74, 40),
    "black": (22, 22, 24),
    "white": (250, 250, 250),
    "grey": (134, 134, 136),
    "cyan": (48, 206, 222),
}
# The same as programs name them, which draw with nothing in between.
PURE: dict[str, Colour] = {name: ImageColor.getrgb(name)[:3] for name in COLOURS}
COLOUR_CODE = {colour: code for code, colour in enumerate(COLOURS, start=1)}  # 0: no colour of its own


@dataclass(frozen=True, slots=True)
class SceneObject:
    """One thing in the picture. `name` is how people call it ("Save", "star"), `box` is tight."""

    kind: str  # one of KINDS
    box: Box
    colour: str = ""  # one of COLOURS, or "" where colour says nothing
    text: str = ""  # what is written on it
    name: str = ""
    filled: bool = True
    glyph_height: int = 0  # px of a capital letter, for words
    line: int = -1  # index into Scene.lines, for words
    state: bool | None = None  # ticked, switched on, selected

    @property
    def look(self) -> str:
        """Its kind, with its state: which of KINDS a patch of it shows."""
        return f"{self.kind}, on" if self.state else self.kind

    @property
    def centre(self) -> tuple[float, float]:
        left, top, right, bottom = self.box
        return (left + right) / 2, (top + bottom) / 2

    @property
    def area(self) -> int:
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text as people read it."""

    text: str
    box: Box
    role: str  # "heading", "body", "label", ...
    height: int  # px of a capital letter


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture, its objects and its facts.

    `facts` belong to the family: chart values, table cells, totals. The maps say for each pixel: `owner`,
    which object shows there (index + 1, 0 for background); `characters`, which character stands there
    (fonts.CHARACTER_CODE); `order`, the how many-th of its word it is, counted from 0; `capitals`, how tall
    capitals are in its font.
    """

    image: np.ndarray  # uint8 [height, width, 3]
    family: str
    variety: str
    objects: tuple[SceneObject, ...]
    lines: tuple[Line, ...]
    facts: dict[str, Any]
    owner: np.ndarray  # int16 [height, width]
    characters: np.ndarray  # uint8 [height, width], and the two below
    order: np.ndarray
    capitals: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        return self.image.shape[1], self.image.shape[0]

    @property
    def picture(self) -> Image.Image:
        return Image.fromarray(self.image)


def scale_box(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Pixels -> the integers 0..999 over the picture that answers are written in."""
    width, height = size
    left, top, right, bottom = box
    return (
        round(left / width * 999),
        round(top / height * 999),
        round(right / width * 999),
        round(bottom / height * 999),
    )
