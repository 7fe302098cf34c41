"""Things in other hands: what every change must keep, and that evaluation sees none of them."""

from __future__ import annotations

from random import Random

import cv2
import numpy as np
import pytest

from nano.scenes import Level
from nano.scenes.restyle import bend, draw_lines, flatten, grain, outline, pale, recolour, restyle, shade
from nano.scenes.sprites import pose
from nano.scenes.things import render
from nano.things.pack import Sprite
from tests.nano.packs import draw, make_pack

CHANGES = (bend, flatten, recolour, pale, draw_lines, outline, shade, grain)


def cut_out(number: int) -> np.ndarray:
    whole = draw(number)
    return np.dstack((cv2.multiply(whole[..., :3], cv2.merge((whole[..., 3],) * 3), scale=1 / 255), whole[..., 3]))


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_gives_colours_that_alpha_bounds_and_depends_on_its_generator_alone(change):
    for number in range(9):
        whole = cut_out(number)
        before = whole.copy()
        changed = change(whole, Random(number))
        assert changed.dtype == np.uint8 and changed.shape[2] == 4
        assert (changed[..., :3] <= changed[..., 3:]).all()
        assert np.array_equal(changed, change(whole, Random(number))) and np.array_equal(whole, before)


@pytest.mark.parametrize("change", [c for c in CHANGES if c not in (bend, outline)], ids=lambda change: change.__name__)
def test_what_changes_colours_keeps_the_form(change):
    assert all(np.array_equal(change(cut_out(n), Random(n))[..., 3], cut_out(n)[..., 3]) for n in range(6))


def test_a_contour_lies_around_what_was_there():
    whole = cut_out(0)
    changed = outline(whole, Random(1))
    by = (changed.shape[0] - whole.shape[0]) // 2
    assert by >= 1 and changed.shape[1] - whole.shape[1] == 2 * by
    inner = changed[by:-by, by:-by]
    opaque = whole[..., 3] == 255
    assert np.array_equal(inner[opaque], whole[opaque])
    assert np.count_nonzero(changed[..., 3] > 127) > np.count_nonzero(opaque)


def test_colours_are_said_to_be_kept_only_where_hues_were():
    told = {True: 0, False: 0}
    for seed in range(60):
        changed, kept = restyle(cut_out(1), Random(seed))
        told[kept] += 1
        if kept:  # light, grain and contours aside, the most frequent hue is still there
            shown = changed[changed[..., 3] == 255][None, :, :3]
            assert np.median(cv2.cvtColor(shown, cv2.COLOR_RGB2HSV)[0, :, 0]) == pytest.approx(
                np.median(cv2.cvtColor(cut_out(1)[cut_out(1)[..., 3] == 255][None, :, :3], cv2.COLOR_RGB2HSV)[0, :, 0]),
                abs=8,
            )
    assert min(told.values()) > 5


def test_a_posed_thing_is_tight_and_unnamed_where_its_colour_changed():
    sprite = Sprite("apple", "noto", "apple.png", "red", draw(2))
    posed = [pose(sprite, Random(seed), 80, 0.0, styled=1.0) for seed in range(40)]
    assert {each.colour for each in posed} == {"red", ""}
    assert all((each.alpha[edge] > 127).any() for each in posed for edge in (0, -1, (..., 0), (..., -1)))
    plain = [pose(sprite, Random(seed), 80, 0.0) for seed in range(10)]
    assert {each.colour for each in plain} == {"red"}
    assert len({each.pixels.tobytes() for each in plain}) <= 2  # mirrored or not, nothing else at no hardness


def test_pictures_show_other_hands_only_where_they_are_asked_for():
    pack = make_pack()
    plain = render(Random(4), Level(0.0), pack)
    assert np.array_equal(plain.image, render(Random(4), Level(0.0), pack, styled=0.0).image)
    assert any(
        not np.array_equal(
            render(Random(s), Level(0.0), pack).image, render(Random(s), Level(0.0), pack, styled=1.0).image
        )
        for s in range(3)
    )
