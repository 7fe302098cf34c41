from __future__ import annotations

from random import Random

import numpy as np
import pytest

from nano.scenes import screens
from nano.scenes.canvas import Canvas, overlap
from nano.scenes.scene import ICONS


@pytest.mark.parametrize("name", ICONS)
def test_the_box_of_an_icon_is_its_ink(name: str):
    for side in (18, 31, 60):
        canvas = Canvas(90, 90, (255, 255, 255))
        box = screens.draw_icon(canvas, name, 12, 14, side, (0, 0, 0))
        ink = canvas.pixels.min(2) < 128
        rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
        drawn = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        assert np.abs(np.subtract(box, drawn)).max() <= 2


def test_widgets_do_not_overlap_and_are_named_once():
    for seed in range(40):
        scene = screens.render(Random(seed))
        widgets = [item for item in scene.objects if item.kind != "word"]
        names = [(item.kind, item.name) for item in widgets]
        assert widgets and len(set(names)) == len(names)
        for number, item in enumerate(widgets):
            assert item.name
            assert not any(overlap(item.box, other.box) for other in widgets[number + 1 :]), (seed, item)


def test_one_radio_button_is_selected():
    seen = 0
    for seed in range(60):
        scene = screens.render(Random(seed))
        radios = [item for item in scene.objects if item.kind == "radio button"]
        chosen = [item.name for item in radios if item.state]
        if len(radios) > 1 and chosen:
            seen += 1
            assert chosen == [scene.facts["selected"]]
    assert seen > 3


def test_every_window_has_something_to_press(monkeypatch: pytest.MonkeyPatch):
    """Even where the first sizes that are tried have room for words alone."""
    sizes = iter([(60, 40), (90, 60), (150, 150)])
    monkeypatch.setattr(screens, "choose_size", lambda *_: next(sizes, (400, 300)))
    scene = screens.render(Random(1))
    assert any(item.kind != "word" for item in scene.objects)
