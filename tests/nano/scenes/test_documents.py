from __future__ import annotations

from random import Random

import pytest

from nano.scenes import Level, documents
from nano.scenes.canvas import overlap

SEEDS = range(15)


@pytest.mark.slow
@pytest.mark.parametrize("variety", documents.VARIETIES)
def test_words_do_not_touch_and_stand_in_their_lines(variety: str):
    for seed in SEEDS:
        scene = documents.render(Random(seed), Level(), variety)
        for number, item in enumerate(scene.objects):
            assert item.text in scene.lines[item.line].text.split(" ")
            assert not any(overlap(item.box, other.box) for other in scene.objects[number + 1 :]), (seed, item)


def test_a_receipt_adds_up():
    for seed in SEEDS:
        facts = documents.render(Random(seed), Level(), "receipt").facts
        assert f"{sum(map(float, facts['items'].values())):.2f}" == facts["total"]
        assert set(facts["items"]) <= set(facts["boxes"]) and "total" in facts["boxes"]


def test_values_stand_where_their_boxes_say():
    for seed in SEEDS:
        scene = documents.render(Random(seed), Level(), "form")
        at = {line.box: line.text for line in scene.lines}
        assert all(at[scene.facts["boxes"][label]] == value for label, value in scene.facts["fields"].items())
        scene = documents.render(Random(seed), Level(), "table")
        if scene.variety == "table":
            at = {line.box: line.text for line in scene.lines}
            assert all(at[scene.facts["boxes"][place]] == text for place, text in scene.facts["cells"].items())


def test_first_words_are_large():
    heights = [
        item.glyph_height
        for seed in range(60)
        for item in documents.render(Random(seed), Level(0.0, most_tiles=1), "words").objects
    ]
    assert sorted(heights)[len(heights) // 10] >= 12


def test_wrap_keeps_every_line_within_the_room():
    font = documents.load_font(documents.choose_face(Random(0), "sans"), 16)
    lines = documents.wrap("some words of a longer sentence that is wrapped", font, 120)
    assert " ".join(lines) == "some words of a longer sentence that is wrapped"
    assert max(map(font.width, lines)) <= 120 and len(lines) > 1
