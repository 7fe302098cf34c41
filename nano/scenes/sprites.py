"""A sprite as a picture shows it: in its size, turned, mirrored, its colours shifted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import cv2
import numpy as np

from nano.scenes.inks import ink
from nano.scenes.restyle import restyle
from nano.things.pack import INKED, Sprite

LARGEST = 2.4  # times its stored size that a sprite may be drawn in


@dataclass(frozen=True, slots=True)
class Posed:
    """`pixels` RGB uint8 [height, width, 3], already multiplied with `alpha`, uint8 [height, width]."""

    pixels: np.ndarray
    alpha: np.ndarray
    colour: str  # "" also where colours were shifted

    @property
    def size(self) -> tuple[int, int]:
        return self.alpha.shape[1], self.alpha.shape[0]


def pose(sprite: Sprite, rng: Random, side: float, hardness: float, styled: float = 0.0) -> Posed:
    """Its longer side is `side` px before it is turned, or LARGEST times the stored one; `styled` is how often it comes
    in another hand."""
    stored = sprite.pixels
    height, width = stored.shape[:2]
    scale = min(side / max(width, height), LARGEST)
    alpha = stored[..., 3]
    colours = cv2.multiply(stored[..., :3], cv2.merge((alpha, alpha, alpha)), scale=1 / 255)
    size = (max(round(width * scale), 2), max(round(height * scale), 2))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    whole = cv2.resize(cv2.merge((*cv2.split(colours), alpha)), size, interpolation=way)
    colour = sprite.colour
    if sprite.hand in INKED:
        whole, colour = ink(whole, rng), ""
    if styled and rng.random() < styled:
        whole, kept = restyle(whole, rng)
        colour = colour if kept else ""
    if rng.random() < 0.5:
        whole = cv2.flip(whole, 1)
    draw = rng.random()
    if draw < 0.35 * hardness:
        whole = _turn(whole, rng.uniform(-25, 25))
    elif draw < 0.42 * hardness:
        whole = _turn(whole, rng.uniform(-180, 180))
    colours, alpha = np.ascontiguousarray(whole[..., :3]), np.ascontiguousarray(whole[..., 3])
    draw = rng.random()
    if draw < 0.06 * hardness:
        colours, colour = _shift_hue(colours, rng.randint(20, 160)), ""
    elif draw < 0.4 * hardness:
        gain = rng.uniform(0.75, 1.1)
        colours = np.minimum(cv2.convertScaleAbs(colours, alpha=gain), alpha[..., None])
    return _trim(colours, alpha, colour)


def _turn(whole: np.ndarray, degrees: float) -> np.ndarray:
    height, width = whole.shape[:2]
    cosine, sine = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    wide, tall = math.ceil(width * cosine + height * sine), math.ceil(width * sine + height * cosine)
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    turn[:, 2] += ((wide - width) / 2, (tall - height) / 2)
    return cv2.warpAffine(whole, turn, (wide, tall), flags=cv2.INTER_LINEAR)


def _shift_hue(colours: np.ndarray, by: int) -> np.ndarray:
    seen = cv2.cvtColor(colours, cv2.COLOR_RGB2HSV)
    seen[..., 0] = (seen[..., 0].astype(np.int16) + by) % 180
    return cv2.cvtColor(seen, cv2.COLOR_HSV2RGB)


def _trim(colours: np.ndarray, alpha: np.ndarray, colour: str) -> Posed:
    shows = alpha > 127
    rows, columns = np.flatnonzero(shows.any(1)), np.flatnonzero(shows.any(0))
    if not len(rows):
        return Posed(colours, alpha, colour)
    inside = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return Posed(colours[inside], alpha[inside], colour)
