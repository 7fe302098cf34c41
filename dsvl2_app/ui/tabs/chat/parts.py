"""The parts of the Chat tab, and what they show of a conversation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from dsvl2_app.request import ModelCard
from dsvl2_app.ui.events import download_button
from dsvl2_app.ui.examples import Example
from dsvl2_app.ui.pages import build_pages
from dsvl2_app.ui.tabs.chat.choices import build_choices, build_reset, remember
from dsvl2_app.ui.tabs.chat.conversation import Conversation, Turn
from dsvl2_app.ui.tabs.chat.transcript import show_transcript
from dsvl2_app.ui.uploads import KINDS
from dsvl2_app.ui.words.translations import label, say, text_label

DAY = 86400  # seconds
EMPTY: dict[str, Any] = {"text": "", "files": []}
FORMULAS = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "\\[", "right": "\\]", "display": True},
    {"left": "\\(", "right": "\\)", "display": False},
]
WELCOME = (
    '<div class="welcome"><h2>Ask about your pictures</h2>'
    "<p>Drop, paste or attach pictures, documents or clips, then type a question.<br>"
    "Write <code>&lt;image&gt;</code> in the text to say where the next picture goes, "
    "and <code>&lt;|ref|&gt;the dog&lt;|/ref|&gt;</code> for a box around what you name.</p></div>"
)


@dataclass(frozen=True)
class OnwardButtons:
    """Below the conversation: its last picture in other tabs (see ui/onward.py)."""

    row: gr.Row
    boxes: gr.Button
    find: gr.Button
    tiles: gr.Button
    inside: gr.Button


def build_onward() -> OnwardButtons:
    names = {"boxes": "The boxes, larger", "find": "Find in the picture", "tiles": "Its tiles", "inside": "Look inside"}
    with gr.Row(visible=False, elem_id="chat-onward") as row:
        buttons = {key: gr.Button(label(name), size="sm", elem_id=f"chat-{key}") for key, name in names.items()}
    return OnwardButtons(row, **buttons)


class ChatPage:
    """The parts that change while people use them, made within the tab's Blocks. Handlers return what these parts
    become, by part."""

    def __init__(self, examples: list[Example]) -> None:
        self.conversation = gr.State(Conversation(), time_to_live=DAY, delete_callback=Conversation.abandon)
        with gr.Column(elem_id="chat-column"):
            self.build_column(examples)
        self.build_cost()
        self.keeper: gr.HTML  # the browser's list of conversations, below the settings (see keeping.py)
        # What a button beside a question asks for (see assets/quirks.js, which also takes the label for its buttons).
        self.revision = gr.Textbox(label=label("Undo from here"), visible="hidden", elem_id="chat-revision")

    def build_column(self, examples: list[Example]) -> None:
        """From the conversation to the message box, which stays where it is while the conversation has room to give
        (assets/page.css)."""
        self.chatbot = gr.Chatbot(
            label=label("Conversation"),
            show_label=False,
            height="auto",  # what the column leaves
            editable="user",
            autoscroll=False,  # assets/following.js does, and lets readers scroll up
            buttons=["copy", "copy_all"],
            feedback_options=None,
            latex_delimiters=FORMULAS,
            placeholder=text_label(WELCOME),
            examples=[
                {"text": example.text, "display_text": example.caption, "files": list(example.pictures)}
                for example in examples
            ]
            or None,
            elem_id="conversation",
        )
        self.onward = build_onward()
        self.notice = gr.HTML(elem_id="chat-notice")
        self.pages = build_pages("chat-pages")
        self.box = gr.MultimodalTextbox(
            value=EMPTY,
            label=label("Message"),
            show_label=False,
            placeholder=text_label("Ask about your pictures"),
            file_count="multiple",
            file_types=KINDS,
            max_plain_text_length=20_000,
            max_lines=8,
            elem_id="message",
        )

    def build_cost(self) -> None:
        """The line below the message box."""
        with gr.Row(elem_id="chat-cost"):
            self.meter = gr.HTML(elem_id="chat-meter")
            self.keep = gr.Button(label("Cancel editing"), size="sm", visible=False, elem_id="chat-keep")
            self.back = gr.Button(label("Bring the conversation back"), size="sm", visible=False, elem_id="chat-back")
            self.drop = gr.Button(label("Drop the oldest turn"), size="sm", visible=False, elem_id="chat-drop")

    @property
    def parts(self) -> list[gr.Component | gr.Row]:
        """What `show` and its kin set."""
        onward = [self.onward.row, self.onward.boxes]
        return [self.box, self.chatbot, self.notice, self.keep, self.back, *onward]

    def show(self, conversation: Conversation) -> dict[Any, Any]:
        """The transcript, and the buttons that go with it."""
        return {
            self.chatbot: show_transcript(conversation),
            self.keep: gr.Button(visible=conversation.editing is not None),
            self.back: gr.Button(visible=not conversation.is_running and bool(conversation.before)),
            self.onward.row: gr.Row(visible=any(conversation.numbers) and not conversation.is_running),
            self.onward.boxes: gr.Button(visible=conversation.drawn is not None),
        }

    def caption_examples(self) -> Any:
        """In the visitor's language: the browser translates no part of an example. Where they are in it already nothing
        is sent, because Gradio looks again at each of their files, for milliseconds in which it serves nobody."""
        examples = self.chatbot.examples or []
        said = [{**each, "display_text": say(each.get("display_text", ""))} for each in examples]
        return gr.skip() if said == examples else gr.update(examples=said)

    def show_running(self, conversation: Conversation) -> dict[Any, Any]:
        """An answer has begun: the message is sent, and can be stopped."""
        return {
            self.box: show_box(busy=True, value=EMPTY),
            self.chatbot: show_transcript(conversation),
            self.notice: "",
            self.keep: gr.Button(visible=False),
            self.back: gr.Button(visible=False),
            self.onward.row: gr.Row(visible=False),
        }

    def show_new(self, conversation: Conversation) -> dict[Any, Any]:
        """Another conversation; what is being typed stays."""
        return {**self.show(conversation), self.box: show_box(busy=conversation.is_running), self.notice: ""}


@dataclass(frozen=True)
class Controls:
    """What stands below the message box: the settings, and a row for files."""

    choices: list[gr.Component]
    raw: gr.Checkbox
    export: gr.Button
    share: gr.Button
    upload: gr.UploadButton
    file: gr.DownloadButton


def build_controls(demo: gr.Blocks, card: ModelCard) -> Controls:
    """Made within the tab's Blocks, where they are to stand."""
    with gr.Accordion(label("How to answer"), open=False, elem_id="chat-settings"):
        choices = build_choices(card)
        build_reset(choices)
        raw = gr.Checkbox(label=label("Raw"), info=label("Show answers to the letter, special tokens and all"))
    remember(demo, choices)
    with gr.Row(elem_id="chat-files"):
        export = gr.Button(label("Export"), size="sm", elem_id="chat-export")
        share = gr.Button(label("Markdown"), size="sm", elem_id="chat-markdown")
        upload = gr.UploadButton(text_label("Import"), size="sm", file_types=[".zip"], elem_id="chat-import")
        file = download_button("chat-download")
    return Controls(choices, raw, export, share, upload, file)


def show_box(*, busy: bool, **content: Any) -> Any:
    """The message box with its one button: stop while an answer is written, else send."""
    return gr.MultimodalTextbox(submit_btn=not busy, stop_btn=busy, **content)


def put_back(turn: Turn) -> Any:
    """The message box with the question of a turn, pictures and all."""
    files = list(dict.fromkeys(str(picture.image.path) for picture in turn.pictures))
    return show_box(busy=False, value={"text": turn.question, "files": files})
