from __future__ import annotations

import pytest

from dsvl2_app.evaluation.scoring import read_number, score_boxes
from dsvl2_app.text.boxes import overlap


def boxes(*written: list[int]) -> str:
    return f"<|ref|>a<|/ref|><|det|>{list(written)}<|/det|>"


def test_score_of_boxes():
    one = [[0, 0, 100, 100]]
    assert score_boxes(boxes([0, 0, 100, 80]), one) == 1.0
    assert score_boxes(boxes([0, 0, 100, 40]), one) == 0.0
    assert score_boxes("nothing", one) == 0.0
    assert score_boxes("There is no star in the picture.", []) == 1.0 and score_boxes(boxes([0, 0, 9, 9]), []) == 0.0
    two = [[0, 0, 100, 100], [500, 500, 600, 600]]
    assert score_boxes(boxes(*two), two) == 1.0
    assert score_boxes(boxes(two[0], two[0]), two) == 0.5  # the same one twice is found once
    assert score_boxes(boxes(two[0]), two) == pytest.approx(2 / 3)
    assert score_boxes("", two) == 0.0


def test_overlap_and_numbers():
    assert overlap((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 1, 1), (1, 1, 2, 2)) == 0.0
    assert read_number("about seven") == 7 and read_number("none at all") is None
