"""A cut-out in another hand: contours, flat or other colours, light and grain, a little bent.

Whoever knows a thing from ten hands alone learns the hands. These changes keep what it is and take away how it was
drawn. They cost training some tenths of a millisecond a thing; evaluation shows things as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import cv2
import numpy as np


def restyle(whole: np.ndarray, rng: Random) -> tuple[np.ndarray, bool]:
    """Maybe larger by its contour, and whether its colours are still those that it had.

    `whole` is uint8 [height, width, 4]: RGB already multiplied with alpha, and alpha.
    """
    kept = True
    for change, share, keeps in _CHANGES:
        if rng.random() < share:
            whole = change(whole, rng)
            kept &= keeps
    return whole, kept


def bend(whole: np.ndarray, rng: Random) -> np.ndarray:
    """Wider or narrower, slanted, and seen a little from the side."""
    height, width = whole.shape[:2]
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    slant, aspect = rng.uniform(-0.2, 0.2), math.exp(rng.uniform(-0.2, 0.2))
    moved = corners @ np.array([(aspect, 0), (slant, 1)], np.float32)
    moved += np.array([rng.uniform(-0.06, 0.06) * side for _ in range(4) for side in (width, height)]).reshape(4, 2)
    moved = (moved - moved.min(0)).astype(np.float32)
    wide, tall = (max(math.ceil(side), 2) for side in moved.max(0))
    return cv2.warpPerspective(whole, cv2.getPerspectiveTransform(corners, moved), (wide, tall))


def flatten(whole: np.ndarray, rng: Random) -> np.ndarray:
    """Small things gone, and few tones left of each colour."""
    smooth = cv2.medianBlur(whole, rng.choice((3, 5)))
    step = rng.choice((32, 48, 64, 85))
    tones = (np.arange(256) + step // 2) // step * step
    return _under(cv2.LUT(smooth[..., :3], tones.clip(0, 255).astype(np.uint8)), whole[..., 3])


def recolour(whole: np.ndarray, rng: Random) -> np.ndarray:
    """Each of red, green and blue through a curve of its own."""
    places = np.array([0, 85, 170, 255])
    curves = [np.interp(np.arange(256), places, _curve(rng)) for _ in range(3)]
    table = np.stack(curves, axis=-1)[None].round().astype(np.uint8)
    return _under(cv2.LUT(whole[..., :3], table), whole[..., 3])


def _curve(rng: Random) -> list[float]:
    """Black stays black, which contours are; the other tones change, hardly ever their order."""
    return [0.0, *sorted(rng.uniform(20, 255) for _ in range(3))] if rng.random() < 0.9 else [0.0, 200, 140, 60]


def pale(whole: np.ndarray, rng: Random) -> np.ndarray:
    """Colours on their way to grey, or there."""
    grey = cv2.cvtColor(cv2.cvtColor(whole[..., :3], cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    share = rng.choice((1.0, rng.random()))
    return _under(cv2.addWeighted(grey, share, whole[..., :3], 1 - share, 0), whole[..., 3])


def draw_lines(whole: np.ndarray, rng: Random) -> np.ndarray:
    """Dark lines where colours meet; now and then on white, as in a book to paint."""
    edges = cv2.morphologyEx(whole[..., :3], cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)).max(-1)
    lines = cv2.threshold(edges, rng.uniform(30, 90), 255, cv2.THRESH_BINARY)[1]
    if max(whole.shape[:2]) > 90:
        lines = cv2.GaussianBlur(cv2.dilate(lines, np.ones((2, 2), np.uint8)), (3, 3), 0)
    colours = np.full_like(whole[..., :3], 255) if rng.random() < 0.2 else whole[..., :3]
    drawn = cv2.multiply(colours, cv2.merge((255 - lines,) * 3), scale=1 / 255)
    return _under(drawn, whole[..., 3])


def outline(whole: np.ndarray, rng: Random) -> np.ndarray:
    """A contour of one colour around all of it, most often dark."""
    by = max(round(max(whole.shape[:2]) * rng.uniform(0.012, 0.05)), 1)
    inner = cv2.copyMakeBorder(whole, by, by, by, by, cv2.BORDER_CONSTANT)
    alpha = inner[..., 3]
    spread = cv2.dilate(alpha, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * by + 1, 2 * by + 1)))
    draw = rng.random()
    ink = [rng.randint(0, 40)] * 3 if draw < 0.7 else [255] * 3 if draw < 0.85 else [rng.randint(0, 255) for _ in "rgb"]
    ring = cv2.subtract(spread, alpha)
    colours = cv2.add(inner[..., :3], cv2.merge([cv2.convertScaleAbs(ring, alpha=tone / 255) for tone in ink]))
    return _under(colours, spread)


def shade(whole: np.ndarray, rng: Random) -> np.ndarray:
    """Light from one side, and patches of light and shade."""
    height, width = whole.shape[:2]
    side = np.linspace(rng.uniform(0.55, 1.2), rng.uniform(0.55, 1.2), 16, dtype=np.float32)
    light = np.tile(side, (16, 1)) if rng.random() < 0.5 else np.tile(side, (16, 1)).T
    cells = np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(0, 0.15), (16, 16))
    field = cv2.resize((light + cells).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    shaded = cv2.multiply(whole[..., :3].astype(np.float32), cv2.merge((field,) * 3))
    return _under(shaded.clip(0, 255).astype(np.uint8), whole[..., 3])


def grain(whole: np.ndarray, rng: Random) -> np.ndarray:
    """What a camera and a lens add: noise and a little blur."""
    noise = np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(3, 16), whole[..., :3].shape)
    noisy = (whole[..., :3] + noise).clip(0, 255).astype(np.uint8)
    return _under(cv2.GaussianBlur(noisy, (3, 3), 0) if rng.random() < 0.5 else noisy, whole[..., 3])


def _under(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """No colour is stronger than it shows."""
    return np.dstack((np.minimum(colours, alpha[..., None]), alpha))


# In the order in which a draughtsman would: form, colours, lines, contour, then light and a camera.
_CHANGES: tuple[tuple[Callable[[np.ndarray, Random], np.ndarray], float, bool], ...] = (
    (bend, 0.5, True),
    (flatten, 0.25, True),
    (recolour, 0.25, False),
    (pale, 0.15, False),
    (draw_lines, 0.25, False),
    (outline, 0.3, True),
    (shade, 0.25, True),
    (grain, 0.15, True),
)
