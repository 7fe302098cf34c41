"""A rectangle as browsers and clients send it, which may be anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvl2_app.errors import PromptError
from dsvl2_app.ui.rectangle import read_rectangle

SIZE = (300, 200)
edges = st.floats() | st.integers() | st.none() | st.text(max_size=3)


@pytest.mark.parametrize(
    ("box", "read"),
    [
        ([10, 20, 110, 120], (10, 20, 110, 120)),
        ((9.6, 20.2, 110, 120), (10, 20, 110, 120)),
        ([-50, -1, 1e9, 120], (0, 0, 300, 120)),
    ],
)
def test_edges_are_whole_and_on_the_picture(box, read):
    assert read_rectangle(box, SIZE) == read


@given(st.lists(edges, max_size=6) | edges | st.dictionaries(st.text(max_size=2), edges, max_size=2))
def test_whatever_is_sent_is_a_rectangle_or_one_sentence(box):
    try:
        left, top, right, bottom = read_rectangle(box, SIZE)
    except PromptError as error:
        assert "rectangle" in str(error)
    else:
        assert 0 <= left < right <= 300
        assert 0 <= top < bottom <= 200
