"""What a message would cost before it is sent: tokens of text and of each picture, and the room left to answer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Any

import gradio as gr
from PIL import Image

from dsvl2_app.backend import Backend
from dsvl2_app.image.load import Limits, load_image
from dsvl2_app.image.tiles import TileLayout, lay_out
from dsvl2_app.text.messages import Message
from dsvl2_app.text.prompt import place_images
from dsvl2_app.ui.chat_page import ChatPage
from dsvl2_app.ui.choices import Choices
from dsvl2_app.ui.conversation import Conversation, Picture, Turn
from dsvl2_app.ui.translations import say
from dsvl2_app.ui.uploads import read_parts

MOST_TILED = 2  # with more pictures in the conversation every one is a single tile
_STAND_IN = Image.new("RGB", (1, 1))  # the tokens of text do not depend on what the pictures show


@dataclass(frozen=True, slots=True)
class Reading:
    text: int  # tokens
    layouts: tuple[TileLayout, ...]
    context: int
    shrinks: bool  # the new pictures make tiled ones single tiles

    @property
    def tokens(self) -> int:
        return self.text + sum(layout.num_tokens for layout in self.layouts)

    @property
    def room(self) -> int:
        return self.context - self.tokens


class Meter:
    def __init__(self, backend: Backend, limits: Limits, page: ChatPage) -> None:
        self.backend = backend
        self.limits = limits
        self.page = page

    def weigh(self, message: Any, conversation: Conversation, *choices: Any) -> dict[Any, Any]:
        """What the message that is being written would cost."""
        page = self.page
        hidden = {page.meter: "", page.drop: gr.Button(visible=False)}
        try:
            chosen = Choices.read(*choices)
            text, paths = read_parts(message)
            turn = Turn(text, tuple(Picture(path, "", read_size(path, self.limits)) for path in paths))
            if conversation.stream and conversation.is_running:
                return {page.meter: gr.skip()}
            if not text.strip() and not paths and not conversation.turns:
                return hidden
            reading = measure(self.backend, conversation, turn, chosen)
        except Exception:  # whatever is wrong with the message is said when it is sent
            return hidden
        full = reading.room < 1 and bool(conversation.kept)
        return {page.meter: show_reading(reading), page.drop: gr.Button(visible=full)}


@lru_cache(maxsize=256)
def read_size(path: str, limits: Limits) -> tuple[int, int]:
    """Of a picture as it will be shown. Uploads lie in folders named after what is in them, so they never change."""
    return load_image(path, limits=limits).size


def measure(backend: Backend, conversation: Conversation, turn: Turn, choices: Choices) -> Reading:
    """Of the conversation with `turn` at its end. Runs no model and decodes no picture."""
    turns = [*conversation.kept, turn]
    messages: list[Message] = [{"role": "system", "content": choices.system}] if choices.system.strip() else []
    for each in turns:
        stand_ins = [_STAND_IN] * len(each.pictures)
        messages.append({"role": "user", "content": place_images(each.question, stand_ins)})
        messages.append({"role": "assistant", "content": each.answer})
    plan = backend.plan(messages[:-1], choices.tiling, choices.max_tiles)
    pictures = [picture for each in turns for picture in each.pictures]
    before = len(pictures) - len(turn.pictures)
    tiled = len(pictures) <= MOST_TILED if choices.tiling is None else choices.tiling
    geometry = backend.card.geometry
    return Reading(
        plan.tokens - sum(layout.num_tokens for layout in plan.layouts),
        tuple(lay_out(*picture.size, geometry, tiling=tiled, max_tiles=choices.max_tiles) for picture in pictures),
        plan.context,
        choices.tiling is None and 0 < before <= MOST_TILED < len(pictures),
    )


def show_reading(reading: Reading) -> str:
    used, context = reading.tokens, reading.context
    parts = [say("Text {tokens:,}", tokens=reading.text)] + [
        say(
            "Picture {number} ({columns} × {rows} tiles) {tokens:,}",
            number=number,
            columns=layout.grid[0],
            rows=layout.grid[1],
            tokens=layout.num_tokens,
        )
        for number, layout in enumerate(reading.layouts, start=1)
    ]
    if reading.room > 0:
        room = say("{room:,} left for the answer", room=reading.room)
    else:
        room = say("{excess:,} too many", excess=1 - reading.room)
    warning = ""
    if reading.shrinks:
        warning = say("With a third picture every picture of the conversation is a single tile, the earlier ones too.")
    if reading.room < 1:
        warning = say("The conversation is full: drop its oldest turn, shorten the message or remove a picture.")
    items = "".join(f"<li>{escape(part)}</li>" for part in parts)
    total = say("{used:,} tokens of {context:,}", used=used, context=context)
    return (
        f'<section class="meter"><meter min="0" max="{context}" high="{round(0.9 * context)}" value="{used}" '
        f'aria-label="{total}"></meter>'
        f"<ul><li><strong>{total}</strong>, {room}</li>{items}</ul>"
        + (f'<p role="status">{warning}</p>' if warning else "")
        + "</section>"
    )
