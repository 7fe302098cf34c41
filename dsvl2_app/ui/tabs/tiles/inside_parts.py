"""The parts of the Inside view, in their places."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from dsvl2_app.bundled import read_asset
from dsvl2_app.ui.events import download_button
from dsvl2_app.ui.words import wording
from dsvl2_app.ui.words.translations import label, say, text_label

# A script that hands the attention of a word on to the view's own.
TELL = """watch("value", () => {
  if (props.value) document.dispatchEvent(new CustomEvent("dsvl2-attention", {detail: JSON.parse(props.value).levels}));
});"""
# Another word was chosen, to go on from.
FORK = """element.addEventListener("click", (event) => {
  const other = event.target.closest("[data-other]");
  if (other) trigger("fork", {index: Number(other.dataset.other)});
});"""
CANNOT = "The model behind this page cannot be looked into: it runs on a server elsewhere."
HOW_TO = (
    "Ask something about the pictures above. Afterwards, look inside: what each word of the answer attended to, "
    "which experts worked, which tiles were encoded once."
)


@dataclass(frozen=True)
class Seen:
    """What the view shows once it was asked to look inside."""

    tour: gr.HTML
    shares: gr.HTML
    view: gr.HTML
    reply: gr.HTML  # what the view's script is told
    others: gr.HTML
    branch: gr.HTML  # the answer that goes on from another word
    take: gr.Button
    place: gr.HTML
    experts: gr.HTML
    twins: gr.HTML
    cost: gr.HTML
    sides: gr.HTML  # what was kept, and this
    compare: gr.Button
    keep: dict[str, gr.Button]  # suffix -> the button that downloads such a file
    file: gr.DownloadButton

    @property
    def fork(self) -> list[gr.Component]:
        """What an answer from another word sets."""
        return [self.branch, self.take]

    @property
    def shown(self) -> list[gr.Component]:
        """What looking inside sets."""
        return [self.view, self.place, self.experts, self.twins, self.cost, self.sides, self.tour, *self.fork]


@dataclass(frozen=True)
class InsidePage:
    """Made by `build_page`: a question, its answer token by token, and what was seen inside."""

    panel: gr.Accordion
    how: gr.HTML
    question: gr.Textbox
    ask: gr.Button
    halt: gr.Button
    notice: gr.HTML
    status: gr.HTML
    pieces: gr.HTML
    open: gr.Button
    opener: gr.UploadButton  # of a file that was saved
    guide: gr.Button  # begins the tour
    result: gr.Column  # hidden until there is something seen
    seen: Seen


def build_page(can: bool, *, english_only: bool) -> InsidePage:
    """Made within the tab's Blocks. The question that is suggested is in English where the model reads that alone."""
    with gr.Accordion(label("Inside view"), open=False, elem_id="inside") as panel:
        how = gr.HTML(show_how_to(can), elem_id="inside-how")
        with gr.Row(elem_id="inside-asking"):
            question = gr.Textbox(
                label=label("Question"),
                placeholder="What is in the picture?" if english_only else label("What is in the picture?"),
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
        with gr.Row(elem_id="inside-opening"):
            opened = gr.Button(label("Look inside"), visible=False, elem_id="inside-open")
            opener = gr.UploadButton(
                text_label("Open a saved view"), size="sm", file_types=[".npz", ".json"], elem_id="inside-file-open"
            )
            guide = gr.Button(label("Show me around"), visible=can, size="sm", elem_id="inside-guide")
        with gr.Column(visible=False, elem_id="inside-seen") as result:
            seen = build_seen()
    return InsidePage(panel, how, question, ask, halt, notice, status, pieces, opened, opener, guide, result, seen)


def build_seen() -> Seen:
    tour = gr.HTML(js_on_load=read_asset("tour.js"), apply_default_css=False, elem_id="inside-tour")
    view = gr.HTML(js_on_load=read_asset("within.js"), apply_default_css=False, elem_id="inside-view")
    reply = gr.HTML(html_template="", js_on_load=TELL, elem_id="inside-reply")
    with gr.Row(equal_height=False):
        with gr.Column(min_width=300):
            shares = gr.HTML(elem_id="inside-shares")
            others = gr.HTML(js_on_load=FORK, apply_default_css=False, elem_id="inside-others")
            branch = gr.HTML(elem_id="inside-branch")
            take = gr.Button(label("Look inside this one"), visible=False, size="sm", elem_id="inside-take")
        with gr.Column(min_width=300):
            place = gr.HTML(elem_id="inside-place")
    with gr.Accordion(label("Which experts do pictures, and which words"), open=False, elem_id="inside-kinds"):
        experts = gr.HTML(elem_id="inside-experts")
    twins = gr.HTML(elem_id="inside-twins")
    cost = gr.HTML(elem_id="inside-cost")
    sides = gr.HTML(elem_id="inside-sides")
    with gr.Row(elem_id="inside-files"):
        compare = gr.Button(label("Compare with the next"), size="sm", min_width=160, elem_id="inside-compare")
        kinds = (("npz", label("Save as npz")), ("json", label("Save as JSON")))
        keep = {kind: gr.Button(word, size="sm", min_width=80, elem_id=f"inside-{kind}") for kind, word in kinds}
    file = download_button("inside-file")
    return Seen(
        tour, shares, view, reply, others, branch, take, place, experts, twins, cost, sides, compare, keep, file
    )


def show_how_to(can: bool = True) -> str:
    """`can`: whether the backend looks inside."""
    return wording.show_status(say(HOW_TO if can else CANNOT))
