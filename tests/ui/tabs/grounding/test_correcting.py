"""What a browser tells of corrected boxes, whatever it is."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvl2_app.errors import PromptError
from dsvl2_app.text.boxes import Box
from dsvl2_app.ui.tabs.grounding.correcting import BY_HAND, LONGEST_LABEL, MOST_BOXES, read_correction, show_tools

FOUND = (Box("dog", 1, 2, 30, 40, ("clipped",)), Box("cat", 5, 6, 70, 80))


SEARCH = 3  # its number


def tell(data: Any) -> gr.EventData:
    return gr.EventData(None, {"search": SEARCH, **data} if isinstance(data, dict) else data)


def test_what_is_left_alone_stays_and_what_is_changed_says_so():
    told = tell({"boxes": [["dog", 1, 2, 30, 40], ["cat", 70, 80, 9, 6], ["", 0, 0, 999, 999]]})
    assert read_correction(told, SEARCH, FOUND, FOUND) == (
        FOUND[0],
        Box("cat", 9, 6, 70, 80, (BY_HAND,)),
        Box("", 0, 0, 999, 999, (BY_HAND,)),
    )
    assert read_correction(tell({"boxes": []}), SEARCH, FOUND, FOUND) == ()
    assert read_correction(tell({"restore": True}), SEARCH, (), FOUND) is None


@pytest.mark.parametrize(
    "told",
    [
        None, "boxes", {}, {"boxes": None}, {"boxes": [None]}, {"boxes": [["dog", 1, 2, 3]]},
        {"boxes": [[1, 1, 2, 3, 4]]},
        {"boxes": [["dog", -1, 2, 3, 4]]}, {"boxes": [["dog", 1, 2, 3, 1000]]}, {"boxes": [["dog", 1, 2, 3, 4.5]]},
        {"boxes": [["dog", 1, 2, 3, "4"]]}, {"boxes": [["d" * (LONGEST_LABEL + 1), 1, 2, 3, 4]]},
        {"boxes": [["", 0, 0, 9, 9]] * (MOST_BOXES + 1)}, {"restore": "yes"},
    ],
)  # fmt: skip
def test_what_is_no_boxes_is_refused(told):
    with pytest.raises(PromptError, match="There are no such boxes"):
        read_correction(tell(told), SEARCH, FOUND, FOUND)


@pytest.mark.parametrize("told", [{"boxes": []}, {"restore": True}, {"search": None, "boxes": []}])
def test_boxes_of_another_search_are_left_alone(told):
    with pytest.raises(PromptError, match="Other boxes have taken the place"):
        read_correction(gr.EventData(None, {"search": SEARCH - 1, **told}), SEARCH, FOUND, FOUND)


@given(st.lists(st.text(max_size=20), max_size=5))
def test_any_label_is_only_text(labels):
    shown = show_tools([f"<i onclick='{label}'>\"" for label in labels], SEARCH)
    assert "<i o" not in shown and shown.count("<option") == len(set(labels))
