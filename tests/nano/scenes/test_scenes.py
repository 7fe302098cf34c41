"""What holds for every family."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from nano import scenes
from nano.scenes import Level
from nano.scenes.fonts import CHARACTERS
from nano.scenes.scene import COLOURS, KIND_CODE, scale_box
from nano.scenes.sizes import GRIDS, TILE, choose_size, unit

FAMILIES = sorted(scenes.FAMILIES)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_boxes_lie_in_the_picture_and_maps_fit_it(family: str):
    for seed in range(25):
        scene = scenes.render(family, Random(seed), Level(seed / 24))
        width, height = scene.size
        assert scene.family == family and scene.objects
        assert scene.image.dtype == np.uint8 and scene.image.shape == (height, width, 3)
        for pixel_map in (scene.owner, scene.characters, scene.order, scene.capitals):
            assert pixel_map.shape == (height, width)
        assert scene.owner.max() <= len(scene.objects) and scene.characters.max() <= len(CHARACTERS)
        for item in scene.objects:
            left, top, right, bottom = item.box
            assert 0 <= left < right <= width and 0 <= top < bottom <= height, (seed, item)
            assert item.kind in KIND_CODE and item.colour in ("", *COLOURS)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_seed_draws_the_same_scene(family: str):
    one, other = (scenes.render(family, Random(5)) for _ in range(2))
    assert np.array_equal(one.image, other.image)
    assert (one.objects, one.lines, one.facts) == (other.objects, other.lines, other.facts)
    assert not np.array_equal(one.image, scenes.render(family, Random(6)).image)


def test_sizes_give_every_kind_of_grid_but_mostly_small_ones():
    rng = Random(0)
    sizes = [choose_size(rng, Level()) for _ in range(3000)]
    areas = np.array([width * height for width, height in sizes]) / TILE**2
    assert (areas <= 4).mean() > 0.7
    assert max(width / height for width, height in sizes) > 5 and min(w / h for w, h in sizes) < 1 / 3
    assert all(columns * rows <= 9 for columns, rows in GRIDS)
    small = [choose_size(rng, Level(0.0, most_tiles=1)) for _ in range(100)]
    assert max(max(size) for size in small) <= TILE


def test_unit_is_how_much_a_picture_must_shrink():
    assert unit(TILE, TILE, Level()) == 1.0
    assert unit(3 * TILE, 3 * TILE, Level()) == 1.0
    assert unit(6 * TILE, 6 * TILE, Level()) == pytest.approx(2.0)
    assert unit(2 * TILE, TILE, Level(most_tiles=1)) == pytest.approx(2.0)


def test_scale_box():
    assert scale_box((0, 10, 50, 100), (100, 100)) == (0, 100, 500, 999)
