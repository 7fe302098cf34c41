"""A message of the Chat tab -> its answer, streamed onto the page."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import gradio as gr

from dsvl2_app.backend import Backend
from dsvl2_app.image.load import Limits
from dsvl2_app.request import Caller, Event, Request
from dsvl2_app.text.grounding import ALLOWED
from dsvl2_app.ui.events import REFRESH, attended
from dsvl2_app.ui.gradio_quirks import last_update
from dsvl2_app.ui.pages import list_pages
from dsvl2_app.ui.tabs.chat.choices import Choices
from dsvl2_app.ui.tabs.chat.conversation import Attachment, Conversation, Turn
from dsvl2_app.ui.tabs.chat.keeping import snapshot
from dsvl2_app.ui.tabs.chat.parts import ChatPage, put_back, show_box
from dsvl2_app.ui.tabs.chat.transcript import show_transcript
from dsvl2_app.ui.unread import is_unread
from dsvl2_app.ui.uploads import name_caller, read_message
from dsvl2_app.ui.words import wording
from dsvl2_app.ui.words.translations import say


class Answering:
    """Two events for one answer: what the first one sets on the page is not lost when the second one streams (see
    gradio_quirks.last_update)."""

    def __init__(self, backend: Backend, limits: Limits, page: ChatPage) -> None:
        self.backend = backend
        self.limits = limits
        self.page = page

    def send(self, message: Any, pages: Any, conversation: Conversation, *choices: Any) -> dict[Any, Any]:
        try:
            chosen = Choices.read(*choices)
            text, paths = read_message(message)
            turn = Turn(text, tuple(map(Attachment.of, list_pages(paths, pages, self.limits))))
        except Exception as error:
            return {self.page.notice: wording.show_notice(error)}
        return self.begin(conversation, turn, chosen)

    def retry(self, conversation: Conversation, *choices: Any) -> dict[Any, Any]:
        try:
            chosen = Choices.read(*choices)
        except Exception as error:
            return {self.page.notice: wording.show_notice(error)}
        if not conversation.turns:
            return {self.page.notice: ""}
        conversation.editing = len(conversation.turns) - 1
        last = conversation.turns[-1]
        return self.begin(conversation, Turn(last.question, last.pictures), chosen)

    def begin(self, conversation: Conversation, turn: Turn, choices: Choices) -> dict[Any, Any]:
        card = self.backend.card
        unread = is_unread(card, turn.question)
        turn = replace(turn, progress=say("Starting"), context=card.context, unread=unread)
        conversation.begin(turn, choices)
        return self.page.show_running(conversation)

    async def answer(self, request: gr.Request, conversation: Conversation) -> AsyncIterator[dict[Any, Any]]:
        """Stream the answer to what was asked. A question that gets none goes back to where it was typed."""
        page, run = self.page, conversation.asked
        conversation.asked = None
        if run is None:  # it was refused
            yield {page.notice: gr.skip()}
            return
        failure = None
        try:
            wanted = self.compose(conversation, run.choices, name_caller(request))
            async with attended(self.backend.submit(wanted)) as stream:
                conversation.stream = stream
                if conversation.stopping:
                    stream.cancel()
                async for events in stream.throttled(REFRESH):
                    write(run.turns, events)
                    yield {page.chatbot: await to_thread(show_transcript, conversation)}
            if conversation.run is run:
                await to_thread(conversation.mark)
        except Exception as error:
            failure = error
        if conversation.abandoned:  # what comes last stays on the page, which shows another one by now
            yield page.show_new(conversation.successor or Conversation())
            return
        if conversation.run is not run:  # asked anew or undone in the meantime
            return
        last = run.turns[-1]
        box = show_box(busy=False)
        if not last.is_answered:
            conversation.turns, conversation.editing = run.before, run.editing
            conversation.returned = run.turn
            box = put_back(run.turn)
        elif failure:
            run.turns[-1] = replace(last, finish="cancelled")
        kept = {page.keeper: snapshot(conversation)}  # at once: the page may be left before the next event
        yield last_update(page.show(conversation), kept, {page.box: box, page.notice: wording.show_notice(failure)})

    def compose(self, conversation: Conversation, choices: Choices, caller: Caller) -> Request:
        return Request(
            conversation.messages(choices.system),
            choices.sampling,
            allow=ALLOWED,
            tiling=choices.tiling,
            max_tiles=choices.max_tiles,
            grammar=self.backend.capabilities.grammar,
            owner=caller.owner,
            address=caller.address,
        )


def write(turns: list[Turn], events: Sequence[Event]) -> None:
    """Let the last of `turns` go on by what came."""
    last = events[-1]
    turns[-1] = replace(
        turns[-1],
        answer=turns[-1].answer + "".join(event.text for event in events),
        progress=wording.describe_progress(last),
        finish=last.finish,
        timings=last.timings,
    )
