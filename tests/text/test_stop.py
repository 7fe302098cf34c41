"""Where an answer ends by its text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvl2_app.text.stop import StopStrings


@pytest.mark.parametrize(
    ("pieces", "strings", "expected"),
    [
        (["one two", " three"], ["two"], "one "),
        (["one t", "w", "o three"], ["two"], "one "),
        (["one t", "w", "in"], ["two"], "one twin"),
        (["a", "ab", "c"], ["abc"], "a"),
        (["ends in tw"], ["two"], "ends in tw"),
        (["bbb aaa"], ["aaa", "bb"], ""),
        (["abb"], ["abb", "b"], "a"),  # the second is complete one letter sooner, whatever the pieces
        (["a", "b", "b"], ["abb", "b"], "a"),
        (["anything"], [], "anything"),
    ],
)
def test_an_answer_ends_before_the_first_stop_string(pieces, strings, expected) -> None:
    stops = StopStrings(strings)
    assert "".join(map(stops.push, pieces)) + stops.flush() == expected


@given(st.text("ab", max_size=30), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3), st.data())
def test_pieces_are_cut_as_the_whole_text_would_be(text: str, strings: list[str], data) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=10)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    whole, parts = StopStrings(strings), StopStrings(strings)
    assert "".join(map(parts.push, pieces)) + parts.flush() == whole.push(text) + whole.flush()
    assert parts.found == whole.found == any(string in text for string in strings)


@given(st.text("ab", max_size=30))
def test_no_more_is_held_back_than_could_begin_a_stop_string(text: str) -> None:
    stops = StopStrings(["abab"])
    shown = "".join(map(stops.push, text))
    assert stops.found or ("abab".startswith(text[len(shown) :]) and len(text) - len(shown) < 4)
