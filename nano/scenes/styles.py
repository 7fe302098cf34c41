"""Paper, ink and typefaces of things to read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

from nano.scenes.fonts import Font, find_faces, load_font
from nano.scenes.grounds import jitter
from nano.scenes.scene import COLOURS, Colour
from nano.scenes.sizes import Level


@dataclass(frozen=True, slots=True)
class Scheme:
    paper: Colour
    ink: Colour
    faint: Colour
    accent: Colour


def choose_scheme(rng: Random, level: Level) -> Scheme:
    accent = COLOURS[rng.choice(("red", "green", "blue", "purple", "brown", "orange"))]
    if rng.random() < 0.28 * (0.3 + level.hardness):
        paper = jitter((28, 30, 36), rng, 18)
        return Scheme(paper, jitter((235, 235, 230), rng, 15), (95, 100, 110), _lighten(accent))
    paper = jitter(rng.choice(((253, 253, 253), (253, 253, 253), (246, 240, 225), (232, 240, 246))), rng, 2)
    return Scheme(paper, jitter((25, 25, 28), rng, 22), (178, 180, 184), accent)


def _lighten(colour: Colour) -> Colour:
    red, green, blue = (part + (255 - part) // 2 for part in colour)
    return red, green, blue


def choose_face(rng: Random, *styles: str) -> Path | None:
    faces = find_faces()
    known = [style for style in styles if style in faces] or list(faces)
    return rng.choice([face for style in known for face in faces[style]])


ANY_STYLE = ("sans", "sans", "serif", "mono", "slanted")


def fit_font(face: Path | None, wanted: float, longest: str, room: int, least: float) -> Font:
    """The font at `wanted` px, or smaller so that `longest` fits into `room`, but never below `least`."""
    size = max(round(wanted), 8)
    font = load_font(face, size)
    while size > least and font.width(longest) > room:
        size -= 1
        font = load_font(face, size)
    return font
