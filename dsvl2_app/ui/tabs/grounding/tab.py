"""The Grounding tab: a picture and what to look for -> boxes over the picture, as a table, as files."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import gradio as gr

from dsvl2_app.backend import Backend, Stream
from dsvl2_app.bundled import ASSETS
from dsvl2_app.image.load import Limits
from dsvl2_app.image.overlay import draw_mark
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.text.boxes import Box
from dsvl2_app.text.exports import Annotation
from dsvl2_app.text.grounding import Mode, ask_for, ask_for_marked
from dsvl2_app.text.prompt import Message
from dsvl2_app.ui.examples import read_examples, show_examples
from dsvl2_app.ui.gradio_quirks import last_update
from dsvl2_app.ui.locate import read_answer, submit
from dsvl2_app.ui.tabs.grounding.findings import Finding, build_downloads, describe_event
from dsvl2_app.ui.tabs.grounding.linked import show_boxes
from dsvl2_app.ui.tabs.grounding.marking import build_marking, offer, read_rectangle
from dsvl2_app.ui.uploads import measure, name_owner, save_preview, save_upload, uploaded_name, uploaded_path
from dsvl2_app.ui.words import wording
from dsvl2_app.ui.words.translations import label, say

MODES: list[tuple[str, Mode]] = [
    ("Find a phrase", "find"),
    ("Find all", "find_all"),
    ("Describe with boxes", "describe"),
    ("Find what I mark", "in_context"),
]
REVEAL = """() => {
  const result = document.querySelector("#grounding-result"), {top, bottom} = result.getBoundingClientRect();
  if (top < innerHeight - 160 && bottom > 160) return;
  result.scrollIntoView({behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth"});
}"""
CHOOSE = """element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-index]");
  if (button) trigger("choose", {index: Number(button.dataset.index)});
});"""
ACTIONS: dict[Mode, str] = {"find": "Find", "find_all": "Find all", "describe": "Describe", "in_context": "Find"}


class Grounding:
    title: ClassVar[str] = "Grounding"
    id: ClassVar[str] = "grounding"

    def __init__(self, backend: Backend, limits: Limits) -> None:
        self.backend = backend
        self.limits = limits
        self.shapes_only = backend.card.bundled  # it knows no photographs
        self.offered = read_examples("grounding")

    def build(self, demo: gr.Blocks) -> None:
        self.running = gr.State(None)
        self.finding = gr.State(Finding())
        upload: dict[str, Any] = {"type": "filepath", "image_mode": None, "sources": ["upload", "clipboard"]}
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=300):
                mode = gr.Radio(
                    [(label(name), mode) for name, mode in MODES],
                    value="find",
                    label=label("What to do"),
                    show_label=False,
                    container=False,
                    elem_id="grounding-mode",
                )
                with gr.Column(visible=False) as self.example_column:
                    self.example = gr.Image(
                        label=label("Example"), height=220, buttons=[], elem_id="grounding-example", **upload
                    )
                    self.marking = build_marking()
                picture = gr.Image(
                    label=label("Picture"), height=300, buttons=["fullscreen"], elem_id="grounding-picture", **upload
                )
                self.phrase = gr.Textbox(elem_id="grounding-phrase", **phrase_texts("find", self.shapes_only, label))
                can_hold = self.backend.capabilities.grammar
                well_formed = gr.Checkbox(
                    value=can_hold,
                    visible=can_hold,
                    label=label("Well-formed boxes only"),
                    info=label("The model can write nothing but whole boxes; off, it shows what it would write"),
                    elem_id="grounding-well-formed",
                )
                self.start = gr.Button(label("Find"), variant="primary", elem_id="grounding-start")
                self.halt = gr.Button(label("Stop"), variant="stop", visible=False, elem_id="grounding-stop")
            with gr.Column(scale=3, min_width=300, elem_id="grounding-result"):
                self.notice = gr.HTML(elem_id="grounding-notice")
                self.how = gr.HTML(show_how_to(), elem_id="grounding-how")
                self.status = gr.HTML(elem_id="grounding-status")
                self.boxes = gr.HTML(
                    js_on_load=(ASSETS / "boxes.js").read_text(encoding="utf-8"),
                    apply_default_css=False,
                    elem_id="grounding-boxes",
                )
                self.exports = build_downloads(self.finding)
                self.raw = gr.Textbox(
                    label=label("The answer as the model wrote it"),
                    lines=2,
                    max_lines=12,
                    interactive=False,
                    visible=False,
                    buttons=["copy"],
                    elem_id="grounding-raw",
                )

        page = [self.how, self.boxes, self.status, self.exports, self.raw, self.notice]
        page += [self.start, self.halt, self.running]
        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        gr.on(None, show_how_to, None, self.how, queue=False, **private)  # in the visitor's language
        raw: dict[str, Any] = {"preprocess": False, **private}
        asking = {"concurrency_id": "model", "concurrency_limit": None, **raw}
        inputs = [picture, self.phrase, mode, well_formed, self.example, self.marking, self.finding]
        asked = [self.start.click, self.phrase.submit]
        gr.on(asked, self.find, inputs, page, **asking)
        gr.on(asked, None, None, None, js=REVEAL, **private)
        self.halt.click(self.stop, self.running, None, queue=False, **private)
        mode.change(self.choose_mode, mode, [self.phrase, self.start, self.example_column], queue=False, **private)
        picture.change(None, None, self.notice, js="() => ''", **private)  # an error was about the one before
        marking = [self.example, self.marking, self.notice]
        self.example.upload(self.open_example, self.example, marking, **raw)
        self.marking.another(self.close_example, None, marking, queue=False, **private)

        if self.offered:
            chips = gr.HTML(js_on_load=CHOOSE, apply_default_css=False, elem_id="grounding-examples")
            gr.on(None, self.show_offered, None, chips, queue=False, **private)
            loaded = [picture, self.phrase, mode, self.example, self.marking]
            chosen = chips.choose(self.load_example, None, loaded, queue=False, **private)
            chosen.success(self.find, inputs, page, **asking)
            chosen.success(None, None, None, js=REVEAL, **private)

    # -- asking ---------------------------------------------------------------------------------------------

    def choose_mode(self, mode: Mode) -> tuple[Any, Any, Any]:
        in_context = mode == "in_context"
        phrase = gr.Textbox(visible=not in_context, **phrase_texts(mode, self.shapes_only, say))
        return phrase, gr.Button(say(ACTIONS[mode])), gr.Column(visible=in_context)

    def stop(self, running: Stream | None) -> None:
        if running:
            running.cancel()

    async def find(
        self,
        picture: Any,
        phrase: str,
        mode: Mode,
        well_formed: bool,
        example: Any,
        marking: Any,
        finding: Finding,
        visitor: gr.Request,
    ) -> AsyncIterator[dict[Any, Any]]:
        """Stream the answer; whenever there is another box it joins the picture and the table."""
        try:
            image = await to_thread(lambda: measure(uploaded_path(picture), self.limits))
            opened = await to_thread(image.opened)
            messages = (
                await to_thread(self.compose_in_context, opened, example, marking)
                if mode == "in_context"
                else ask_for(opened, phrase, mode)
            )
            stream = submit(self.backend, messages, well_formed=well_formed, owner=name_owner(visitor))
        except Exception as error:
            finding.annotation = None
            yield {**self.clear(), self.notice: wording.show_notice(error)}
            return
        finding.open(image, uploaded_name(picture))
        text, boxes = "", tuple[Box, ...]()
        with stream:
            preview = await to_thread(save_preview, opened)
            yield {
                **self.show_answer(text, boxes, preview, image.size),
                self.status: wording.show_status(say("Starting"), running=True),
                self.exports: gr.Row(visible=False),
                **self.show_buttons(busy=True),
                self.running: stream,
            }
            failure: dict[Any, Any] = {}
            try:
                async for text, parsed, event in read_answer(stream):
                    finding.annotation = Annotation(finding.name, *image.size, parsed.boxes, text, names=finding.labels)
                    changes = {self.raw: text, self.status: describe_event(event, parsed, text)}
                    if len(parsed.boxes) > len(boxes):
                        boxes = parsed.boxes
                        changes[self.boxes] = show_boxes(preview, image.size, boxes)
                    yield changes
            except Exception as error:
                failure = {self.notice: wording.show_notice(error), self.status: ""}
        yield last_update(
            self.show_answer(text, boxes, preview, image.size),
            failure,
            {self.exports: gr.Row(visible=bool(boxes)), self.running: None},
            self.show_buttons(busy=False),
        )

    def show_answer(self, text: str, boxes: Sequence[Box], preview: str, size: tuple[int, int]) -> dict[Any, Any]:
        return {
            self.notice: wording.show_notice(),
            self.how: gr.HTML(visible=False),
            self.boxes: show_boxes(preview, size, boxes),
            self.raw: gr.Textbox(text, visible=True),
        }

    def clear(self) -> dict[Any, Any]:
        """No error stands above what was found before."""
        return {
            self.how: gr.HTML(visible=True),
            self.boxes: "",
            self.status: "",
            self.exports: gr.Row(visible=False),
            self.raw: gr.Textbox("", visible=False),
        }

    def compose_in_context(self, image: ImageRef, example: Any, marking: Any) -> list[Message]:
        marked = measure(uploaded_path(example), self.limits)
        box = marking.get("box") if isinstance(marking, dict) else None
        return ask_for_marked(draw_mark(marked.open(), read_rectangle(box, marked.size)), image)

    def show_buttons(self, *, busy: bool) -> dict[Any, Any]:
        return {self.start: gr.Button(visible=not busy), self.halt: gr.Button(visible=busy)}

    # -- examples to try ------------------------------------------------------------------------------------

    def show_offered(self) -> str:
        return show_examples(self.offered, {mode: name for name, mode in MODES})

    def load_example(self, event: gr.EventData) -> list[Any]:
        chosen = self.offered[event.index]
        picture = _save(chosen.pictures[0])
        if chosen.mode != "in_context":
            return [picture, chosen.text, chosen.mode, gr.skip(), gr.skip()]
        marking = offer(ImageRef.of(chosen.marked)) | {"box": list(chosen.box)}
        return [picture, "", chosen.mode, _save(chosen.marked), marking]

    # -- the example ----------------------------------------------------------------------------------------

    def open_example(self, example: Any) -> dict[Any, Any]:
        """The upload gives way (in page.css) to the same picture with a rectangle to drag."""
        try:
            offered = offer(measure(uploaded_path(example), self.limits))
        except Exception as error:
            return {self.notice: wording.show_notice(error)}
        return {self.marking: offered, self.notice: wording.show_notice()}

    def close_example(self) -> dict[Any, Any]:
        return {self.example: None, self.marking: None, self.notice: wording.show_notice()}


def phrase_texts(mode: Mode, shapes_only: bool, speak: Callable[[str], Any]) -> dict[str, Any]:
    """`speak` is `label` while the page is built, `say` when it changes."""
    if mode == "describe":
        return {"label": speak("Question"), "placeholder": speak("Describe this picture.")}
    one, many = ("the black triangle", "yellow shapes") if shapes_only else ("the dog on the left", "dogs")
    example = one if mode == "find" else many
    return {"label": speak("Phrase"), "placeholder": speak(example)}


def _save(picture: str) -> str:
    """As if it had been uploaded."""
    return save_upload(Path(picture).read_bytes(), Path(picture).name)


def show_how_to() -> str:
    return f'<p class="empty">{say("Choose a picture and say what to look for: its boxes appear here.")}</p>'
