from __future__ import annotations

import pytest

from nano.tasks.turn import article, join, place_of, plural, side_of, write_boxes, write_reference

pytestmark = pytest.mark.slow


def test_boxes_are_written_as_the_released_models_write_them():
    text = write_reference("the dogs", [(50, 0, 100, 100), (0, 0, 50, 100)], (100, 200))
    assert text == "<|ref|>the dogs<|/ref|><|det|>[[0, 0, 500, 500], [500, 0, 999, 500]]<|/det|>"
    assert write_boxes([(0, 0, 1, 1)], (1, 1)) == ("<|det|>[[0, 0, 999, 999]]<|/det|>", [[0, 0, 999, 999]])


@pytest.mark.parametrize(
    ("box", "place"),
    [
        ((0, 0, 10, 10), "at the top left"),
        ((45, 0, 55, 10), "at the top"),
        ((90, 45, 99, 55), "on the right"),
        ((45, 45, 55, 55), "in the centre"),
        ((30, 0, 36, 10), None),
    ],
)
def test_place_of(box: tuple[int, int, int, int], place: str | None):
    assert place_of(box, (100, 100)) == place


@pytest.mark.parametrize(
    ("box", "side"),
    [
        ((0, 40, 10, 60), "to the left of"),
        ((80, 40, 90, 60), "to the right of"),
        ((40, 0, 60, 20), "above"),
        ((40, 80, 60, 99), "below"),
        ((80, 80, 90, 90), None),  # as far below as to the right
        ((45, 45, 70, 70), None),  # overlapping
    ],
)
def test_side_of(box: tuple[int, int, int, int], side: str | None):
    assert side_of(box, (40, 40, 60, 60)) == side


def test_words():
    assert join(["a", "b", "c"]) == "a, b and c" and join(["a"]) == "a"
    assert [article(noun) for noun in ("ellipse", "Alerts button", "user icon", "star")] == [
        "an ellipse", "an Alerts button", "a user icon", "a star",
    ]  # fmt: skip
    assert [plural(noun) for noun in ("cross", "checkbox", "switch", "star")] == [
        "crosses", "checkboxes", "switches", "stars",
    ]  # fmt: skip
