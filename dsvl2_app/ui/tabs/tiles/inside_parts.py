"""The parts of the Inside view, in their places."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from dsvl2_app.bundled import read_asset
from dsvl2_app.ui.words import wording
from dsvl2_app.ui.words.translations import label, say

HOW_TO = (
    "Ask something about the pictures above. Afterwards, look inside: what each word of the answer attended to, "
    "which experts worked, which tiles were encoded once."
)


@dataclass(frozen=True)
class Seen:
    """What the view shows once it was asked to look inside."""

    layer: gr.Dropdown
    which: gr.Radio
    shares: gr.HTML
    heat: gr.Image
    experts: gr.HTML
    twins: gr.HTML
    cost: gr.HTML


@dataclass(frozen=True)
class InsidePage:
    """Made by `build_page`: a question, its answer token by token, and what was seen inside."""

    how: gr.HTML
    question: gr.Textbox
    ask: gr.Button
    halt: gr.Button
    notice: gr.HTML
    status: gr.HTML
    pieces: gr.HTML
    open: gr.Button
    result: gr.Column  # hidden until there is something seen
    seen: Seen


def build_page() -> InsidePage:
    """Made within the tab's Blocks."""
    with gr.Accordion(label("Inside view"), open=False, elem_id="inside"):
        how = gr.HTML(show_how_to())
        with gr.Row(elem_id="inside-asking"):
            question = gr.Textbox(
                label=label("Question"),
                placeholder=label("What is in the picture?"),
                max_lines=6,
                scale=5,
                min_width=240,
                elem_id="inside-question",
            )
            ask = gr.Button(label("Ask"), variant="primary", min_width=120, elem_id="inside-ask")
            halt = gr.Button(label("Stop"), variant="stop", min_width=120, visible=False, elem_id="inside-stop")
        notice = gr.HTML(elem_id="inside-notice")
        status = gr.HTML(elem_id="inside-status")
        pieces = gr.HTML(
            js_on_load=read_asset("inside.js"),
            apply_default_css=False,
            elem_id="inside-answer",
        )
        opened = gr.Button(label("Look inside"), visible=False, elem_id="inside-open")
        with gr.Column(visible=False, elem_id="inside-seen") as result:
            seen = build_seen()
    return InsidePage(how, question, ask, halt, notice, status, pieces, opened, result, seen)


def build_seen() -> Seen:
    with gr.Row():
        layer = gr.Dropdown(label=label("Layer"), elem_id="inside-layer")
        which = gr.Radio(label=label("Picture"), visible=False, elem_id="inside-which")
    shares = gr.HTML(elem_id="inside-shares")
    heat = gr.Image(
        label=label("Attention of the chosen token"),
        show_label=False,
        interactive=False,
        buttons=["download", "fullscreen"],
        elem_id="inside-heat",
    )
    experts = gr.HTML(elem_id="inside-experts")
    twins = gr.HTML(elem_id="inside-twins")
    return Seen(layer, which, shares, heat, experts, twins, gr.HTML(elem_id="inside-cost"))


def show_how_to() -> str:
    return wording.show_status(say(HOW_TO))
