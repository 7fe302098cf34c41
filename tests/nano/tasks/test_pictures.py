from __future__ import annotations

from random import Random

import pytest

from dsvl2_app.text.boxes import parse_boxes
from nano.samples import Mixture
from nano.scenes import Level
from nano.scenes.sizes import TILE
from nano.suite import score
from nano.tasks.pictures import WITHOUT_TILES, compose
from nano.tasks.turn import write_boxes

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("variety", ["mixed", "in_context", "difference"])
def test_answers_are_right(variety: str):
    for seed in range(20):
        several, turns = compose(Random(seed), Level(), 9, variety)
        assert 2 <= len(several) <= 4 and turns
        for turn in turns:
            assert score(turn, turn.answer) == 1.0, turn
            assert not parse_boxes(turn.answer).problems


def test_pictures_that_are_not_tiled_are_small():
    for seed in range(30):
        several, _ = compose(Random(seed), Level(0.0), 0, "mixed")
        if len(several) >= WITHOUT_TILES:
            assert max(max(scene.size) for scene in several) <= TILE


def test_in_context_boxes_are_the_marked_kind_in_the_second_picture():
    absent = 0
    for seed in range(60):
        (first, second), turns = compose(Random(seed), Level(0.6), 4, "in_context")
        kind = first.objects[first.facts["marked"]].kind
        boxes = [item.box for item in second.objects if item.kind == kind]
        truths = [turn.truth["boxes"] for turn in turns if turn.kind == "pictures.in_context"]
        assert truths and all(truth == write_boxes(boxes, second.size)[1] for truth in truths)
        answers = [turn.answer for turn in turns if turn.kind == "pictures.in_context"]
        assert all(answer.startswith(f"<|ref|>{kind}<|/ref|>{'<|det|>' if boxes else ':'}") for answer in answers)
        absent += not boxes
    assert 0 < absent < 20


def test_more_second_pictures_hold_nothing_of_the_kind_where_none_is_sought():
    def empty(**given: float) -> float:
        drawn = [compose(Random(seed), Level(seed / 100), 1, "in_context", **given)[1] for seed in range(100)]
        return sum(not turns[0].truth["boxes"] for turns in drawn) / 100

    assert empty(unsought=0.0) == 0
    assert empty() < 0.15, "evaluation's share"
    assert 0.15 < empty(unsought=Mixture().unsought) < 0.35


def test_the_difference_is_one_colour():
    for seed in range(20):
        (first, second), turns = compose(Random(seed), Level(), 3, "difference")
        changed = [
            (one, other) for one, other in zip(first.objects, second.objects, strict=True) if one.colour != other.colour
        ]
        assert len(changed) == 1
        one, other = changed[0]
        assert turns[0].answer.endswith(f"is {one.colour} in the first picture and {other.colour} in the second.")


def test_which_picture_has_one_answer():
    ordinals = ("first", "second", "third", "fourth")
    for seed in range(40):
        several, turns = compose(Random(seed), Level(), 9, "mixed")
        for turn in turns:
            if turn.kind != "pictures.which" or '"' not in turn.answer:
                continue
            word = turn.answer.split('"')[1]
            having = [place for place, scene in enumerate(several) if any(item.text == word for item in scene.objects)]
            assert turn.truth["fact"] == [ordinals[place] for place in having]
