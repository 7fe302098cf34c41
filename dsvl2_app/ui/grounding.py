"""The Grounding tab: a picture and what to look for -> boxes on the picture, as a table, as files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from dsvl2_app.engine.request import Step
from dsvl2_app.engine.worker import Stream, Worker
from dsvl2_app.errors import PromptError
from dsvl2_app.image.load import Limits, load_image
from dsvl2_app.image.overlay import draw_mark
from dsvl2_app.text.boxes import Parsed
from dsvl2_app.text.exports import FORMATS, Annotation
from dsvl2_app.ui import wording
from dsvl2_app.ui.examples import read_examples
from dsvl2_app.ui.locate import HEADERS, Mode, compose, compose_in_context, draw, read_answer, submit, tabulate
from dsvl2_app.ui.uploads import open_upload, save_picture, save_upload, shrink, uploaded_path

MOST_PROBLEMS = 10  # shown; a degenerate answer can have hundreds
MODES: list[tuple[str, Mode]] = [
    ("Find a phrase", "find"),
    ("Find all", "find_all"),
    ("Describe with boxes", "describe"),
    ("Find what I mark", "in_context"),
]
ACTIONS: dict[Mode, str] = {"find": "Find", "find_all": "Find all", "describe": "Describe", "in_context": "Find"}
HOW_TO = '<p class="empty">Choose a picture and say what to look for: its boxes appear here.</p>'


@dataclass
class Finding:
    """One visitor's last answer, and the corners that were clicked in the example picture."""

    path: str = ""  # of the picture that was searched
    annotation: Annotation | None = None
    corners: list[tuple[int, int]] = field(default_factory=list)

    @property
    def rectangle(self) -> tuple[int, int, int, int]:
        if len(self.corners) < 2:
            raise PromptError("Nothing is marked yet; click two opposite corners in the example picture.")
        (left, right), (top, bottom) = (sorted(edges) for edges in zip(*self.corners, strict=True))
        return left, top, right, bottom


