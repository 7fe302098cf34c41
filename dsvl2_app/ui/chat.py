"""The Chat tab: a conversation about pictures, streamed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from dsvl2_app.engine.request import Request
from dsvl2_app.engine.worker import Worker
from dsvl2_app.image.load import Limits, load_image
from dsvl2_app.ui import wording
from dsvl2_app.ui.archive import read_archive, write_archive, write_markdown
from dsvl2_app.ui.choices import Choices, build_choices, remember
from dsvl2_app.ui.conversation import Conversation, Picture, Turn
from dsvl2_app.ui.examples import read_examples
from dsvl2_app.ui.meter import measure, show_reading
from dsvl2_app.ui.uploads import KINDS, read_message, read_parts, uploaded_path

DAY = 86400  # seconds
REFRESH = 0.05  # seconds between two pictures of a fast answer
ALLOWED = frozenset({"<|ref|>", "<|/ref|>", "<|grounding|>"})
EMPTY: dict[str, Any] = {"text": "", "files": []}
FORMULAS = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "\\[", "right": "\\]", "display": True},
    {"left": "\\(", "right": "\\)", "display": False},
]
WELCOME = """
<div class="welcome">
  <h2>Ask about your pictures</h2>
  <p>Drop, paste or attach one or more, then type a question.<br>
  Write <code>&lt;image&gt;</code> in the text to say where the next picture goes.</p>
