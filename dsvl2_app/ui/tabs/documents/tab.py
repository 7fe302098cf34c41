"""The Documents tab: files of pages -> what is written on each, beside it, and as files."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, ClassVar

import gradio as gr

from dsvl2_app.backend import Backend
from dsvl2_app.bundled import read_asset
from dsvl2_app.errors import ImageError
from dsvl2_app.image.load import Limits
from dsvl2_app.image.page_kinds import explain_twice
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.request import Caller, Request, Sampling
from dsvl2_app.text.grounding import ALLOWED
from dsvl2_app.text.repetition import keep_once
from dsvl2_app.ui.events import LATEST, PRIVATE, QUIET, REFRESH, STREAMING, attended, download
from dsvl2_app.ui.gradio_quirks import last_update
from dsvl2_app.ui.pages import find_pages, list_pages, mark_page, offer_pages, read_chosen, read_look
from dsvl2_app.ui.tabs.documents.exports import save_file
from dsvl2_app.ui.tabs.documents.own_text import find_first
from dsvl2_app.ui.tabs.documents.parts import (
    BEGUN,
    HOW_TO,
    READY,
    READY_OWN,
    build_answer,
    build_question,
    show_how_to,
    shows_question,
)
from dsvl2_app.ui.tabs.documents.reading import Leaf, Reading
from dsvl2_app.ui.tabs.documents.several import read_several
from dsvl2_app.ui.tabs.documents.showing import Drawn, View, describe
from dsvl2_app.ui.tabs.documents.tasks import compose, count_most
from dsvl2_app.ui.uploads import measure, name_caller, uploaded_name, uploaded_path
from dsvl2_app.ui.words import wording

NOTICE = "document.querySelector('#documents-notice .notice')"  # on a phone below what is in sight
SHOW_NOTICE = f"() => setTimeout(() => {NOTICE}?.scrollIntoView({{block: 'nearest'}}), 300)"
BUTTON = "document.querySelector('#documents-start, #documents-stop')"  # the one that is there
FOCUS = f"() => setTimeout(() => {BUTTON}?.focus(), 300)"
# One at a time, so that the page which was asked for last stays. What a reading shows at its end can come after a newer
# answer to a click, so all is shown once more behind it.
SHOWING: dict[str, Any] = {"concurrency_id": "documents", "concurrency_limit": 1, **PRIVATE}


class Documents:
    """Reads page by page; what was read stays when it is stopped, and it goes on from there."""

    title: ClassVar[str] = "Documents"
    id: ClassVar[str] = "documents"

    def __init__(self, backend: Backend, limits: Limits) -> None:
        self.backend = backend
        self.limits = limits

    def build(self, demo: gr.Blocks) -> None:
        self.reading = gr.State(Reading())
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=300):
                self.question = build_question(bundled=self.backend.card.bundled)
            with gr.Column(scale=5, min_width=300, elem_classes="result"):
                self.answer, buttons, file = build_answer()
        self.view = View(self.question, self.answer, self.backend.card.bundled)
        self.wire()
        for name, button in buttons.items():
            inputs = [self.question.files, self.question.pages, self.reading]
            download(button, partial(self.write, name), inputs, file, preprocess=False)

    def wire(self) -> None:
        asked, shown = self.question, self.answer
        gr.on(None, show_how_to, None, shown.how, **QUIET)  # in the visitor's language
        whole = [*shown.shown, asked.pages, asked.pdf_text]  # what View.show sets
        offered = [asked.files, asked.pages, self.reading], [asked.back, *whole]
        back = asked.back.click(self.bring_back, offered[0], [asked.files, *offered[1]], preprocess=False, **PRIVATE)
        back.success(None, None, None, js=FOCUS, **PRIVATE)
        offering = asked.files.change(self.offer, *offered, preprocess=False, **PRIVATE)
        offering.then(None, None, None, js=SHOW_NOTICE, **PRIVATE)
        asked.task.change(lambda task: gr.Textbox(visible=shows_question(task)), asked.task, asked.own, **QUIET)
        inputs = [asked.files, asked.pages, asked.task, asked.own, self.reading]
        outputs = [*whole, asked.start, asked.halt]
        starts, reveal = [asked.start.click, asked.own.submit], read_asset("reveal.js")
        gr.on(starts, None, None, None, js=reveal, **PRIVATE)  # first: it would wait for the end of the other one
        reads = [gr.on(starts, self.read, inputs, outputs, preprocess=False, **STREAMING)]
        if asked.examples:  # is read at a click
            chosen = asked.examples.load_input_event.success(self.offer, *offered, preprocess=False, **PRIVATE)
            chosen.success(None, None, None, js=reveal, **PRIVATE)
            reads.append(chosen.success(self.read, inputs, outputs, preprocess=False, **STREAMING))
        for read in reads:
            read.then(self.view.show, self.reading, whole, **LATEST, **SHOWING)
        asked.halt.click(Reading.stop, self.reading, None, **QUIET)
        self.wire_choices(whole, reveal)

    def wire_choices(self, whole: list[Any], reveal: str) -> None:
        """Which page is shown, and which text of it."""
        asked, shown = self.question, self.answer
        turned = [shown.picture, shown.note, shown.text, shown.which, asked.pages]
        own = [shown.source, asked.pdf_text, shown.note, shown.text, shown.exports]
        shown.source.input(self.choose_text, [shown.source, self.reading], own, **LATEST, **PRIVATE)
        asked.pages.pick(self.choose_pages, [asked.pages, self.reading], own, preprocess=False, **LATEST, **PRIVATE)
        gr.on(asked.pdf_text.click, None, None, None, js=reveal, **PRIVATE)
        asked.pdf_text.click(self.use_own, [asked.files, self.reading], whole, preprocess=False, **PRIVATE)
        asked.pages.look(self.look, [asked.files, self.reading], whole, preprocess=False, **LATEST, **SHOWING)
        asked.pages.look(None, None, None, js=reveal, **PRIVATE)
        # Not LATEST: the drop-down tells of the same page again as it loses the focus, and that must not come late.
        turning = {"preprocess": False, "trigger_mode": "multiple", **SHOWING}
        shown.which.input(self.turn, [shown.which, self.reading], turned, **turning)

    def offer(self, files: Any, pages: Any, reading: Reading) -> dict[Any, Any]:
        """The choice of pages, all of them unless others are chosen; and what to do next, in the place of a page. What
        was read of a document leaves with it."""
        choice, notice, how = self.question.pages, self.answer.notice, self.answer.how
        shown: dict[Any, Any] = {notice: wording.show_notice()}
        try:
            paths = [uploaded_path(file) for file in as_list(files)]
            if reading.offer(paths, read_chosen(pages)):
                shown |= self.view.show(reading)
            shown |= self.view.show_back(reading)
            offered = self.offer_pages(reading, read_chosen(pages))
            shown |= {**self.view.show_own(reading), **self.view.show_text(reading), choice: offered}
        except Exception as error:
            reading.first_own = None
            shown |= {**self.view.show_own(reading), **self.view.show_text(reading)}
            return {**shown, choice: None, notice: wording.show_notice(error)}
        if reading.shown is None:
            words = READY_OWN if reading.has_own_text else READY
            shown[how] = gr.HTML(show_how_to(words if paths else HOW_TO), visible=True)
        return shown

    def offer_pages(self, reading: Reading, chosen: dict[str, str]) -> gr.HTML:
        """Of all files that are there, with the one that is shown marked; and look for their own text."""
        every = {file: range(find_pages(file, self.limits).total) for file in reading.offered}
        typed = {"documents": [{"key": key, "chosen": text} for key, text in chosen.items()]}
        offered = offer_pages(reading.offered, typed, self.limits, every)
        reading.first_own = find_first(reading.offered, offered, self.limits)
        return mark_page(reading.shown and reading.shown.image, value=offered)

    def bring_back(self, files: Any, pages: Any, reading: Reading) -> dict[Any, Any]:
        """The documents that were taken away last, with their pages."""
        asked = self.question
        try:
            back = reading.bring_back()
            if back is None:
                return self.view.show_back(reading)
            choice = self.offer_pages(reading, back.chosen | read_chosen(pages))
            shown = {**self.view.show(reading), **self.view.show_back(reading), asked.pages: choice}
            return {**shown, asked.files: [*reading.offered], self.answer.notice: wording.show_notice()}
        except Exception as error:
            return {**self.view.show_back(reading), self.answer.notice: wording.show_notice(error)}

    async def read(
        self, files: Any, pages: Any, task: str, own: str, reading: Reading, visitor: gr.Request
    ) -> AsyncIterator[dict[Any, Any]]:
        """Read every page that is not read yet, and show the first of them as it grows."""
        notice, status, how = self.answer.notice, self.answer.status, self.answer.how
        try:
            chosen = await to_thread(self.list, files, pages)
            compose(None, task, own)
            reading.stop()
            run = reading.open(chosen, (task, own if shows_question(task) else ""))
        except Exception as error:
            yield {notice: wording.show_notice(error)}
            return
        yield {**self.view.show_buttons(busy=True), notice: "", status: describe(reading), how: show_how_to(BEGUN)}
        failure: Exception | None = None
        drawn = Drawn()
        read = partial(self.read_page, reading, run, name_caller(visitor))
        waiting = [leaf for leaf in reading.leaves if not leaf.is_read]
        try:
            async with aclosing(read_several(waiting, read, lambda: reading.goes_on(run))) as news:
                async for _ in news:
                    if reading.run is not run:
                        break
                    changes, drawn = await self.view.show_growth(reading, drawn)
                    yield changes
        except Exception as error:
            failure = error
        finally:
            reading.end(run)
        if reading.run is run:  # else another one shows what there is
            shown = await to_thread(self.view.show, reading)
            yield last_update(shown, self.view.show_buttons(busy=False), {notice: wording.show_notice(failure)})

    async def read_page(
        self, reading: Reading, run: object, caller: Caller, leaf: Leaf, tell: Callable[[], None]
    ) -> None:
        """Let the page's text grow; tells whenever it has. Its picture is held no longer than that."""
        tell()  # it is drawn while it is opened
        image = await to_thread(leaf.image.opened)
        if leaf.gone or not reading.goes_on(run):
            return
        card = self.backend.card
        sampling = Sampling(max_new_tokens=count_most(card.context, bundled=card.bundled), stop_repetition=True)
        grammar = self.backend.capabilities.grammar
        messages = compose(image, *reading.asked)
        wanted = Request(
            messages, sampling, ALLOWED, grammar=grammar, owner=caller.owner, keep=False, address=caller.address
        )
        async with attended(self.backend.submit(wanted)) as stream:
            reading.streams[stream] = leaf
            try:
                async for events in stream.throttled(REFRESH):
                    text = leaf.text + "".join(event.text for event in events)
                    if events[-1].finish == "repetition":
                        text = await to_thread(keep_once, text)
                    leaf.text, leaf.finish, leaf.timings = text, events[-1].finish, events[-1].timings
                    tell()
            finally:
                reading.streams.pop(stream, None)

    def list(self, files: Any, pages: Any) -> list[tuple[ImageRef, str]]:
        """The pages that are meant, each with the name of its file."""
        if not files:
            raise ImageError("There is no document; add a PDF or pictures first.")
        names = name_files(files)
        found = [(image, names[str(image.path)]) for image in list_pages([*names], pages, self.limits)]
        seen = set[ImageRef]()
        for image, _ in found:
            if image in seen:
                raise explain_twice(image.kind)
            seen.add(image)
        return found

    def turn(self, which: Any, reading: Reading) -> dict[Any, Any]:
        if isinstance(which, int) and 0 <= which < len(reading.leaves):
            reading.shown = reading.leaves[which]
        return self.view.show_page(reading)

    def look(self, files: Any, reading: Reading, event: gr.EventData) -> dict[Any, Any]:
        """The page whose thumbnail was clicked, whether or not it is read."""
        try:
            names = name_files(files)
            file, frame = read_look(event, names)
            reading.look(measure(file, self.limits, frame), names[file])
            return {**self.view.show(reading), self.answer.notice: wording.show_notice()}
        except Exception as error:
            return {self.answer.notice: wording.show_notice(error)}

    def choose_text(self, source: str, reading: Reading) -> dict[Any, Any]:
        """The model's or the PDF's own, in the files as on the page."""
        reading.own = source == "own"
        return {**self.view.show_own(reading), **self.view.show_text(reading)}

    def choose_pages(self, pages: Any, reading: Reading) -> dict[Any, Any]:
        """Others are chosen, which may hold text themselves or not."""
        try:
            reading.first_own = find_first(reading.offered, pages, self.limits)
        except Exception:  # what is wrong with a file was said when it came
            reading.first_own = None
        return {**self.view.show_own(reading), **self.view.show_text(reading)}

    def use_own(self, files: Any, reading: Reading) -> dict[Any, Any]:
        """The PDF's own text, before or after anything is read."""
        shown, notice = self.answer, self.answer.notice
        try:
            reading.own = True
            if reading.shown is None and reading.first_own:
                file, frame = reading.first_own
                reading.look(measure(file, self.limits, frame), name_files(files)[file])
            own = gr.Radio(value="own", visible=reading.has_own_text)
            return {**self.view.show(reading), shown.source: own, notice: wording.show_notice()}
        except Exception as error:
            return {notice: wording.show_notice(error)}

    def write(self, format: str, files: Any, pages: Any, reading: Reading) -> str:
        """A file of what is read, or of the PDF's own text on the pages that are chosen."""
        chosen = self.list(files, pages) if reading.shows_own_text else []
        return save_file(reading, format, [Leaf(image, name) for image, name in chosen])


def as_list(files: Any) -> list[Any]:
    """What a gr.File holds."""
    return files if isinstance(files, list) else [files] if files else []


def name_files(files: Any) -> dict[str, str]:
    """The path of each file that a gr.File holds, and its name."""
    return {uploaded_path(file): uploaded_name(file) for file in as_list(files)}