class Grounding:
    def __init__(self, worker: Worker, limits: Limits) -> None:
        self.worker = worker
        self.limits = limits

    def build(self) -> None:
        self.running = gr.State(None)
        self.finding = gr.State(Finding())
        upload: dict[str, Any] = {"type": "filepath", "image_mode": None, "sources": ["upload", "clipboard"]}
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=300):
                mode = gr.Radio(
                    MODES,
                    value="find",
                    label="What to do",
                    show_label=False,
                    container=False,
                    elem_id="grounding-mode",
                )
                with gr.Column(visible=False) as self.marking:
                    example = gr.Image(
                        label="Example: click two opposite corners around a thing",
                        height=260,
                        buttons=[],
                        elem_id="grounding-example",
                        **upload,
                    )
                    self.marked = gr.Image(
                        label="Marked",
                        interactive=False,
                        visible=False,
                        height=160,
                        buttons=[],
                        elem_id="grounding-marked",
                    )
                picture = gr.Image(
                    label="Picture", height=300, buttons=["fullscreen"], elem_id="grounding-picture", **upload
                )
                self.phrase = gr.Textbox(elem_id="grounding-phrase", **phrase_texts("find"))
                well_formed = gr.Checkbox(
                    value=True,
                    label="Well-formed boxes only",
                    info="The model can write nothing but whole boxes; off, it shows what it would write",
                    elem_id="grounding-well-formed",
                )
                self.start = gr.Button("Find", variant="primary", elem_id="grounding-start")
                self.halt = gr.Button("Stop", variant="stop", visible=False, elem_id="grounding-stop")
            with gr.Column(scale=3, min_width=300):
                self.notice = gr.HTML(elem_id="grounding-notice")
                self.drawn = gr.Image(
                    label="Boxes",
                    show_label=False,  # it would cover a box in the corner
                    interactive=False,
                    visible=False,
                    buttons=["fullscreen"],
                    elem_id="grounding-drawn",
                )
                self.status = gr.HTML(HOW_TO, elem_id="grounding-status")
                self.table = gr.Dataframe(
                    headers=HEADERS,
                    datatype=["str", *["number"] * 4, "str", "str"],
                    type="array",
                    label="Boxes: corners in 0..999, and in pixels as left, top, right, bottom. Select a row to see it",
                    wrap=True,
                    interactive=False,
                    visible=False,
                    elem_id="grounding-table",
                )
                with gr.Row(visible=False, elem_id="grounding-exports") as self.exports:
                    buttons = [gr.Button(name, size="sm", min_width=60) for name in ("PNG", *FORMATS)]
                file = gr.DownloadButton("Download", visible="hidden", elem_id="grounding-download")
                self.raw = gr.Textbox(
                    label="The answer as the model wrote it",
                    lines=2,
                    max_lines=12,
                    interactive=False,
                    visible=False,
                    buttons=["copy"],
                    elem_id="grounding-raw",
                )

        page = [self.drawn, self.status, self.table, self.exports, self.raw, self.notice]
        page += [self.start, self.halt, self.running]
        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        asking = {"preprocess": False, "concurrency_id": "model", "concurrency_limit": None, **private}
        inputs = [picture, self.phrase, mode, well_formed, example, self.finding]
        gr.on([self.start.click, self.phrase.submit], self.find, inputs, page, **asking)
        self.halt.click(self.stop, self.running, None, queue=False, **private)
        mode.change(self.choose_mode, mode, [self.phrase, self.start, self.marking], queue=False, **private)
        marking = [self.marked, self.notice]
        example.select(self.mark, [example, self.finding], marking, preprocess=False, **private)
        example.change(self.unmark, self.finding, marking, queue=False, **private)
        self.table.select(self.select, self.finding, self.drawn, **private)
        fetch = "() => setTimeout(() => document.querySelector('#grounding-download').click(), 300)"
        for name, button in zip(("PNG", *FORMATS), buttons, strict=True):
            button.click(self.exporter(name), self.finding, file, **private).success(None, None, None, js=fetch)

        examples = read_examples("grounding")
        if examples:
            shown = gr.Examples(
                [[example.pictures[0], example.text] for example in examples],
                [picture, self.phrase],
                example_labels=[example.text for example in examples],
            )
            shown.load_input_event.success(self.find, inputs, page, **asking)

    # -- asking ---------------------------------------------------------------------------------------------

    def choose_mode(self, mode: Mode) -> tuple[Any, Any, Any]:
        in_context = mode == "in_context"
        phrase = gr.Textbox(visible=not in_context, **phrase_texts(mode))
        return phrase, gr.Button(ACTIONS[mode]), gr.Column(visible=in_context)

    async def stop(self, running: Stream | None) -> None:
        """Not in a thread of the pool, which may be full of answers."""
        if running:
            running.cancel()

    def find(
        self, picture: Any, phrase: str, mode: Mode, well_formed: bool, example: Any, finding: Finding
    ) -> Iterator[dict[Any, Any]]:
        """Stream the answer; the picture is drawn anew whenever there is another box."""
        try:
            image = open_upload(picture, self.limits)
            if mode == "in_context":
                marked = draw_mark(open_upload(example, self.limits), finding.rectangle)
                messages = compose_in_context(marked, image)
            else:
                messages = compose(image, phrase, mode)
            stream = submit(self.worker, messages, well_formed=well_formed)
        except Exception as error:
            yield {self.notice: wording.show_notice(error)}
            return
        finding.path, finding.annotation = uploaded_path(picture), None
        preview = shrink(image)
        drawn = 0
        with stream:
            yield {
                self.notice: wording.show_notice(),
                self.drawn: gr.Image(preview, visible=True),
                self.status: show_status("Starting"),
                self.table: gr.Dataframe(visible=False),
                self.exports: gr.Row(visible=False),
                self.raw: gr.Textbox("", visible=True),
                **self.show_buttons(busy=True),
                self.running: stream,
            }
            last: dict[Any, Any] = {}
            try:
                for text, parsed, step in read_answer(stream):
                    changes = {self.raw: text, self.status: show_progress(step, parsed)}
                    finding.annotation = Annotation(Path(finding.path).name, *image.size, parsed.boxes, text)
                    if len(parsed.boxes) > drawn:
                        drawn = len(parsed.boxes)
                        rows = tabulate(parsed.boxes, image.size)
                        changes |= {
                            self.drawn: draw(preview, parsed.boxes),
                            self.table: gr.Dataframe(rows, visible=True),
                        }
                    yield changes
            except Exception as error:
                last = {self.notice: wording.show_notice(error), self.status: ""}
        last[self.exports] = gr.Row(visible=drawn > 0)
        yield {**last, **self.show_buttons(busy=False), self.running: None}

    def show_buttons(self, *, busy: bool) -> dict[Any, Any]:
        return {self.start: gr.Button(visible=not busy), self.halt: gr.Button(visible=busy)}

    # -- the example, the table, files ----------------------------------------------------------------------

    def mark(self, example: Any, finding: Finding, event: gr.SelectData) -> dict[Any, Any]:
        """A corner was clicked; the third click begins another rectangle."""
        try:
            image = open_upload(example, self.limits)
            x, y = (int(value) for value in event.index)
        except Exception as error:
            return {self.notice: wording.show_notice(error)}
        finding.corners = [*finding.corners, (x, y)] if len(finding.corners) == 1 else [(x, y)]
        if len(finding.corners) < 2:
            return {self.marked: gr.Image(visible=False), self.notice: wording.show_notice()}
        drawn = shrink(draw_mark(image, finding.rectangle))
        return {self.marked: gr.Image(drawn, visible=True), self.notice: wording.show_notice()}

    def unmark(self, finding: Finding) -> dict[Any, Any]:
        finding.corners = []
        return {self.marked: gr.Image(visible=False), self.notice: wording.show_notice()}

    def select(self, finding: Finding, event: gr.SelectData) -> Any:
        """The box of the chosen row stands out."""
        found = finding.annotation
        if found is None:
            return gr.skip()
        return draw(shrink(load_image(finding.path, limits=self.limits)), found.boxes, event.index[0])

    def exporter(self, name: str) -> Any:
        def write(finding: Finding) -> Any:
            found = finding.annotation
            if found is None:
                return gr.skip()
            stem = Path(found.picture).stem
            if name == "PNG":
                image = load_image(finding.path, limits=self.limits)
                return save_picture(draw(image, found.boxes), f"{stem}-boxes.png")
            format = FORMATS[name]
            return save_upload(format.write(found).encode(), f"{stem}{format.suffix}")

        return write


