"""Drawings in one ink, painted or not."""

from __future__ import annotations

from random import Random

import cv2
import numpy as np

from nano.scenes.inks import ink
from nano.scenes.sprites import pose
from nano.things.pack import Sprite


def draw_ring() -> np.ndarray:
    """A black ring with a bar across: two closed areas."""
    alpha = np.zeros((90, 120), np.uint8)
    cv2.ellipse(alpha, (60, 45), (55, 40), 0, 0, 360, 255, 5, cv2.LINE_AA)
    cv2.line(alpha, (60, 5), (60, 85), 255, 5)
    return np.dstack((np.zeros((90, 120, 3), np.uint8), alpha))


def test_a_drawing_keeps_its_lines_and_nothing_outside_of_it_is_painted() -> None:
    ring = draw_ring()
    filled = cv2.ellipse(np.zeros((90, 120), np.uint8), (60, 45), (58, 43), 0, 0, 360, 255, cv2.FILLED)
    painted = 0
    for seed in range(60):
        before = ring.copy()
        whole = ink(ring, Random(seed))
        assert whole.dtype == np.uint8 and whole.shape == ring.shape and (whole[..., :3] <= whole[..., 3:]).all()
        assert np.array_equal(ring, before) and np.array_equal(whole, ink(ring, Random(seed)))
        assert not whole[(filled == 0) & (ring[..., 3] == 0)].any() and (whole[ring[..., 3] == 255, 3] == 255).all()
        lines = whole[ring[..., 3] == 255, :3]
        assert len(np.unique(lines, axis=0)) == 1
        left, right = whole[45, 30], whole[45, 90]
        assert left[3] == right[3] == whole[30, 30, 3] and left[3] in (0, 255)
        assert (whole[30, 30] == left).all() and (whole[60, 90] == right).all()
        painted += left[3] == 255
    assert 25 < painted < 55


def test_closed_areas_come_in_different_colours() -> None:
    shown = [ink(draw_ring(), Random(seed)) for seed in range(60)]
    assert any((whole[45, 30, :3] != whole[45, 90, :3]).any() for whole in shown)


def test_sprites_in_ink_come_in_other_colours_and_say_none() -> None:
    line = Sprite("dog", "tabler", "dog", "black", draw_ring())
    poses = [pose(line, Random(seed), 100.0, 0.0) for seed in range(12)]
    assert {posed.colour for posed in poses} == {""} and len({posed.pixels.tobytes() for posed in poses}) == 12
    other = Sprite("dog", "noto", "dog", "black", draw_ring())
    assert {pose(other, Random(seed), 100.0, 0.0).colour for seed in range(12)} == {"black"}
