"""The outlines of the shapes: points around the origin."""

from __future__ import annotations

import math
from random import Random

import numpy as np


def trace(shape: str, rng: Random, side: float) -> np.ndarray:
    """Outline points around the origin; the longer side of the unrotated shape is `side`."""
    wide = tall = 1.0
    turn = 0.0
    if shape in ("rectangle", "ellipse"):
        tall = rng.uniform(0.42, 0.66)
        turn = rng.choice((0.0, 0.0, 0.5)) * math.pi + rng.uniform(-0.2, 0.2) * rng.choice((0, 1))
        if shape == "ellipse":
            turn = rng.uniform(0, math.pi)
    elif shape == "square":
        turn = rng.choice((0.0, rng.uniform(-0.22, 0.22)))
    elif shape == "diamond":
        wide = rng.uniform(0.6, 0.78)
        turn = rng.choice((0.0, rng.uniform(-0.12, 0.12)))
    elif shape == "heart":
        turn = rng.choice((0.0, rng.uniform(-0.4, 0.4)))
    elif shape == "cross":
        turn = rng.choice((0.0, rng.uniform(-0.25, 0.25)))
    elif shape in ("triangle", "star", "pentagon", "hexagon"):
        turn = rng.choice((0.0, rng.uniform(0, 2 * math.pi)))
        if shape == "triangle":
            wide = rng.uniform(0.8, 1.0)
    points = OUTLINES[shape] * (wide * side, tall * side)
    if turn:
        cosine, sine = math.cos(turn), math.sin(turn)
        points = points @ np.array(((cosine, sine), (-sine, cosine)))
    return points


def _polygon(corners: int) -> np.ndarray:
    turns = np.arange(corners) * 2 * math.pi / corners - math.pi / 2
    return np.stack((np.cos(turns), np.sin(turns)), 1) / 2


def _star() -> np.ndarray:
    points = _polygon(10)
    points[1::2] *= 0.42
    return points


def _heart() -> np.ndarray:
    turns = np.linspace(0, 2 * math.pi, 44, endpoint=False)
    x = 16 * np.sin(turns) ** 3
    y = -(13 * np.cos(turns) - 5 * np.cos(2 * turns) - 2 * np.cos(3 * turns) - np.cos(4 * turns))
    return np.stack((x / 32, (y - 2.5) / 32), 1)


def _cross() -> np.ndarray:
    arm = 0.17
    corner = np.array(((arm, -arm), (arm, -0.5), (-arm, -0.5)))
    quarter = np.array(((0, -1), (1, 0)))
    quarters = [corner]
    for _ in range(3):
        quarters.append(quarters[-1] @ quarter)
    return np.concatenate(quarters)


OUTLINES: dict[str, np.ndarray] = {
    "circle": _polygon(52),
    "ellipse": _polygon(52),
    "square": np.array(((-0.45, -0.45), (0.45, -0.45), (0.45, 0.45), (-0.45, 0.45))),
    "rectangle": np.array(((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))),
    "diamond": _polygon(4),
    "triangle": _polygon(3),
    "pentagon": _polygon(5),
    "hexagon": _polygon(6),
    "star": _star(),
    "heart": _heart(),
    "cross": _cross(),
}
