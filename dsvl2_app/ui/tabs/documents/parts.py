"""The parts of the Documents tab, in their places."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from dsvl2_app.bundled import read_asset
from dsvl2_app.ui.events import download_button
from dsvl2_app.ui.examples import read_examples
from dsvl2_app.ui.gradio_quirks import Examples
from dsvl2_app.ui.pages import build_pages
from dsvl2_app.ui.tabs.documents.exports import FORMATS
from dsvl2_app.ui.tabs.documents.tasks import OWN, offer_tasks
from dsvl2_app.ui.uploads import KINDS
from dsvl2_app.ui.words.translations import label, say, text_label

HOW_TO = "Add a PDF, scans or pictures: they are read page by page, and what was read is written as a file."
READY = "Press Read: page and text appear here, side by side."
READY_OWN = "Press Read: page and text appear here, side by side. Or use the text that the PDF holds itself, at once."
BEGUN = "Reading has begun."
UNREAD = "{words} is not read yet."
NO_OWN_TEXT = "{words} has no text of its own: it is a scan or a picture."
CHECK = "The bundled toy model often misreads documents: compare its text with the page."


@dataclass(frozen=True)
class Question:
    """On the left: which pages, and what of them."""

    files: gr.File
    examples: Examples | None  # what is chosen there is put into the files
    task: gr.Radio
    own: gr.Textbox
    start: gr.Button
    halt: gr.Button
    pdf_text: gr.Button  # takes the text that is there already
    back: gr.Button  # brings documents back
    pages: gr.HTML  # below the buttons, which would fall out of sight with many


@dataclass(frozen=True)
class Answer:
    """On the right: the page beside what was read."""

    notice: gr.HTML
    how: gr.HTML
    status: gr.HTML
    source: gr.Radio  # whose text
    which: gr.Dropdown
    row: gr.Row
    picture: gr.HTML
    note: gr.HTML
    text: gr.Markdown
    exports: gr.Row

    @property
    def shown(self) -> list[gr.Component | gr.Row]:
        state, page = [self.notice, self.how, self.status], [self.which, self.row, self.picture, self.note, self.text]
        return [*state, self.source, *page, self.exports]


def build_question(*, bundled: bool) -> Question:
    """Made within its column."""
    files = gr.File(
        label=label("Documents"),
        file_count="multiple",
        file_types=KINDS,
        type="filepath",
        height=150,
        elem_id="documents-files",
    )
    offered = [[list(example.pictures)] for example in read_examples("documents")]
    examples = gr.Examples(offered, [files], label=label("Examples"), elem_id="documents-examples") if offered else None
    task = gr.Radio(
        [(label(name), key) for name, key in offer_tasks(bundled=bundled)],
        value="text",
        label=label("What to do with each page"),
        elem_id="documents-task",
    )
    own = gr.Textbox(
        label=label("Question"),
        placeholder=text_label("What is the invoice number?"),
        visible=False,
        elem_id="documents-own",
    )
    start, halt, pdf_text = build_buttons()
    return Question(
        files,
        examples,
        task,
        own,
        start,
        halt,
        pdf_text,
        gr.Button("", size="sm", visible=False, elem_id="documents-back"),
        build_pages("documents-pages", shows=True),
    )


def build_buttons() -> tuple[gr.Button, gr.Button, gr.Button]:
    """Read, Stop, and what takes the text that is there already."""
    with gr.Row(equal_height=True, elem_id="documents-buttons"):
        start = gr.Button(label("Read"), variant="primary", min_width=90, elem_id="documents-start")
        halt = gr.Button(label("Stop"), variant="stop", visible=False, min_width=90, elem_id="documents-stop")
        pdf_text = gr.Button(
            label("Use the PDF's text"),
            size="md",
            scale=2,
            visible=False,
            min_width=180,
            elem_id="documents-pdf-text",
        )
    return start, halt, pdf_text


def build_answer() -> tuple[Answer, dict[str, gr.Button], gr.DownloadButton]:
    """Made within its column; also a button for each format, and what downloads the file."""
    notice = gr.HTML(elem_id="documents-notice")
    how = gr.HTML(show_how_to(), elem_id="documents-how")
    status = gr.HTML(elem_id="documents-status")
    source = gr.Radio(
        [(label("The model's text"), "model"), (label("The PDF's own text"), "own")],
        value="model",
        label=label("Which text is shown and saved"),
        show_label=False,
        container=False,
        visible=False,
        elem_id="documents-source",
    )
    with gr.Row(visible=False, elem_id="documents-exports") as exports:
        buttons = {name: gr.Button(text_label(name), size="sm", min_width=60) for name in FORMATS}
    which = gr.Dropdown([], label=label("Page"), visible=False, interactive=True, elem_id="documents-which")
    with gr.Row(visible=False, equal_height=False, elem_id="documents-page") as row:
        with gr.Column(min_width=260):
            picture = gr.HTML(js_on_load=read_asset("boxes.js"), apply_default_css=False, elem_id="documents-picture")
        with gr.Column(min_width=260):
            note = gr.HTML(elem_id="documents-note")
            text = gr.Markdown(line_breaks=True, elem_id="documents-text", buttons=["copy"], container=True)
    answer = Answer(notice, how, status, source, which, row, picture, note, text, exports)
    return answer, buttons, download_button("documents-file")


def show_how_to(words: str = HOW_TO) -> str:
    """What stands in the place of a page."""
    return f'<p class="empty">{say(words)}</p>'


def shows_question(task: str) -> bool:
    return task == OWN
