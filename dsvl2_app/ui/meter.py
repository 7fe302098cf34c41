"""What a message would cost before it is sent: tokens of text and of each picture, and the room left to answer."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from PIL import Image

from dsvl2_app.engine.worker import Worker
from dsvl2_app.image.tiles import TileLayout, lay_out
from dsvl2_app.text.prompt import place_images
from dsvl2_app.ui import wording
from dsvl2_app.ui.conversation import Conversation, Turn

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


def measure(worker: Worker, conversation: Conversation, turn: Turn, system: str, tiling: bool | None) -> Reading:
    """Of the conversation with `turn` at its end. Runs no model and decodes no picture."""
    turns = [*conversation.kept, turn]
    messages = [{"role": "system", "content": system}] if system.strip() else []
    for each in turns:
        stand_ins = [_STAND_IN] * len(each.pictures)
        messages.append({"role": "user", "content": place_images(each.question, stand_ins)})
        messages.append({"role": "assistant", "content": each.answer})
    plan = worker.plan(messages[:-1], tiling)
    pictures = [picture for each in turns for picture in each.pictures]
    before = len(pictures) - len(turn.pictures)
    tiled = len(pictures) <= MOST_TILED if tiling is None else tiling
    return Reading(
        plan.tokens - sum(layout.num_tokens for layout in plan.layouts),
        tuple(lay_out(*picture.size, worker.card.geometry, tiling=tiled) for picture in pictures),
        plan.context,
        tiling is None and 0 < before <= MOST_TILED < len(pictures),
    )


def show_reading(reading: Reading) -> str:
    used, context = reading.tokens, reading.context
    parts = [f"Text {reading.text:,}"] + [
        f"Picture {number} ({columns} × {rows} tiles) {layout.num_tokens:,}"
        for number, layout in enumerate(reading.layouts, start=1)
        for columns, rows in [layout.grid]
    ]
    room = f"{reading.room:,} left for the answer" if reading.room > 0 else f"{-reading.room + 1:,} too many"
    warning = ""
    if reading.shrinks:
        warning = "With a third picture every picture of the conversation is a single tile, the earlier ones too."
    if reading.room < 1:
        warning = "The conversation is full: drop its oldest turn, shorten the message or remove a picture."
    items = "".join(f"<li>{escape(part)}</li>" for part in parts)
    total = wording.count(used, "token")
    return (
        f'<section class="meter"><meter min="0" max="{context}" high="{round(0.9 * context)}" value="{used}" '
        f'aria-label="{total} of {context:,}"></meter>'
        f"<ul><li><strong>{total} of {context:,}</strong>, {room}</li>{items}</ul>"
        + (f'<p role="status">{warning}</p>' if warning else "")
        + "</section>"
    )
