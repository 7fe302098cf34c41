"""The parts of the Grounding tab, in their places."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from dsvl2_app.bundled import read_asset
from dsvl2_app.image.load import Limits
from dsvl2_app.text.grounding import Mode
from dsvl2_app.ui.opening import Opener
from dsvl2_app.ui.removed import Return
from dsvl2_app.ui.tabs.grounding.exports import build_exports
from dsvl2_app.ui.tabs.grounding.marking import build_marking
from dsvl2_app.ui.words.translations import label, say

MODES: list[tuple[str, Mode]] = [
    ("Find a phrase", "find"),
    ("Find all", "find_all"),
    ("Describe with boxes", "describe"),
    ("Find what I mark", "in_context"),
    ("Point at", "point"),
    ("Count", "count"),
]
HINTS: dict[Mode, str] = {
    "find": "The one thing that a phrase describes; several phrases with ; between",
    "find_all": "Everything that a phrase fits; several phrases with ; between",
    "describe": "An answer in words, with a box for each thing that it names",
    "in_context": "Everything that a phrase fits; several phrases with ; between",  # hidden
    "point": "A point in the middle of everything that a phrase fits",
    "count": "How many there are, by a box around each",
}
UPLOAD: dict[str, Any] = {"type": "filepath", "image_mode": None, "sources": ["upload", "clipboard"]}


@dataclass(frozen=True)
class Question:
    """On the left: what to look for, in which picture."""

    mode: gr.Radio
    example_column: gr.Column  # with the next two, for the mode "in_context" alone
    example: gr.Image
    marking: gr.HTML
    picture: gr.Image
    back: Return
    opener: Opener
    phrase: gr.Textbox
    well_formed: gr.Checkbox
    start: gr.Button
    halt: gr.Button


@dataclass(frozen=True)
class Answer:
    """On the right: what was found."""

    notice: gr.HTML
    how: gr.HTML
    status: gr.HTML
    aside: gr.Row  # the next two: for boxes that a person made and something else took the place of
    back: gr.Button
    discard: gr.Button
    boxes: gr.HTML
    exports: gr.HTML
    raw: gr.Textbox


def build_question(limits: Limits, *, shapes_only: bool, can_hold: bool) -> Question:
    """Made within its column. With `can_hold` the backend can keep an answer well-formed."""
    mode = gr.Radio(
        [(label(name), mode) for name, mode in MODES],
        value="find",
        label=label("What to do"),
        show_label=False,
        container=False,
        elem_id="grounding-mode",
    )
    with gr.Column(visible=False) as example_column:
        example = gr.Image(label=label("Example"), height=220, buttons=[], elem_id="grounding-example", **UPLOAD)
        marking = build_marking()
    return Question(
        mode,
        example_column,
        example,
        marking,
        gr.Image(
            label=label("Picture"),
            height=300,
            buttons=["fullscreen"],
            elem_id="grounding-picture",
            **{**UPLOAD, "sources": [*UPLOAD["sources"], "webcam"]},
        ),
        Return("grounding"),
        Opener("grounding", limits, single=True),
        gr.Textbox(elem_id="grounding-phrase", **phrase_texts("find", shapes_only, label)),
        gr.Checkbox(
            value=can_hold,
            visible=can_hold,
            label=label("Well-formed boxes only"),
            info=label(
                "A box that the model begins is written whole, with any words around it; off, a box may break off"
            ),
            elem_id="grounding-well-formed",
        ),
        gr.Button(label("Find"), variant="primary", elem_id="grounding-start"),
        gr.Button(label("Stop"), variant="stop", visible=False, elem_id="grounding-stop"),
    )


def build_answer(finding: gr.State) -> Answer:
    """Made within its column. `finding` holds a Finding, which the downloads are made of."""
    return Answer(
        gr.HTML(elem_id="grounding-notice"),
        gr.HTML(show_how_to(), elem_id="grounding-how"),
        gr.HTML(elem_id="grounding-status"),
        *build_aside(),
        gr.HTML(
            js_on_load=read_asset("boxes.js") + read_asset("correct.js"),
            apply_default_css=False,
            elem_id="grounding-boxes",
        ),
        build_exports(finding),
        gr.Textbox(
            label=label("The answer as the model wrote it"),
            lines=2,
            max_lines=12,
            interactive=False,
            visible=False,
            buttons=["copy"],
            elem_id="grounding-raw",
        ),
    )


def build_examples() -> gr.HTML:
    """Below the answer: before there is one they are in sight, beside the question."""
    return gr.HTML(js_on_load=read_asset("cards.js"), apply_default_css=False, elem_id="grounding-examples")


def build_aside() -> tuple[gr.Row, gr.Button, gr.Button]:
    with gr.Row(visible=False, elem_id="grounding-aside") as row:
        back = gr.Button("", size="sm", elem_id="grounding-back")
        discard = gr.Button(label("Discard them"), size="sm", elem_id="grounding-discard")
    return row, back, discard


def phrase_texts(mode: Mode, shapes_only: bool, speak: Callable[[str], Any]) -> dict[str, Any]:
    """`speak` is `label` while the page is built, `say` when it changes."""
    if mode == "describe":
        info = speak(HINTS[mode])
        return {"label": speak("Question"), "placeholder": speak("Describe this picture."), "info": info}
    one, many = ("the black triangle", "yellow shapes") if shapes_only else ("the dog on the left", "dogs")
    example = one if mode == "find" else many
    return {"label": speak("Phrase"), "placeholder": speak(example), "info": speak(HINTS[mode])}


def show_how_to() -> str:
    return f'<p class="empty">{say("Choose a picture and say what to look for: its boxes appear here.")}</p>'
