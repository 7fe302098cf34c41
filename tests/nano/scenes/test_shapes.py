from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest

from nano.scenes import Level, shapes
from nano.scenes.canvas import Canvas
from nano.scenes.scene import COLOURS, PURE, SHAPES

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("filled", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_box_of_a_shape_is_what_it_changes(shape: str, filled: bool):
    rng = Random(shape)
    for _ in range(8):
        canvas = Canvas(220, 200, (255, 255, 255))
        if not shapes._place(canvas, rng, shape, "black", filled, rng.uniform(30, 120), shapes.Manner()):
            continue
        changed = canvas.pixels.min(2) < 140
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        drawn = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        assert np.abs(np.subtract(canvas.objects[0].box, drawn)).max() <= 1
        assert (changed == (canvas.owner == 1)).mean() > 0.99


def test_overlaps_never_hide_an_edge_that_a_box_needs():
    touching = 0
    for seed in range(150):
        scene = shapes.render(Random(seed))
        for number, item in enumerate(scene.objects, start=1):
            left, top, right, bottom = item.box
            own = scene.owner[top:bottom, left:right] == number
            touching += bool(
                ((scene.owner[top:bottom, left:right] != number) & (scene.owner[top:bottom, left:right] > 0)).any()
            )
            assert own[0].any() and own[-1].any() and own[:, 0].any() and own[:, -1].any(), seed
    assert touching > 5


def test_colours_differ_from_a_plain_ground():
    for seed in range(80):
        scene = shapes.render(Random(seed), Level(0.0))
        ground = scene.image[scene.owner == 0].mean(0)
        for item in scene.objects:
            assert math.dist(COLOURS[item.colour], ground) > 80, seed


def test_pure_colours_are_those_that_programs_name():
    counts = set()
    for seed in range(60):
        scene = shapes.render(Random(seed), Level(pure=True))
        ground = scene.image[scene.owner == 0]
        assert (ground == PURE[scene.facts["background"]]).all(1).mean() > 0.9, seed  # all but edges
        for number, item in enumerate(scene.objects, start=1):
            assert (scene.image[scene.owner == number] == PURE[item.colour]).all(1).mean() > 0.5, seed
        counts.add(len(scene.objects))
    assert counts >= set(range(1, 8)) and PURE["red"] == (255, 0, 0)


def test_counts_up_to_nine_of_a_kind_occur():
    groups = set()
    for seed in range(300):
        scene = shapes.render(Random(seed))
        names = [(item.colour, item.kind) for item in scene.objects]
        groups |= {names.count(name) for name in names}
    assert groups >= set(range(1, 10))


def test_the_mark_is_red_and_around_its_object():
    for seed in range(20):
        scene = shapes.render(Random(seed), Level(0.5), marked=True)
        left, top, right, bottom = scene.objects[scene.facts["marked"]].box
        outside = scene.image[max(top - 8, 0) : bottom + 8, max(left - 8, 0) : right + 8].reshape(-1, 3).astype(int)
        assert (outside[:, 0] - outside[:, 1:].max(1) > 60).sum() > 2 * (right - left)
        assert all(item.colour != "red" for item in scene.objects)


def test_repaint_changes_one_object_alone():
    before = shapes.render(Random(3), Level(0.2), repaint={})
    after = shapes.render(Random(3), Level(0.2), repaint={0: "cyan"})
    assert [item.box for item in before.objects] == [item.box for item in after.objects]
    assert after.objects[0].colour == "cyan" and before.objects[1:] == after.objects[1:]


def test_wanted_shape_occurs():
    for seed in range(10):
        scene = shapes.render(Random(seed), wanted="heart")
        assert any(item.kind == "heart" for item in scene.objects)


def test_a_strip_too_low_for_the_shape_has_one_nevertheless(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shapes, "choose_size", lambda *_: (900, 12))
    for seed in range(20):
        assert shapes.render(Random(seed), Level(1.0)).objects
