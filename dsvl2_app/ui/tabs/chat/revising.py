"""What visitors do to their conversation in the Chat tab, besides asking."""

from __future__ import annotations

import re
from typing import Any

import gradio as gr

from dsvl2_app.ui.tabs.chat.conversation import Conversation
from dsvl2_app.ui.tabs.chat.parts import EMPTY, ChatPage, put_back, show_box
from dsvl2_app.ui.tabs.chat.transcript import show_transcript

_REVISION = re.compile(r"(edit|undo|picture) (\d{1,6}) \d+", re.ASCII)
_MARKING = re.compile(r"mark (\d{1,6}) (\d{1,6}|said) \d+", re.ASCII)


class Revising:
    """What visitors do to their conversation besides asking. Handlers return the page's parts that change."""

    def __init__(self, page: ChatPage) -> None:
        self.page = page

    def stop(self, conversation: Conversation) -> None:
        conversation.stop()

    def clear(self, conversation: Conversation) -> dict[Any, Any]:
        """Empty but for what is being typed. The conversation can be brought back until the next question."""
        new = Conversation(before=conversation)
        conversation.abandon(new)
        return {self.page.conversation: new, **self.page.show_new(new)}

    def bring_back(self, conversation: Conversation) -> dict[Any, Any]:
        """The conversation that was there before."""
        if conversation.before is None or conversation.is_running:
            return {self.page.notice: gr.skip()}
        back = conversation.before.revive()
        conversation.abandon(back)
        return {self.page.conversation: back, **self.page.show_new(back)}

    def revise(self, revision: str, conversation: Conversation) -> dict[Any, Any]:
        """ "edit 2 1" or "undo 2 1": question 2 goes back to where it was typed, pictures and all. Edited, it stays in
        its place until it is sent, and all after it until then; undone, they are gone. The last number only makes this
        differ from what was asked for before, since nothing sets it back while the visitor may ask for more. "picture
        2 1": the third picture of the conversation is sent no more, or again. "mark 2 0 1": the boxes of answer 2 are
        drawn on the first picture; "mark 2 said 1": where words say."""
        if marking := _MARKING.fullmatch(revision):
            return self.mark(conversation, int(marking[1]), None if marking[2] == "said" else int(marking[2]))
        match = _REVISION.fullmatch(revision)
        if match and match[1] == "picture" and not conversation.is_running:
            conversation.drop_picture(int(match[2]))
            return {**self.page.show(conversation), self.page.notice: ""}
        if not match or int(match[2]) >= len(conversation.turns) or conversation.is_running:
            return {self.page.notice: gr.skip()}
        number = int(match[2])
        turn = conversation.returned = conversation.turns[number]
        if match[1] == "undo":
            conversation.undo(number)
        else:
            conversation.editing = number
        return {**self.page.show(conversation), self.page.box: put_back(turn)}

    def mark(self, conversation: Conversation, number: int, place: int | None) -> dict[Any, Any]:
        if conversation.is_running or number >= len(conversation.turns):
            return {self.page.notice: gr.skip()}
        conversation.mark(number, place, conversation.turns[number].placed)
        return {self.page.chatbot: show_transcript(conversation)}

    def keep_all(self, conversation: Conversation) -> dict[Any, Any]:
        conversation.editing = None
        return {**self.page.show(conversation), self.page.box: show_box(busy=False, value=EMPTY)}

    def drop_oldest(self, conversation: Conversation) -> dict[Any, Any]:
        conversation.drop_oldest()
        return {**self.page.show(conversation), self.page.notice: ""}  # which may have said that it does not fit

    def show_raw(self, conversation: Conversation, raw: bool) -> list[dict[str, Any]]:
        conversation.raw = raw
        return show_transcript(conversation)
