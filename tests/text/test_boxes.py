"""Box text, well formed and not, as the model may write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvl2_app.text.boxes import Box, parse_boxes

coordinates = st.integers(0, 999)
corners = st.tuples(coordinates, coordinates, coordinates, coordinates)
labels = st.text(max_size=12).filter(lambda label: "<|" not in label and "|>" not in label)
# Text that is likely to meet the parser's own words.
fragments = st.sampled_from(
    [
        "<|ref|>",
        "<|/ref|>",
        "<|det|>",
        "<|/det|>",
        "[",
        "[[",
        "]",
        "]]",
        ", ",
        ",",
        "7",
        "470",
        "-3",
        "1.5",
        "９",
        "a",
        " ",
    ]
)


def write(label: str, boxes: list[tuple[int, int, int, int]]) -> str:
    return f"<|ref|>{label}<|/ref|><|det|>[{', '.join(map(str, map(list, boxes)))}]<|/det|>"


@pytest.mark.slow
@given(st.lists(st.tuples(labels, st.lists(corners, min_size=1, max_size=4)), max_size=4), st.text(max_size=5))
def test_well_formed_text_is_read_back(groups, between):
    text = between.join(write(label, boxes) for label, boxes in groups)
    parsed = parse_boxes(text)
    expected = [
        Box(
            label,
            min(x1, x2),
            min(y1, y2),
            max(x1, x2),
            max(y1, y2),
            ("corners swapped",) * (x1 > x2 or y1 > y2),
        )
        for label, boxes in groups
        for x1, y1, x2, y2 in boxes
    ]
    assert list(parsed.boxes) == expected
    assert parsed.problems == ()


@given(st.one_of(st.text(), st.lists(fragments, max_size=60).map("".join)), st.booleans())
def test_any_text_is_read_without_an_exception(text, complete):
    parsed = parse_boxes(text, complete=complete)
    assert all(0 <= box.x1 <= box.x2 <= 999 and 0 <= box.y1 <= box.y2 <= 999 for box in parsed.boxes)
    for problem in parsed.problems:
        assert 0 <= problem.place <= len(text)
        assert text[problem.place :].startswith(problem.excerpt.removesuffix("…"))


@pytest.mark.slow
@given(labels, st.lists(corners, min_size=1, max_size=3), st.data())
def test_every_beginning_of_an_answer_is_no_problem_while_it_streams(label, boxes, data):
    text = write(label, boxes)
    cut = data.draw(st.integers(0, len(text)))
    parsed = parse_boxes(text[:cut], complete=False)
    assert parsed.problems == ()
    assert parsed.boxes == parse_boxes(text).boxes[: len(parsed.boxes)]


@pytest.mark.parametrize(
    ("listed", "read", "said"),
    [
        ("[[0, 50, 55, 9999], [", [(0, 50, 55, 999, ("clipped",))], ["a box that does not end"]),
        ("[[470,]]", [], ["a box needs 4 numbers and has 1"]),
        ("[[1, 2, 3, 4], [5, 6, 7]]", [(1, 2, 3, 4, ())], ["a box needs 4 numbers and has 3"]),
        ("[[1, 2, 3, 99999999999]]", [(1, 2, 3, 999, ("clipped",))], []),
        ("[[-5, 2, 3, 4]]", [(0, 2, 3, 4, ("clipped",))], []),
        ("[[9, 2, 3, 1004]]", [(3, 2, 9, 999, ("clipped", "corners swapped"))], []),
        ("[[001, +2, 3, 4]]", [(1, 2, 3, 4, ())], []),
        ("[[1.5, 2, 3, 4]]", [], ["'1.5' is not a whole number"]),
        ("[[１, 2, 3, 4]]", [], ["'１' is not a whole number"]),
        ("[[1e3, 2, 3, 4]]", [], ["'e' is not a whole number"]),
        ("[[1 2 3 4]]", [], ["a box with misplaced commas"]),
        ("[[1,, 2, 3, 4]]", [], ["a box with misplaced commas"]),
        ("[[1, 2, [3], 4]]", [], ["brackets inside a box"]),
        ("[[[1, 2, 3, 4]]]", [], ["brackets inside a box"]),
        ("[1, 2, 3, 4]", [], ["this is not part of a list [[x1, y1, x2, y2], ...]"]),
        ("[[1, 2, 3, 4]", [(1, 2, 3, 4, ())], ["a list of boxes that does not end"]),
        ("[[1, 2, 3, 4]]]", [(1, 2, 3, 4, ())], ["this is not part of a list [[x1, y1, x2, y2], ...]"]),
        ("__import__('os').abort()", [], ["this is not part of a list [[x1, y1, x2, y2], ...]"]),
        ("[]", [], ["no boxes"]),
        ("", [], ["no boxes"]),
    ],
)
def test_lists_that_are_not_quite_right(listed, read, said):
    parsed = parse_boxes(f"<|ref|>dog<|/ref|><|det|>{listed}<|/det|>")
    assert [(box.x1, box.y1, box.x2, box.y2, box.notes) for box in parsed.boxes] == read
    assert [problem.what for problem in parsed.problems] == said


@pytest.mark.parametrize(
    ("text", "labels", "places"),
    [
        ("<|det|>[[1, 2, 3, 4]]<|/det|>", [""], []),
        ("a <|ref|>x<|/ref|> at <|det|>[[1, 2, 3, 4]]<|/det|>", ["x"], []),
        ("<|ref|>x<|/ref|> ", [], [0]),
        ("<|ref|>x<|/ref|>: there is none.", [], []),
        ("<|ref|>x<|/ref|> and <|ref|>y<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>", ["y"], [0]),
        ("<|ref|>x<|/ref|><|ref|>y<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>", ["y"], [0]),
        ("<|ref|>x<|det|>[[1, 2, 3, 4]]<|/det|>", [""], [0]),
        ("<|det|>[[1, 2, 3, 4]]", [""], [0]),
        ("ok <|/det|> ok <|/ref|>", [], [3, 15]),
        ("plain [[1, 2, 3, 4]] text", [], []),
    ],
)
def test_tags_that_do_not_match(text, labels, places):
    parsed = parse_boxes(text)
    assert [box.label for box in parsed.boxes] == labels
    assert [problem.place for problem in parsed.problems] == places


@pytest.mark.slow
def test_a_million_brackets_digits_and_tags_are_survived():
    assert parse_boxes("<|det|>" + "[" * 1_000_000).boxes == ()
    assert parse_boxes("<|det|>[[" + "9" * 1_000_000 + ", 1, 1, 1]]<|/det|>").boxes == (
        Box("", 1, 1, 999, 1, ("clipped", "corners swapped")),
    )
    assert len(parse_boxes("<|det|>" * 10_000).problems) == 20_000  # each is not closed, and has no boxes


def test_pixels_are_fractions_of_999():
    assert Box("", 0, 0, 999, 999).pixels(640, 480) == (0, 0, 640, 480)
    assert Box("", 333, 111, 666, 222).pixels(900, 900) == pytest.approx((300, 100, 600, 200))
