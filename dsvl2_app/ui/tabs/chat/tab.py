"""The Chat tab: which event of the page does what."""

from __future__ import annotations

from typing import Any, ClassVar

import gradio as gr

from dsvl2_app.backend import Backend
from dsvl2_app.bundled import read_asset
from dsvl2_app.image.load import Limits
from dsvl2_app.ui.events import LATEST, PRIVATE, QUIET, STREAMING, download
from dsvl2_app.ui.examples import read_examples
from dsvl2_app.ui.payloads import read_index
from dsvl2_app.ui.tabs.chat.answering import Answering
from dsvl2_app.ui.tabs.chat.keeping import Keeping, build_keeper
from dsvl2_app.ui.tabs.chat.meter import Meter
from dsvl2_app.ui.tabs.chat.parts import ChatPage, Controls, build_controls
from dsvl2_app.ui.tabs.chat.revising import Revising
from dsvl2_app.ui.tabs.chat.transfer import Transfer

ASKING: dict[str, Any] = {"concurrency_id": "asking", "concurrency_limit": None, "preprocess": False, **PRIVATE}


class Chat:
    """A conversation about pictures. The handlers are methods of Answering, Revising, Meter and Transfer."""

    title: ClassVar[str] = "Chat"
    id: ClassVar[str] = "chat"

    def __init__(self, backend: Backend, limits: Limits) -> None:
        self.backend = backend
        self.limits = limits
        self.examples = read_examples("chat")

    def build(self, demo: gr.Blocks) -> None:
        self.page = page = ChatPage(self.examples)
        controls = build_controls(demo, self.backend.card)
        keeping, restored = self.wire_keeping(demo, page)
        # A conversation exists from the start, so that it can be abandoned; one that has begun by then is kept.
        demo.load(lambda begun: begun, page.conversation, page.conversation, **QUIET)
        demo.load(page.caption_examples, None, page.chatbot, **QUIET)
        gr.on([demo.load, page.box.change], None, None, None, js=read_asset("focus.js"), **PRIVATE)
        asked, answered = self.wire_asking(page, controls)
        changes = [
            *answered,
            *self.wire_revising(page, controls),
            *self.wire_files(page, controls),
        ]
        self.wire_meter(page, controls, [*changes, restored])
        for change in [*asked, *changes]:
            change.then(keeping.keep, page.conversation, page.keeper, **QUIET)

    def wire_keeping(self, demo: gr.Blocks, page: ChatPage) -> tuple[Keeping, Any]:
        """Returns the event after which the conversation is another, too."""
        keeping = Keeping(self.limits, page)
        page.keeper = build_keeper()
        demo.load(keeping.begin, None, page.keeper, **QUIET)
        parts = [page.conversation, *page.parts]
        return keeping, page.keeper.restore(keeping.restore, page.conversation, parts, **PRIVATE)

    def wire_asking(self, page: ChatPage, controls: Controls) -> tuple[list[Any], list[Any]]:
        """Returns the events after which there is another question, and those after which that has an answer."""
        answering = Answering(self.backend, self.limits, page)
        conversation, parts, choices = page.conversation, page.parts, controls.choices
        asking, streaming = ({**options, "show_progress_on": page.chatbot} for options in (ASKING, STREAMING))
        asked = [
            page.box.submit(answering.send, [page.box, page.pages, conversation, *choices], parts, **asking),
            page.chatbot.retry(answering.retry, [conversation, *choices], parts, **asking),
        ]
        if self.examples:
            chosen = page.chatbot.example_select(self.choose, None, page.box, **PRIVATE)
            asked.append(chosen.then(answering.send, [page.box, page.pages, conversation, *choices], parts, **asking))
        # A question may follow while the answer before it is still ending, so that there are two for a moment.
        answered = [
            event.then(answering.answer, conversation, [*parts, page.keeper], trigger_mode="multiple", **streaming)
            for event in asked
        ]
        return asked, answered

    def wire_revising(self, page: ChatPage, controls: Controls) -> list[Any]:
        """Returns the events after which the conversation is another, as the next does."""
        revising, conversation, parts = Revising(page), page.conversation, page.parts
        page.box.stop(revising.stop, conversation, None, **QUIET)
        changes = [
            page.chatbot.clear(revising.clear, conversation, [conversation, *parts], **QUIET),
            page.back.click(revising.bring_back, conversation, [conversation, *parts], **QUIET),
            page.revision.change(revising.revise, [page.revision, conversation], parts, **QUIET),
            page.keep.click(revising.keep_all, conversation, parts, **QUIET),
            page.drop.click(revising.drop_oldest, conversation, parts, **QUIET),
        ]
        controls.raw.input(revising.show_raw, [conversation, controls.raw], page.chatbot, **LATEST, **QUIET)
        return changes

    def wire_meter(self, page: ChatPage, controls: Controls, changes: list[Any]) -> None:
        """It weighs anew after `changes` of the conversation, not at each piece of an answer."""
        meter = Meter(self.backend, self.limits, page)
        offered = [page.box, page.pages, page.conversation]
        page.box.change(meter.offer, offered, page.pages, preprocess=False, **LATEST, **QUIET)
        inputs, outputs = [page.box, page.pages, page.conversation, *controls.choices], [page.meter, page.drop]
        weighing: dict[str, Any] = {**LATEST, **ASKING, "concurrency_id": "meter"}
        weighed = [page.box, page.pages, *controls.choices[-3:]]  # what else the number of tokens depends on
        for begin in [*(getattr(part, "change") for part in weighed), page.pages.pick]:  # noqa: B009
            begin(meter.weigh, inputs, outputs, **weighing)
        # Past the queue: Gradio may lose what joins it in the moment in which another event ends.
        for change in changes:
            change.then(meter.weigh, inputs, outputs, preprocess=False, **QUIET)

    def wire_files(self, page: ChatPage, controls: Controls) -> list[Any]:
        transfer, conversation, upload = Transfer(self.limits, page), page.conversation, controls.upload
        download(controls.export, transfer.export, conversation, controls.file)
        download(controls.share, transfer.write_markdown, conversation, controls.file)
        waiting = {**PRIVATE, "show_progress": "full", "show_progress_on": page.chatbot}
        parts = [conversation, *page.parts]
        return [upload.upload(transfer.receive, [upload, conversation], parts, preprocess=False, **waiting)]

    def choose(self, event: gr.EventData) -> dict[str, Any]:
        """By its number: what else the browser says of the example could be anything."""
        example = self.examples[read_index(event, self.examples)]
        return {"text": example.text, "files": list(example.pictures)}
