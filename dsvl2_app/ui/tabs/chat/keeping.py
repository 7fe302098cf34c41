"""Conversations as the browser keeps them (assets/history.js): a reload and a restart of the server lose nothing.

What there is of a conversation goes to a hidden component whenever it has changed; the browser fetches the pictures and
keeps both. To bring one back it uploads them again. The server keeps nothing of it.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from dsvl2_app.bundled import read_asset
from dsvl2_app.errors import PromptError
from dsvl2_app.image.load import Limits
from dsvl2_app.ui.gradio_quirks import file_address, read_event_data
from dsvl2_app.ui.opening import as_upload
from dsvl2_app.ui.storage import hold
from dsvl2_app.ui.tabs.chat.archive import MOST_PICTURES, MOST_TURNS
from dsvl2_app.ui.tabs.chat.conversation import Attachment, Conversation
from dsvl2_app.ui.tabs.chat.kept import add_turn, describe_turn
from dsvl2_app.ui.tabs.chat.parts import ChatPage
from dsvl2_app.ui.uploads import measure, uploaded_path
from dsvl2_app.ui.words import wording
from dsvl2_app.ui.words.translations import say

WORDS = {
    "title": "Earlier conversations",
    "search": "Search",
    "keep": "Keep conversations in this browser",
    "forget": "Forget all",
    "open": "Open",
    "begin": "New conversation",
    "rename": "Rename",
    "remove": "Delete",
    "none": "None yet. They stay in this browser alone.",
    "sure": "Forget every conversation that this browser keeps?",
}


def build_keeper() -> gr.HTML:
    """A component whose value is `snapshot`'s, with `words` once the page is open; its event `restore` brings turns."""
    return gr.HTML(
        None, html_template="", js_on_load=read_asset("history.js"), apply_default_css=False, elem_id="chat-history"
    )


def snapshot(conversation: Conversation) -> dict[str, Any]:
    """What the browser keeps of it, and when that was: two events may bring theirs in another order. An answer that is
    being written is kept once it has ended."""
    return {
        "at": time.time(),
        "turns": [
            {
                **describe_turn(replace(turn, answer="") if turn.is_running else turn),
                "pictures": [
                    {
                        "address": file_address(picture.image.path),
                        "name": picture.image.path.name,
                        "page": picture.image.frame,
                        "gone": picture.dropped,
                    }
                    for picture in turn.pictures
                ],
            }
            for turn in conversation.turns
        ],
    }


class Keeping:
    """Handlers of the component."""

    def __init__(self, limits: Limits, page: ChatPage) -> None:
        self.limits = limits
        self.page = page

    def begin(self) -> dict[str, Any]:
        """In the visitor's language; the browser then brings back what the page showed before."""
        return {"turns": None, "words": {name: say(words) for name, words in WORDS.items()}}

    def keep(self, conversation: Conversation) -> dict[str, Any]:
        return {**self.begin(), **snapshot(conversation)}

    def restore(self, event: gr.EventData, conversation: Conversation) -> dict[Any, Any]:
        try:
            brought = self.read(read_event_data(event))
        except Exception as error:
            return {self.page.notice: wording.show_notice(error)}
        conversation.abandon(brought)
        return {self.page.conversation: brought, **self.page.show(brought), self.page.notice: ""}

    def read(self, told: Any) -> Conversation:
        """Raises PromptError for what is no conversation, and ImageError for pictures that are none."""
        conversation = Conversation()
        hold(conversation)
        try:
            entries = told["turns"]
            if len(entries) > MOST_TURNS or sum(len(entry["pictures"]) for entry in entries) > MOST_PICTURES:
                raise ValueError
            for entry in entries:
                pictures = tuple(self.open(each) for each in entry["pictures"])
                add_turn(conversation, entry, pictures)
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError):
            raise PromptError("What this browser kept is no conversation of this page; delete it there.") from None
        return conversation

    def open(self, picture: Any) -> Attachment:
        path = uploaded_path(as_upload(str(Path(picture["path"]))))
        shown = Attachment.of(measure(path, self.limits, int(picture.get("page") or 0)))
        return replace(shown, dropped=picture.get("gone") is True)