def phrase_texts(mode: Mode) -> dict[str, str]:
    if mode == "describe":
        return {"label": "Question", "placeholder": "Describe this picture."}
    return {"label": "Phrase", "placeholder": "the dog on the left" if mode == "find" else "dogs"}


def show_progress(step: Step, parsed: Parsed) -> str:
    if step.finish is None:
        return show_status(wording.describe_progress(step), running=True)
    found = wording.count(len(parsed.boxes), "box", "boxes")
    return show_status(f"{found} · {wording.describe_ending(step.timings, step.finish)}") + show_problems(parsed)


def show_status(text: str, *, running: bool = False) -> str:
    return f'<p class="progress{" running" if running else ""}" role="status">{escape(text)}</p>'


def show_problems(parsed: Parsed) -> str:
    """What in the answer is malformed, and where."""
    if not parsed.problems:
        return ""
    items = "".join(
        f"<li>At character {problem.place:,}: {escape(problem.what)} <code>{escape(problem.excerpt)}</code></li>"
        for problem in parsed.problems[:MOST_PROBLEMS]
    )
    more = len(parsed.problems) - MOST_PROBLEMS
    if more > 0:
        items += f"<li>and {more:,} more</li>"
    return f'<div class="problems"><p>Parts of the answer are not well-formed boxes:</p><ul>{items}</ul></div>'