</div>
"""


class Chat:
    def __init__(self, worker: Worker, limits: Limits) -> None:
        self.worker = worker
        self.limits = limits
        self.examples = read_examples("chat")

    def build(self, demo: gr.Blocks) -> None:
        self.conversation = conversation = gr.State(
            Conversation(), time_to_live=DAY, delete_callback=Conversation.abandon
        )
        self.chatbot = gr.Chatbot(
            label="Conversation",
            show_label=False,
            height="max(22rem, calc(100dvh - 24.5rem))",
            editable="user",
            buttons=["copy", "copy_all"],
            feedback_options=None,
            allow_file_downloads=False,
            latex_delimiters=FORMULAS,
            placeholder=WELCOME,
            examples=[{"text": example.text, "files": list(example.pictures)} for example in self.examples] or None,
            elem_id="conversation",
        )
        self.marked = gr.Radio(label="Boxes are drawn on picture", visible=False, elem_id="chat-marked")
        self.notice = gr.HTML(elem_id="chat-notice")
        self.box = gr.MultimodalTextbox(
            value=EMPTY,
            label="Message",
            show_label=False,
            placeholder="Ask about your pictures",
            file_count="multiple",
            file_types=KINDS,
            max_plain_text_length=20_000,
            max_lines=8,
            autofocus=True,
            elem_id="message",
        )
        with gr.Row(elem_id="chat-cost"):
            self.meter = gr.HTML(elem_id="chat-meter")
            self.keep = gr.Button("Cancel editing", size="sm", visible=False, elem_id="chat-keep")
            self.drop = gr.Button("Drop the oldest turn", size="sm", visible=False, elem_id="chat-drop")
        with gr.Accordion("Settings", open=False, elem_id="chat-settings"):
            choices = build_choices(self.worker.card.context)
            self.raw = gr.Checkbox(label="Raw", info="Show answers to the letter, special tokens and all")
        with gr.Row(elem_id="chat-files"):
            export = gr.Button("Export", size="sm", elem_id="chat-export")
            share = gr.Button("Markdown", size="sm", elem_id="chat-markdown")
            imported = gr.UploadButton("Import", size="sm", file_types=[".zip"], elem_id="chat-import")
            file = gr.DownloadButton("Download", visible="hidden", elem_id="chat-download")
        remember(demo, choices)

        self.edited = gr.Textbox(label="Turn to edit", visible="hidden", elem_id="chat-edited")  # see theme.py
        page = [self.box, self.chatbot, self.notice, self.marked, self.keep]
        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        now = {"queue": False, **private}
        options = {"preprocess": False, "concurrency_id": "model", "concurrency_limit": None, **private}
        # So that a visitor who leaves early has a conversation to be abandoned; who is quick has begun one already.
        demo.load(lambda begun: begun, conversation, conversation, **now)
        self.box.submit(self.send, [self.box, conversation, *choices], page, **options)
        self.chatbot.retry(self.retry, [conversation, *choices], page, **options)
        self.edited.change(self.edit, [self.edited, conversation], [*page, self.edited], **now)
        self.keep.click(self.keep_all, conversation, page, **now)
        self.chatbot.undo(self.undo, conversation, page, **now)
        self.box.stop(self.stop, conversation, None, **now)
        self.chatbot.clear(self.clear, conversation, [conversation, *page], **now)
        if self.examples:
            chosen = self.chatbot.example_select(self.choose, None, self.box, **private)
            chosen.then(self.send, [self.box, conversation, *choices], page, **options)
        self.raw.input(self.show_raw, [conversation, self.raw], self.chatbot, **now)
        self.marked.input(self.mark, [conversation, self.marked], self.chatbot, **private)

        cost = [self.meter, self.drop]
        gr.on(
            [self.box.change, self.chatbot.change],
            self.weigh,
            [self.box, conversation, *choices],
            cost,
            trigger_mode="always_last",
            **{**options, "concurrency_id": "meter"},
        )
        self.drop.click(self.drop_oldest, conversation, self.chatbot, **now)
        fetch = "() => setTimeout(() => document.querySelector('#chat-download').click(), 300)"
        for button, write in ((export, self.export), (share, self.write_markdown)):
            button.click(write, conversation, [file, self.notice], **private).success(None, None, None, js=fetch)
        imported.upload(self.receive, [imported, conversation], [conversation, *page], preprocess=False, **private)

    # -- answers --------------------------------------------------------------------------------------------

    def send(self, message: Any, conversation: Conversation, *choices: Any) -> Iterator[dict[Any, Any]]:
        try:
            chosen = Choices.read(*choices)
            text, paths = read_message(message)
            turn = Turn(text, tuple(Picture.open(path, self.limits) for path in paths))
        except Exception as error:
            yield {self.notice: wording.show_notice(error)}
            return
        yield from self.answer(conversation, turn, chosen)

    def retry(self, conversation: Conversation, *choices: Any) -> Iterator[dict[Any, Any]]:
        try:
            chosen = Choices.read(*choices)
        except Exception as error:
            yield {self.notice: wording.show_notice(error)}
            return
        if conversation.turns:
            conversation.editing = len(conversation.turns) - 1
            last = conversation.turns[-1]
            yield from self.answer(conversation, Turn(last.question, last.pictures), chosen)

    def answer(self, conversation: Conversation, turn: Turn, choices: Choices) -> Iterator[dict[Any, Any]]:
        """Stream the answer to `turn`. A question that gets none goes back to where it was typed."""
        conversation.stopping = False
        if conversation.stream:
            conversation.stream.cancel()
        before, editing = conversation.turns, conversation.editing
        conversation.turns = turns = [*before[:editing], replace(turn, progress="Starting")]
        conversation.editing = None
        yield {
            self.box: show_box(busy=True, value=EMPTY),
            self.chatbot: conversation.show(),
            self.notice: wording.show_notice(),
            self.marked: gr.Radio(visible=False),
            self.keep: gr.Button(visible=False),
        }
        failure = None
        try:
            for _ in self.run(conversation, turns, choices):
                yield {self.chatbot: conversation.show()}
            if conversation.turns is turns:
                conversation.mark()
        except Exception as error:
            failure = error
        if conversation.abandoned:  # what comes last stays on the page
            yield self.show_empty()
            return
        if conversation.turns is not turns:  # asked anew or undone in the meantime
            return
        last = turns[-1]
        box = show_box(busy=False)
        if not last.is_answered:
            conversation.turns, conversation.editing = before, editing
            box = show_box(busy=False, value=put_back(turn))
        elif failure:
            turns[-1] = replace(last, finish="cancelled")
        yield {**self.show(conversation), self.box: box, self.notice: wording.show_notice(failure)}

    def run(self, conversation: Conversation, turns: list[Turn], choices: Choices) -> Iterator[None]:
        """Write the answer into the last of `turns`; yields whenever there is something new to show."""
        shown = 0.0
        messages = conversation.messages(self.limits, choices.system)
        request = Request(messages, choices.sampling, allow=ALLOWED, tiling=choices.tiling, grammar=True)
        with self.worker.submit(request) as stream:
            conversation.stream = stream
            if conversation.stopping:
                stream.cancel()
            for step in stream:
                turns[-1] = replace(
                    turns[-1],
                    answer=turns[-1].answer + step.text,
                    progress=wording.describe_progress(step),
                    finish=step.finish,
                    timings=step.timings,
                )
                if step.finish or time.monotonic() - shown > REFRESH:
                    yield
                    shown = time.monotonic()

    # -- the rest of the page -------------------------------------------------------------------------------

    async def stop(self, conversation: Conversation) -> None:
        """Not in a thread of the pool, which may be full of answers."""
        conversation.stop()

    async def clear(self, conversation: Conversation) -> dict[Any, Any]:
        conversation.abandon()
        return {self.conversation: Conversation(), **self.show_empty()}

    def edit(self, number: str, conversation: Conversation) -> dict[Any, Any]:
        """A question goes back to where it was typed, pictures and all; sending it asks all after it anew."""
        turns = conversation.turns
        if not number.isdecimal() or int(number) >= len(turns) or turns[-1].is_running:
            return {self.edited: ""}
        conversation.editing = int(number)
        box = show_box(busy=False, value=put_back(turns[conversation.editing]))
        return {**self.show(conversation), self.box: box, self.edited: ""}

    def keep_all(self, conversation: Conversation) -> dict[Any, Any]:
        conversation.editing = None
        return {**self.show(conversation), self.box: show_box(busy=False, value=EMPTY)}

    def undo(self, conversation: Conversation) -> dict[Any, Any]:
        """The last question goes back to where it was typed, pictures and all."""
        if not conversation.turns or conversation.turns[-1].is_running:
            return {self.notice: wording.show_notice()}
        conversation.editing = None
        *conversation.turns, turn = conversation.turns
        return {**self.show(conversation), self.box: show_box(busy=False, value=put_back(turn))}

    def show(self, conversation: Conversation) -> dict[Any, Any]:
        """The transcript, and the choice of the picture to draw on where there is one."""
        turns, pictures = conversation.turns, conversation.pictures
        marked = turns[-1].marked if turns and len(pictures) > 1 else None
        choices = [(f"{number}", number - 1) for number in range(1, len(pictures) + 1)]
        return {
            self.chatbot: conversation.show(),
            self.marked: gr.Radio(choices, value=marked, visible=marked is not None),
            self.keep: gr.Button(visible=conversation.editing is not None),
        }

    def show_empty(self) -> dict[Any, Any]:
        return {**self.show(Conversation()), self.box: show_box(busy=False, value=EMPTY), self.notice: ""}

    def show_raw(self, conversation: Conversation, raw: bool) -> list[dict[str, Any]]:
        conversation.raw = raw
        return conversation.show()

    def mark(self, conversation: Conversation, number: int) -> list[dict[str, Any]]:
        conversation.mark(number)
        return conversation.show()

    def choose(self, event: gr.SelectData) -> dict[str, Any]:
        """By its number: what else the browser says of the example could be anything."""
        example = self.examples[event.index]
        return {"text": example.text, "files": list(example.pictures)}

    def weigh(self, message: Any, conversation: Conversation, *choices: Any) -> dict[Any, Any]:
        """What the message that is being written would cost."""
        try:
            chosen = Choices.read(*choices)
            text, paths = read_parts(message)
            turn = Turn(text, tuple(Picture(path, "", read_size(path, self.limits)) for path in paths))
            if conversation.stream and conversation.turns and conversation.turns[-1].is_running:
                return {self.meter: gr.skip()}
            if not text.strip() and not paths and not conversation.turns:
                return {self.meter: "", self.drop: gr.Button(visible=False)}
            reading = measure(self.worker, conversation, turn, chosen.system, chosen.tiling)
        except Exception:  # whatever is wrong with the message is said when it is sent
            return {self.meter: "", self.drop: gr.Button(visible=False)}
        full = reading.room < 1 and bool(conversation.kept)
        return {self.meter: show_reading(reading), self.drop: gr.Button(visible=full)}

    def drop_oldest(self, conversation: Conversation) -> list[dict[str, Any]]:
        conversation.drop_oldest()
        return conversation.show()

    # -- files ----------------------------------------------------------------------------------------------

    def export(self, conversation: Conversation) -> tuple[str, str]:
        folder = Path(mkdtemp(dir=_downloads()))
        return str(write_archive(conversation, folder / "conversation.zip")), wording.show_notice()

    def write_markdown(self, conversation: Conversation) -> tuple[str, str]:
        path = Path(mkdtemp(dir=_downloads())) / "conversation.md"
        path.write_text(write_markdown(conversation), encoding="utf-8")
        return str(path), wording.show_notice()

    def receive(self, file: Any, conversation: Conversation) -> dict[Any, Any]:
        try:
            imported = read_archive(uploaded_path(file), self.limits)
        except Exception as error:
            return {self.notice: wording.show_notice(error)}
        conversation.abandon()
        return {self.conversation: imported, **self.show_empty(), **self.show(imported)}


@lru_cache(maxsize=256)
def read_size(path: str, limits: Limits) -> tuple[int, int]:
    """Of a picture as it will be shown. Uploads lie in folders named after what is in them, so they never change."""
    return load_image(path, limits=limits).size


def _downloads() -> str:
    folder = Path(get_upload_folder())
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def put_back(turn: Turn) -> dict[str, Any]:
    return {"text": turn.question, "files": [picture.path for picture in turn.pictures]}


def show_box(*, busy: bool, **content: Any) -> Any:
    """The message box with its one button: stop while an answer is written, else send."""
    return gr.MultimodalTextbox(submit_btn=not busy, stop_btn=busy, **content)
