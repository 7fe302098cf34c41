"""What a message would cost before it is sent: tokens of text and of each picture, and the room left to answer."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from dsvl2_app.backend import Backend
from dsvl2_app.errors import ImageError, PromptError
from dsvl2_app.image.load import Limits
from dsvl2_app.image.tiles import are_tiled
from dsvl2_app.request import PromptPlan
from dsvl2_app.text.messages import IMAGE_TOKEN
from dsvl2_app.ui.pages import list_pages, offer_pages
from dsvl2_app.ui.tabs.chat.choices import Choices
from dsvl2_app.ui.tabs.chat.conversation import Attachment, Conversation, Turn
from dsvl2_app.ui.tabs.chat.parts import ChatPage
from dsvl2_app.ui.uploads import read_parts
from dsvl2_app.ui.words import wording
from dsvl2_app.ui.words.translations import say


class Meter:
    """Keeps the line of costs below the message box up to date."""

    def __init__(self, backend: Backend, limits: Limits, page: ChatPage) -> None:
        self.backend = backend
        self.limits = limits
        self.page = page

    def offer(self, message: Any, pages: Any, conversation: Conversation) -> Any:
        """The choice of pages, for the documents that are attached to the message."""
        try:
            _, paths = read_parts(message)
            offered = offer_pages(paths, pages, self.limits, conversation.frames)
        except Exception:  # whatever is wrong with a file is said beside the costs
            offered = None
        return gr.skip() if offered == pages else offered

    def weigh(self, message: Any, pages: Any, conversation: Conversation, *choices: Any) -> dict[Any, Any]:
        """What the message that is being written would cost."""
        page = self.page
        hidden = {page.meter: "", page.drop: gr.Button(visible=False)}
        try:
            chosen = Choices.read(*choices)
            text, paths = read_parts(message)
            images = list_pages(paths, pages, self.limits)
            turn = Turn(text, tuple(Attachment(image, "") for image in images))
            if conversation.is_running:  # what is sent has been counted; the box may not be empty yet
                return {page.meter: gr.skip()}
            if not text.strip() and not paths and not conversation.turns:
                return hidden
            plan, shrinks = count(self.backend, conversation, turn, chosen)
        except (ImageError, PromptError) as error:  # of the files, as soon as they are there
            said = escape(wording.describe_error(error))
            return {**hidden, page.meter: f'<section class="meter"><p role="status">{said}</p></section>'}
        except Exception:  # whatever else is wrong with the message is said when it is sent
            return hidden
        full = plan.tokens_left < 1 and bool(conversation.kept)
        lacking = text.count(IMAGE_TOKEN) > len(images)
        return {page.meter: show_plan(plan, shrinks=shrinks, lacking=lacking), page.drop: gr.Button(visible=full)}


def count(backend: Backend, conversation: Conversation, turn: Turn, choices: Choices) -> tuple[PromptPlan, bool]:
    """Of the conversation with `turn` at its end; and whether its pictures make those before, which were tiled, single
    tiles. Runs no model and decodes no picture."""
    plan = backend.plan(conversation.messages(choices.system, asking=turn), choices.tiling, choices.max_tiles)
    pictures, before = len(plan.layouts), len(plan.layouts) - len(turn.pictures)
    return plan, choices.tiling is None and before > 0 and are_tiled(before) and not are_tiled(pictures)


def show_plan(plan: PromptPlan, *, shrinks: bool = False, lacking: bool = False) -> str:
    """`shrinks` is what `count` says; with `lacking` there are fewer pictures than places for them."""
    used, context = plan.tokens, plan.context
    parts = [say("Text {tokens:,}", tokens=plan.text_tokens)] + [
        say(
            "Picture {number} ({columns} × {rows} tiles) {tokens:,}",
            number=number,
            columns=layout.grid[0],
            rows=layout.grid[1],
            tokens=layout.num_tokens,
        )
        for number, layout in enumerate(plan.layouts, start=1)
    ]
    if plan.tokens_left > 0:
        room = say("{room:,} left for the answer", room=plan.tokens_left)
    else:
        room = say("{excess:,} too many", excess=1 - plan.tokens_left)
    warning = ""
    if lacking:
        warning = say("There is no picture for an <image> in the text, which goes to the model as that word.")
    if shrinks:
        warning = say("With a third picture every picture of the conversation is a single tile, the earlier ones too.")
    if plan.tokens_left < 1:
        warning = say("The conversation is full: drop its oldest turn, shorten the message or remove a picture.")
    items = "".join(f"<li>{escape(part)}</li>" for part in parts)
    total = say("{used:,} tokens of {context:,}", used=used, context=context)
    return (
        f'<section class="meter"><meter min="0" max="{context}" high="{round(0.9 * context)}" value="{used}" '
        f'aria-label="{total}"></meter>'
        f"<ul><li><strong>{total}</strong>, {room}</li>{items}</ul>"
        + (f'<p role="status">{escape(warning)}</p>' if warning else "")
        + "</section>"
    )
