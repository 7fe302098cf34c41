"""Boxes corrected by hand, in the browser (assets/correct.js) -> boxes, as the exports take them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr

from dsvl2_app.errors import PromptError
from dsvl2_app.text.boxes import LARGEST, Box
from dsvl2_app.ui.gradio_quirks import read_event_data
from dsvl2_app.ui.words.translations import say

MOST_BOXES = 1000  # of one picture
LONGEST_LABEL = 200  # characters
HINT = "grounding-hint"  # id of what `show_hint` returns
BY_HAND = "by hand"  # the note of a box that a person drew, moved or named


def show_tools(labels: Sequence[str], search: int) -> str:
    """Above the table: the switch that makes boxes movable, and what there is while they are. `search` is the number of
    the search whose boxes they are; where another is shown, the switch is off."""
    known = "".join(f'<option value="{escape(label)}"></option>' for label in dict.fromkeys(filter(None, labels)))
    return (
        f'<div class="tools" data-search="{search}"><button type="button" class="correct" aria-pressed="false" '
        f'aria-describedby="{HINT}">'
        f"{say('Correct by hand')}</button>"
        f'<div class="hands"><label>{say("Label")} <input class="name" maxlength="{LONGEST_LABEL}" '
        f'list="grounding-labels" autocomplete="off"></label><datalist id="grounding-labels">{known}</datalist>'
        f'<button type="button" class="delete" disabled>{say("Delete the box")}</button>'
        f'<button type="button" class="restore">{say("As the model found them")}</button></div></div>'
    )


def show_hint() -> str:
    """Above the picture while boxes are movable: how."""
    how = say("Drag a box, its handles, or the picture to draw one; arrow keys move a box, Shift + arrow keys size it.")
    return f'<p class="hint" id="{HINT}">{how}</p>'


def read_correction(
    event: gr.EventData, search: int, now: Sequence[Box], found: Sequence[Box]
) -> tuple[Box, ...] | None:
    """The boxes that the browser tells of, of which those in `now` or `found` stay as they are; None where those that
    the model `found` are wanted again. Raises a PromptError where they are none, or of another search than that of the
    number `search`."""
    told = read_event_data(event)
    listed = told.get("boxes") if isinstance(told, dict) else None
    if isinstance(told, dict) and told.get("search") != search:
        raise PromptError("Other boxes have taken the place of those that you corrected; correct these.")
    if isinstance(told, dict) and told.get("restore") is True:
        return None
    if not isinstance(listed, list) or len(listed) > MOST_BOXES:
        raise PromptError("There are no such boxes; reload the page and try again.")
    same = {(box.label, *box.corners): box for box in (*found, *now)}
    return tuple(same.get(each) or Box(*each, (BY_HAND,)) for each in map(_read_box, listed))


def _read_box(told: Any) -> tuple[str, int, int, int, int]:
    """A label and four corners, in order and on the picture."""
    match told:
        case [str(label), int(x1), int(y1), int(x2), int(y2)] if len(label) <= LONGEST_LABEL:
            if all(0 <= corner <= LARGEST for corner in (x1, y1, x2, y2)):
                return label, min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)
    raise PromptError("There are no such boxes; reload the page and try again.")
