"""The Grounding tab: a picture and what to look for -> boxes over the picture, as a table, as files."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import gradio as gr

from dsvl2_app.backend import Backend, Stream
from dsvl2_app.bundled import read_asset
from dsvl2_app.image.load import Limits
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.text.grounding import Mode, split_phrases
from dsvl2_app.text.prompt import Message
from dsvl2_app.ui.events import LATEST, OPENING, PRIVATE, QUIET, STREAMING, attended, cancel, focus
from dsvl2_app.ui.examples import read_examples, show_examples
from dsvl2_app.ui.gradio_quirks import last_update
from dsvl2_app.ui.locate import compose, read_answer, submit
from dsvl2_app.ui.opening import as_upload
from dsvl2_app.ui.payloads import read_index
from dsvl2_app.ui.rectangle import read_rectangle
from dsvl2_app.ui.removed import RemovedPictures
from dsvl2_app.ui.tabs.grounding.findings import Example, Finding
from dsvl2_app.ui.tabs.grounding.marking import offer
from dsvl2_app.ui.tabs.grounding.parts import (
    MODES,
    build_answer,
    build_examples,
    build_question,
    phrase_texts,
    show_how_to,
)
from dsvl2_app.ui.tabs.grounding.results import Results, Shown
from dsvl2_app.ui.unread import is_unread
from dsvl2_app.ui.uploads import measure, name_caller, save_preview, save_upload, uploaded_name, uploaded_path
from dsvl2_app.ui.words import wording
from dsvl2_app.ui.words.translations import say

ACTIONS: dict[Mode, str] = {"find": "Find", "find_all": "Find all", "describe": "Describe", "in_context": "Find"}
ACTIONS |= {"point": "Point at", "count": "Count"}


class Grounding:
    """Searches a picture for what is described, or for what is marked in another one."""

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
        self.opened = gr.State({})  # files that show pages of documents -> those pages
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=300):
                can_hold = self.backend.capabilities.grammar
                self.question = build_question(self.limits, shapes_only=self.shapes_only, can_hold=can_hold)
            with gr.Column(scale=3, min_width=300, elem_id="grounding-result", elem_classes="result"):
                self.results = Results(build_answer(self.finding), self.question, self.finding)
                self.examples = build_examples() if self.offered else None
        self.wire()

    def wire(self) -> None:
        asked, shown = self.question, self.results.page
        page = [*self.results.parts, asked.start, asked.halt, self.running]
        inputs = [asked.picture, asked.phrase, asked.mode, asked.well_formed, asked.example, asked.marking]
        inputs += [self.finding, self.opened]
        asking = {"preprocess": False, **STREAMING}
        gr.on(None, show_how_to, None, shown.how, **QUIET)  # in the visitor's language
        starts, reveal = [asked.start.click, asked.phrase.submit], read_asset("reveal.js")
        gr.on(starts, None, None, None, js=reveal, **PRIVATE)  # first: it would wait for the end of the other one
        gr.on(starts, self.find, inputs, page, **asking)
        self.results.wire()
        asked.halt.click(cancel, self.running, None, **QUIET)
        asked.mode.change(self.choose_mode, asked.mode, [asked.phrase, asked.start, asked.example_column], **QUIET)
        asked.picture.change(None, None, shown.notice, js="() => ''", **PRIVATE)  # an error was about the one before
        turned = [asked.opener.pages, asked.picture, self.opened, shown.notice]
        asked.opener.button.upload(self.open_document, [asked.opener.button, self.opened], turned, **OPENING)
        asked.opener.pages.pick(self.turn_page, [asked.opener.pages, self.opened], turned, **LATEST, **OPENING)
        followed = [asked.picture, asked.back.removed]
        asked.picture.change(asked.back.follow, followed, asked.back.button, preprocess=False, **QUIET)
        returned = [asked.picture, asked.opener.pages, asked.back.button]
        back = asked.back.button.click(self.bring_back, [asked.back.removed, self.opened], returned, **PRIVATE)
        back.success(None, None, None, js=focus("#grounding-start"), **PRIVATE)
        asked.picture.clear(None, None, asked.opener.pages, js="() => null", **PRIVATE)
        asked.picture.upload(self.offer_frames, asked.picture, asked.opener.pages, preprocess=False, **PRIVATE)
        marking = [asked.example, asked.marking, shown.notice]
        asked.example.upload(self.open_example, asked.example, marking, preprocess=False, **PRIVATE)
        asked.marking.another(self.close_example, None, marking, **QUIET)
        chosen, offered = [asked.mode.change, asked.picture.upload], [asked.example, asked.marking]
        gr.on(chosen, self.offer_picture, [asked.mode, asked.picture, *offered[:1]], offered, preprocess=False, **QUIET)

        if self.examples is not None:
            gr.on(None, self.show_offered, None, self.examples, **QUIET)
            loaded = [asked.picture, asked.phrase, asked.mode, asked.example, asked.marking]
            chosen = self.examples.choose(self.load_example, None, loaded, **QUIET)
            chosen.success(None, None, None, js=reveal, **PRIVATE)
            chosen.success(self.find, inputs, page, **asking)

    # -- asking ---------------------------------------------------------------------------------------------

    def choose_mode(self, mode: Mode) -> tuple[Any, Any, Any]:
        in_context = mode == "in_context"
        phrase = gr.Textbox(visible=not in_context, **phrase_texts(mode, self.shapes_only, say))
        return phrase, gr.Button(say(ACTIONS[mode])), gr.Column(visible=in_context)

    async def find(
        self,
        picture: Any,
        phrase: str,
        mode: Mode,
        well_formed: bool,
        example: Any,
        marking: Any,
        finding: Finding,
        opened: dict[str, ImageRef],
        visitor: gr.Request,
    ) -> AsyncIterator[dict[Any, Any]]:
        """Stream the answer; whenever there is another box it joins the picture and the table."""
        results = self.results
        try:
            path = uploaded_path(picture)
            image = opened.get(path) or await to_thread(measure, path, self.limits)
            held = await to_thread(image.opened)
            box = marking.get("box") if isinstance(marking, dict) else None
            phrases = split_phrases(phrase, mode)
            marked = await to_thread(self.read_example, example, box) if mode == "in_context" else None
            questions = [await to_thread(compose, held, each, mode, example, box, self.limits) for each in phrases]
            ask = partial(submit, self.backend, well_formed=well_formed, caller=name_caller(visitor))
            stream = ask(questions[0])
        except Exception as error:
            finding.close()
            yield results.refuse(finding, error)
            return
        preview = await to_thread(save_preview, held)
        name = image.path.name if path in opened else uploaded_name(picture)
        search = finding.open(image, name, path, preview, mode, phrase, marked)
        shown = Shown(search, unread=mode != "in_context" and is_unread(self.backend.card, phrase))
        changes, failure = results.begin(shown), None
        try:
            async for more in self.search(stream, questions[1:], ask, finding, shown):
                yield changes | more  # with the buttons: in an update after it they often stayed
                changes = {}
        except Exception as error:
            failure = error
        yield last_update(results.end(finding, shown, failure), self.show_buttons(None))

    async def search(
        self, stream: Stream, others: list[list[Message]], ask: Callable[..., Stream], finding: Finding, shown: Shown
    ) -> AsyncIterator[dict[Any, Any]]:
        """The answer that is asked for, then those to the other questions, until one is stopped or something else is
        shown in their place."""
        before, finish = "", None
        for number in range(len(others) + 1):
            stream = ask(others[number - 1]) if number else stream
            async with attended(stream):
                yield {
                    self.results.page.status: wording.show_status(say("Starting"), running=True),
                    **self.show_buttons(stream),
                }
                async for text, parsed, event in read_answer(stream, shown.search.mode, shown.search.phrases, before):
                    if finding.search is not shown.search:
                        return
                    finish = event.finish
                    finding.take(parsed.boxes, text)
                    yield self.results.go_on(shown, text, parsed, event)
            before = f"{shown.text}\n"
            if finish == "cancelled":
                return

    def show_buttons(self, stream: Stream | None) -> dict[Any, Any]:
        """A stop button for the answer that is running, or else the button that starts one."""
        start, halt = self.question.start, self.question.halt
        busy = stream is not None
        return {start: gr.Button(visible=not busy), halt: gr.Button(visible=busy), self.running: stream}

    def bring_back(self, removed: RemovedPictures, opened: dict[str, ImageRef]) -> tuple[Any, Any, Any]:
        """The picture that was taken away, with the choice of pages where it is one of several."""
        asked, (path, *_) = self.question, (*removed.bring_back(), None)
        return path, path and self.offer_pages(path, opened), asked.back.offer(removed)

    # -- pages of a document --------------------------------------------------------------------------------

    def open_document(self, file: Any, opened: dict[str, ImageRef]) -> tuple[Any, ...]:
        try:
            pages, shown = self.question.opener.open(file)
        except Exception as error:
            return gr.skip(), gr.skip(), opened, wording.show_notice(error)
        return pages, *self.show_document(shown, opened)

    def offer_frames(self, picture: Any) -> Any:
        """An animation shows its first frame; what is wrong with a file is said once it is searched."""
        try:
            return self.question.opener.offer(picture)
        except Exception:
            return None

    def offer_pages(self, path: str, opened: dict[str, ImageRef]) -> Any:
        """The choice of pages in which the one that this file shows is chosen."""
        shown = opened.get(path)
        return self.question.opener.offer_of(shown) if shown else self.offer_frames(as_upload(path))

    def turn_page(self, pages: Any, opened: dict[str, ImageRef]) -> tuple[Any, ...]:
        try:
            shown = self.question.opener.turn(pages)
        except Exception as error:
            return gr.skip(), gr.skip(), opened, wording.show_notice(error)
        return gr.skip(), *self.show_document(shown, opened)

    def show_document(self, shown: list[tuple[str, ImageRef]], opened: dict[str, ImageRef]) -> tuple[Any, ...]:
        """The first of the pages as the picture."""
        return shown[0][0], {**opened, **dict(shown[:1])}, wording.show_notice()

    # -- examples to try ------------------------------------------------------------------------------------

    def show_offered(self) -> str:
        return show_examples(self.offered, {mode: name for name, mode in MODES})

    def load_example(self, event: gr.EventData) -> list[Any]:
        chosen = self.offered[read_index(event, self.offered)]
        picture = _save(chosen.pictures[0])
        if chosen.mode != "in_context":
            return [picture, chosen.text, chosen.mode, gr.skip(), gr.skip()]
        marking = offer(ImageRef.of(chosen.marked), chosen.box)
        return [picture, "", chosen.mode, _save(chosen.marked), marking]

    # -- the example ----------------------------------------------------------------------------------------

    def open_example(self, example: Any) -> dict[Any, Any]:
        """The upload gives way (in page.css) to the same picture with a rectangle to drag."""
        try:
            offered = offer(measure(uploaded_path(example), self.limits))
        except Exception as error:
            return {self.results.page.notice: wording.show_notice(error)}
        return {self.question.marking: offered, self.results.page.notice: wording.show_notice()}

    def offer_picture(self, mode: Any, picture: Any, example: Any) -> tuple[Any, Any]:
        """Something is marked in the picture that is searched, until another example is chosen. What is wrong with the
        picture is said once it is searched."""
        if mode != "in_context" or not picture or example:
            return gr.skip(), gr.skip()
        try:
            path = uploaded_path(picture)
            return path, offer(measure(path, self.limits))
        except Exception:
            return gr.skip(), gr.skip()

    def read_example(self, example: Any, box: Any) -> Example:
        image = measure(uploaded_path(example), self.limits)
        return Example(image, read_rectangle(box, image.size))

    def close_example(self) -> dict[Any, Any]:
        return {
            self.question.example: None,
            self.question.marking: None,
            self.results.page.notice: wording.show_notice(),
        }


def _save(picture: str) -> str:
    """As if it had been uploaded."""
    return save_upload(Path(picture).read_bytes(), Path(picture).name)
