"""The Grounding tab and the /ground endpoint: a picture and a phrase -> boxes on the picture, as a table, as text."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from html import escape
from typing import Any, Literal

import gradio as gr
from PIL import Image

from dsvl2_app.engine.request import Request, Sampling, Step
from dsvl2_app.engine.worker import Stream, Worker
from dsvl2_app.errors import PromptError, SettingsError
from dsvl2_app.image.load import Limits
from dsvl2_app.image.overlay import OverlayBox, draw_boxes
from dsvl2_app.text.boxes import Box, Parsed, parse_boxes
from dsvl2_app.ui import wording
from dsvl2_app.ui.examples import read_examples
from dsvl2_app.ui.uploads import open_upload, shrink

Mode = Literal["find", "describe"]
MODES: tuple[Mode, ...] = ("find", "describe")

ALLOWED = frozenset({"<|ref|>", "<|/ref|>", "<|grounding|>"})
MOST_TOKENS = 1024  # about 40 boxes
MOST_PROBLEMS = 10  # shown; a degenerate answer can have hundreds
REFRESH = 0.05  # seconds between two pictures of a fast answer

HEADERS = ["Label", "x1", "y1", "x2", "y2", "Pixels", "Notes"]
HOW_TO = '<p class="empty">Choose a picture and say what to look for: its boxes appear here.</p>'


def compose(image: Image.Image, phrase: str, mode: Mode) -> list[dict[str, Any]]:
    """The two prompts that the model was trained on."""
    if mode not in MODES:
        raise SettingsError(f"The mode is {mode!r}; choose find or describe.")
    if not phrase.strip():
        raise PromptError("There is nothing to look for yet; type a phrase or a question.")
    text = f"\n<|ref|>{phrase}<|/ref|>." if mode == "find" else f"\n<|grounding|>{phrase}"
    return [{"role": "user", "content": [{"type": "image", "image": image}, {"type": "text", "text": text}]}]


def draw(image: Image.Image, boxes: Sequence[Box]) -> Image.Image:
    return draw_boxes(image, [OverlayBox(box.label, *box.pixels(*image.size)) for box in boxes])


class Grounding:
    def __init__(self, worker: Worker, limits: Limits) -> None:
        self.worker = worker
        self.limits = limits

    def submit(self, image: Image.Image, phrase: str, mode: Mode) -> Stream:
        """Greedy and without a penalty, which would keep coordinates from repeating digits."""
        sampling = Sampling(max_new_tokens=min(MOST_TOKENS, self.worker.card.context))
        return self.worker.submit(Request(compose(image, phrase, mode), sampling, allow=ALLOWED))

    def build(self) -> None:
        self.running = gr.State(None)
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=300):
                picture = gr.Image(
                    label="Picture",
                    type="filepath",
                    image_mode=None,
                    sources=["upload", "clipboard"],
                    height=300,
                    buttons=["fullscreen"],
                    elem_id="grounding-picture",
                )
                mode = gr.Radio(
                    [("Find a phrase", "find"), ("Describe with boxes", "describe")],
                    value="find",
                    label="What to do",
                    show_label=False,
                    container=False,
                    elem_id="grounding-mode",
                )
                self.phrase = gr.Textbox(elem_id="grounding-phrase", **phrase_texts("find"))
                self.start = gr.Button("Find", variant="primary", elem_id="grounding-start")
                self.halt = gr.Button("Stop", variant="stop", visible=False, elem_id="grounding-stop")
            with gr.Column(scale=3, min_width=300):
                self.notice = gr.HTML(elem_id="grounding-notice")
                self.drawn = gr.Image(
                    label="Boxes",
                    show_label=False,  # it would cover a box in the corner
                    interactive=False,
                    visible=False,
                    buttons=["download", "fullscreen"],
                    elem_id="grounding-drawn",
                )
                self.status = gr.HTML(HOW_TO, elem_id="grounding-status")
                self.table = gr.Dataframe(
                    headers=HEADERS,
                    datatype=["str", *["number"] * 4, "str", "str"],
                    type="array",
                    label="Boxes: corners in 0..999, and in pixels as left, top, right, bottom",
                    wrap=True,
                    interactive=False,
                    visible=False,
                    elem_id="grounding-table",
                )
                self.raw = gr.Textbox(
                    label="The answer as the model wrote it",
                    lines=2,
                    max_lines=12,
                    interactive=False,
                    visible=False,
                    buttons=["copy"],
                    elem_id="grounding-raw",
                )

        examples = read_examples("grounding")
        if examples:
            gr.Examples(
                [[example.pictures[0], example.text] for example in examples],
                [picture, self.phrase],
                example_labels=[example.text for example in examples],
            )

        page = [self.drawn, self.status, self.table, self.raw, self.notice, self.start, self.halt, self.running]
        gr.on(
            [self.start.click, self.phrase.submit],
            self.find,
            [picture, self.phrase, mode],
            page,
            preprocess=False,
            api_visibility="private",
            concurrency_id="model",
            concurrency_limit=None,
            show_progress="hidden",
        )
        self.halt.click(self.stop, self.running, None, queue=False, api_visibility="private")
        mode.change(self.choose_mode, mode, [self.phrase, self.start], queue=False, api_visibility="private")

    def choose_mode(self, mode: Mode) -> tuple[Any, Any]:
        return gr.Textbox(**phrase_texts(mode)), gr.Button("Find" if mode == "find" else "Describe")

    async def stop(self, running: Stream | None) -> None:
        """Not in a thread of the pool, which may be full of answers."""
        if running:
            running.cancel()

    def find(self, picture: Any, phrase: str, mode: Mode) -> Iterator[dict[Any, Any]]:
        """Stream the answer; the picture is drawn anew whenever there is another box."""
        try:
            image = open_upload(picture, self.limits)
            stream = self.submit(image, phrase, mode)
        except Exception as error:
            yield {self.notice: wording.show_notice(error)}
            return
        preview = shrink(image)
        drawn = 0
        with stream:
            yield {
                self.notice: wording.show_notice(),
                self.drawn: gr.Image(preview, visible=True),
                self.status: show_status("Starting"),
                self.table: gr.Dataframe(visible=False),
                self.raw: gr.Textbox("", visible=True),
                **self.show_buttons(busy=True),
                self.running: stream,
            }
            try:
                for text, parsed, step in read_answer(stream):
                    changes = {self.raw: text, self.status: show_progress(step, parsed)}
                    if len(parsed.boxes) > drawn:
                        drawn = len(parsed.boxes)
                        rows = tabulate(parsed.boxes, image.size)
                        changes |= {
                            self.drawn: draw(preview, parsed.boxes),
                            self.table: gr.Dataframe(rows, visible=True),
                        }
                    yield changes
                last: dict[Any, Any] = {}
            except Exception as error:
                last = {self.notice: wording.show_notice(error), self.status: ""}
        yield {**last, **self.show_buttons(busy=False), self.running: None}

    def show_buttons(self, *, busy: bool) -> dict[Any, Any]:
        return {self.start: gr.Button(visible=not busy), self.halt: gr.Button(visible=busy)}

    def build_endpoint(self) -> None:
        gr.Button().click(
            self.ground,
            [
                gr.Image(label="image", type="filepath"),
                gr.Textbox(label="phrase"),
                gr.Radio(MODES, value="find", label="mode"),
            ],
            [gr.Image(label="annotated"), gr.JSON(label="boxes"), gr.Textbox(label="text")],
            api_name="ground",
            preprocess=False,
            concurrency_id="model",
            concurrency_limit=None,
        )

    def ground(self, image: Any, phrase: str, mode: Mode = "find") -> tuple[Image.Image, dict[str, Any], str]:
        """Find something in a picture.

        Args:
            image: handle_file(path or URL).
            phrase: What to find ("the dog on the left"), or in mode "describe" a question.
            mode: "find" a phrase, or "describe" with boxes for what the answer mentions.

        Returns:
            The picture with boxes drawn on it; {"boxes": [{"label", "x1", "y1", "x2", "y2" in 0..999, "pixels":
            [left, top, right, bottom], "notes"}], "problems": [{"place", "what", "excerpt"}]}; the model's text.
        """
        with wording.errors_for_clients():
            picture = open_upload(image, self.limits)
            with self.submit(picture, phrase, mode) as stream:
                *_, (text, parsed, _) = read_answer(stream)
            boxes = [{**asdict(box), "pixels": box.pixels(*picture.size)} for box in parsed.boxes]
            problems = [asdict(problem) for problem in parsed.problems]
            return draw(picture, parsed.boxes), {"boxes": boxes, "problems": problems}, text


def read_answer(stream: Stream) -> Iterator[tuple[str, Parsed, Step]]:
    """The answer so far and the boxes in it, whenever there is something new to show."""
    text, shown = "", 0.0
    for step in stream:
        text += step.text
        if step.finish or time.monotonic() - shown > REFRESH:
            yield text, parse_boxes(text, complete=step.finish is not None), step
            shown = time.monotonic()


def tabulate(boxes: Sequence[Box], size: tuple[int, int]) -> list[list[Any]]:
    return [
        [
            box.label,
            *(box.x1, box.y1, box.x2, box.y2),
            ", ".join(f"{edge:.0f}" for edge in box.pixels(*size)),
            ", ".join(box.notes),
        ]
        for box in boxes
    ]


def phrase_texts(mode: Mode) -> dict[str, str]:
    if mode == "find":
        return {"label": "Phrase", "placeholder": "the dog on the left"}
    return {"label": "Question", "placeholder": "Describe this picture."}


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
