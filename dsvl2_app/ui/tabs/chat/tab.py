"""The Chat tab: its parts, and which event of the page does what."""

from __future__ import annotations

from typing import Any, ClassVar

import gradio as gr

from dsvl2_app.backend import Backend
from dsvl2_app.image.load import Limits
from dsvl2_app.ui.examples import read_examples
from dsvl2_app.ui.gradio_quirks import download_script
from dsvl2_app.ui.tabs.chat.answering import Answering
from dsvl2_app.ui.tabs.chat.choices import build_choices, remember
from dsvl2_app.ui.tabs.chat.meter import Meter
from dsvl2_app.ui.tabs.chat.parts import ChatPage
from dsvl2_app.ui.tabs.chat.revising import Revising
from dsvl2_app.ui.tabs.chat.transfer import Transfer
from dsvl2_app.ui.words.translations import label, text_label


class Chat:
    title: ClassVar[str] = "Chat"
    id: ClassVar[str] = "chat"

    def __init__(self, backend: Backend, limits: Limits) -> None:
        self.backend = backend
        self.limits = limits
        self.examples = read_examples("chat")

    def build(self, demo: gr.Blocks) -> None:
        page = ChatPage(self.examples)
        with gr.Accordion(label("Settings"), open=False, elem_id="chat-settings"):
            choices = build_choices(self.backend.card)
            raw = gr.Checkbox(label=label("Raw"), info=label("Show answers to the letter, special tokens and all"))
        with gr.Row(elem_id="chat-files"):
            export = gr.Button(label("Export"), size="sm", elem_id="chat-export")
            share = gr.Button(label("Markdown"), size="sm", elem_id="chat-markdown")
            imported = gr.UploadButton(text_label("Import"), size="sm", file_types=[".zip"], elem_id="chat-import")
            file = gr.DownloadButton(text_label("Download"), visible="hidden", elem_id="chat-download")
        remember(demo, choices)

        answering, revising = Answering(self.backend, self.limits, page), Revising(page)
        meter, transfer = Meter(self.backend, self.limits, page), Transfer(self.limits, page)
        conversation, parts = page.conversation, page.parts
        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        now = {"queue": False, **private}

        # So that a visitor who leaves early has a conversation to be abandoned; who is quick has begun one already.
        demo.load(lambda begun: begun, conversation, conversation, **now)
        demo.load(page.caption_examples, None, page.chatbot, **now)
        asking = {"preprocess": False, "concurrency_id": "asking", "concurrency_limit": None, **private}
        asked = [
            page.box.submit(answering.send, [page.box, conversation, *choices], parts, **asking),
            page.chatbot.retry(answering.retry, [conversation, *choices], parts, **asking),
        ]
        if self.examples:
            chosen = page.chatbot.example_select(self.choose, None, page.box, **private)
            asked.append(chosen.then(answering.send, [page.box, conversation, *choices], parts, **asking))
        # A question may follow while the answer before it is still ending, so that there are two for a moment.
        answering_it = {"concurrency_id": "model", "concurrency_limit": None, "trigger_mode": "multiple", **private}
        for event in asked:
            event.then(answering.answer, conversation, parts, **answering_it)

        page.box.stop(revising.stop, conversation, None, **now)
        page.chatbot.clear(revising.clear, conversation, [conversation, *parts], **now)
        page.revision.change(revising.revise, [page.revision, conversation], parts, **now)
        page.keep.click(revising.keep_all, conversation, parts, **now)
        page.drop.click(revising.drop_oldest, conversation, parts, **now)
        raw.input(revising.show_raw, [conversation, raw], page.chatbot, **now)
        page.marked.input(revising.mark, [conversation, page.marked], page.chatbot, **private)

        weighed = [page.box, page.chatbot, *choices[-3:]]  # what the number of tokens depends on
        gr.on(
            [getattr(part, "change") for part in weighed],  # noqa: B009
            meter.weigh,
            [page.box, conversation, *choices],
            [page.meter, page.drop],
            trigger_mode="always_last",
            **{**asking, "concurrency_id": "meter"},
        )

        fetch = download_script("chat-download")
        for button, write in ((export, transfer.export), (share, transfer.write_markdown)):
            button.click(write, conversation, file, **private).success(None, None, None, js=fetch)
        waiting = {**private, "show_progress": "full", "show_progress_on": page.chatbot}
        imported.upload(transfer.receive, [imported, conversation], [conversation, *parts], preprocess=False, **waiting)

    def choose(self, event: gr.SelectData) -> dict[str, Any]:
        """By its number: what else the browser says of the example could be anything."""
        example = self.examples[event.index]
        return {"text": example.text, "files": list(example.pictures)}
