"""A pack of sprites for tests, drawn here: each noun has a shape and a colour of its own, in several hands."""

from __future__ import annotations

import cv2
import numpy as np

from nano.things.pack import KEPT_HAND, PHOTOGRAPH, TRAINING, Ground, Pack, Sprite
from nano.things.vocabulary import kinds, known, nouns

HANDS = ("noto", "twemoji", "tabler", PHOTOGRAPH, KEPT_HAND)


def draw(number: int) -> np.ndarray:
    """An ellipse, a box or a triangle with holes in it, RGBA, tight."""
    shade = np.random.default_rng(number)
    height, width = int(shade.integers(60, 161)), int(shade.integers(60, 161))
    pixels = np.zeros((height, width, 4), np.uint8)
    colour = (*(int(part) for part in shade.integers(0, 256, 3)), 255)
    middle, half = (width // 2, height // 2), (width // 2, height // 2)
    match number % 3:
        case 0:
            cv2.ellipse(pixels, middle, half, 0, 0, 360, colour, cv2.FILLED)
        case 1:
            pixels[:] = colour
            pixels[: height // 4, : width // 4] = 0
        case _:
            cv2.fillPoly(pixels, [np.array(((0, height - 1), (width - 1, height - 1), (width // 2, 0)))], colour)
    cv2.circle(pixels, middle, min(half) // 3, (*(255 - part for part in colour[:3]), 255), cv2.FILLED)
    return pixels


def draw_all() -> tuple[list[Sprite], list[Ground]]:
    """Five nouns of each kind and all unknown ones, of both splits."""
    chosen = [name for kind in kinds() for name in [n for n in known() if nouns()[n].kind.name == kind][:5]]
    chosen += [name for name, noun in nouns().items() if not noun.known]
    sprites = [
        Sprite(noun, hand, f"{noun}-{hand}.png", "red" if number % 4 == 0 else "", draw(number))
        for number, noun in enumerate(chosen)
        for hand in HANDS
    ]
    grounds = [
        Ground(f"{number}.jpg", np.random.default_rng(number).integers(0, 256, (90, 90, 3), dtype=np.uint8))
        for number in range(8)
    ]
    return sprites, grounds


def make_pack(split: str = TRAINING) -> Pack:
    sprites, grounds = draw_all()
    return Pack(
        split,
        tuple(sprite for sprite in sprites if sprite.split == split),
        tuple(ground for ground in grounds if ground.split == split),
    )
