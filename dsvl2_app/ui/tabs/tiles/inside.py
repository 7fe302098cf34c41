"""Inside view of the Tiles tab: a question about the pictures, its answer, and what the model did to write it.

Nothing is collected until the visitor asks for it; then one more pass runs over prompt and answer (engine/inspection).
"""

from __future__ import annotations

import threading
import weakref
from asyncio import to_thread
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from dsvl2_app.backend import Backend, Stream
from dsvl2_app.errors import PromptError
from dsvl2_app.image.heat import draw_heat, spread_tokens
from dsvl2_app.image.load import Limits
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.image.tiles import are_tiled
from dsvl2_app.inspection import Inspection
from dsvl2_app.request import Caller, Request, Sampling
from dsvl2_app.text.grounding import ALLOWED
from dsvl2_app.text.prompt import place_images
from dsvl2_app.ui.events import PRIVATE, QUIET, REFRESH, STREAMING, attended, cancel
from dsvl2_app.ui.gradio_quirks import last_update
from dsvl2_app.ui.payloads import read_index
from dsvl2_app.ui.storage import hold
from dsvl2_app.ui.tabs.tiles.inside_figures import (
    show_answer,
    show_cost,
    show_experts,
    show_pieces,
    show_shares,
    show_twins,
)
from dsvl2_app.ui.tabs.tiles.inside_parts import InsidePage, build_page, show_how_to
from dsvl2_app.ui.uploads import gallery_paths, measure, name_caller, preview
from dsvl2_app.ui.words import wording
from dsvl2_app.ui.words.translations import say

MOST_TOKENS = 256
HOUR = 3600  # seconds, after which what was seen is forgotten
MOST_SEEN = 2**29  # bytes
ALL_LAYERS = "All, averaged"


@dataclass(eq=False)
class Look:
    """One visitor's last question here, its answer, and what was seen inside."""

    request: Request | None = None
    images: list[ImageRef] = field(default_factory=list)
    answer: list[int] = field(default_factory=list)  # token ids
    seen: Inspection | None = None
    token: int = 0  # chosen one of the answer

    @property
    def files(self) -> set[Path]:
        return {image.path for image in self.images}


class Kept:
    """What was seen inside, of all visitors: up to `limit` bytes of it are kept, the oldest goes first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._looks: list[weakref.ref[Look]] = []  # the oldest first
        self._lock = threading.Lock()

    def keep(self, look: Look, seen: Inspection) -> None:
        with self._lock:
            look.seen = seen
            held = [each for ref in self._looks if (each := ref()) is not None and each.seen and each is not look]
            held.append(look)
            while len(held) > 1 and sum(count_bytes(each.seen) for each in held) > self._limit:
                held.pop(0).seen = None
            self._looks = [weakref.ref(each) for each in held]


def count_bytes(seen: Inspection | None) -> int:
    return seen.nbytes if seen else 0


class Inside:
    """The part of the Tiles tab where the model runs, built below the pictures."""

    def __init__(self, backend: Backend, limits: Limits) -> None:
        self.backend = backend
        self.limits = limits
        self.kept = Kept(MOST_SEEN)

    def build(self, gallery: gr.Gallery, count: gr.Slider, limit: gr.Slider) -> None:
        """`count` is of pictures in the conversation, `limit` of tiles."""
        self.look = gr.State(Look(), time_to_live=HOUR)
        self.running = gr.State(None)
        self.page = build_page()
        self.wire(self.page, [gallery, self.page.question, count, limit, self.look])

    @property
    def stale(self) -> list[gr.Component | gr.Column]:
        """What `forget` sets."""
        page = self.page
        return [page.notice, page.status, page.pieces, page.open, page.result]

    def wire(self, page: InsidePage, asked: list[gr.Component]) -> None:
        gr.on(None, show_how_to, None, page.how, **QUIET)  # in the visitor's language
        answered = [*self.stale, page.ask, page.halt, self.running]
        gr.on([page.ask.click, page.question.submit], self.answer, asked, answered, preprocess=False, **STREAMING)
        page.halt.click(cancel, self.running, None, **QUIET)
        chosen = [self.look, page.seen.layer, page.seen.which]
        drawn = [page.seen.heat, page.seen.shares, page.notice]
        seen = [*self.stale, page.seen.layer, page.seen.which, page.seen.experts, page.seen.twins, page.seen.cost]
        opened = page.open.click(self.inspect, self.look, seen, **STREAMING)
        opened.success(self.draw, chosen, drawn, **PRIVATE)
        latest = {"trigger_mode": "always_last", **PRIVATE}
        gr.on([page.seen.layer.input, page.seen.which.input], self.draw, chosen, drawn, **latest)
        page.pieces.choose(self.choose, chosen, drawn, **latest)

    # -- asking ---------------------------------------------------------------------------------------------

    async def answer(
        self, gallery: Any, question: str, count: int, limit: int, look: Look, visitor: gr.Request
    ) -> AsyncIterator[dict[Any, Any]]:
        page = self.page
        try:
            images, request = await self.compose(gallery, question, count, limit, name_caller(visitor))
            stream = self.backend.submit(request)
        except Exception as error:
            yield {page.notice: wording.show_notice(error)}
            return
        hold(look)
        look.request, look.images, look.answer, look.seen, look.token = request, images, [], None, 0
        text = ""
        async with attended(stream):
            stays = {page.notice: wording.show_notice(), page.result: gr.Column(visible=False)}
            yield {**stays, page.pieces: "", page.open: gr.Button(visible=False), **self.show_buttons(stream)}
            last: dict[Any, Any] = {}
            try:
                async for events in stream.throttled(REFRESH):
                    if look.request is not request:
                        break
                    event = events[-1]
                    text += "".join(event.text for event in events)
                    look.answer += [event.token for event in events if event.token is not None]
                    ended = event.finish and wording.describe_ending(event.timings, event.finish)
                    status = wording.show_status(ended or wording.describe_progress(event), running=not ended)
                    yield {page.status: status, page.pieces: show_answer(text)}
                tokens = event.timings.prompt_tokens + len(look.answer)
                last[page.open] = gr.Button(
                    say("Look inside: one more pass over {tokens:,} tokens", tokens=tokens),
                    visible=bool(look.answer) and self.backend.capabilities.inspection,
                )
            except Exception as error:
                last = {page.notice: wording.show_notice(error), page.status: ""}
        stays |= {page.pieces: show_answer(text), **last}
        yield last_update(stays if look.request is request else self.clear(), self.show_buttons(None))

    async def compose(
        self, gallery: Any, question: str, count: int, limit: int, caller: Caller
    ) -> tuple[list[ImageRef], Request]:
        """The pictures, and what is asked about them."""
        paths = gallery_paths(gallery)
        if not paths:
            raise PromptError("There is no picture to ask about; add one above first.")
        if not question.strip():
            raise PromptError("There is no question yet; type one.")
        images = [await to_thread(measure, path, self.limits) for path in paths]
        request = Request(
            [{"role": "user", "content": place_images(question, images)}],
            Sampling(max_new_tokens=min(MOST_TOKENS, self.backend.card.context)),
            allow=ALLOWED,
            tiling=are_tiled(count),
            max_tiles=int(limit),
            owner=caller.owner,
            address=caller.address,
        )
        return images, request

    def show_buttons(self, stream: Stream | None) -> dict[Any, Any]:
        """A stop button for the answer that is running, or else the button that starts one."""
        page, busy = self.page, stream is not None
        return {page.ask: gr.Button(visible=not busy), page.halt: gr.Button(visible=busy), self.running: stream}

    def forget(self, look: Look) -> dict[Any, Any]:
        """What was said and seen goes with the pictures that it is about."""
        look.request, look.seen = None, None
        return self.clear()

    def clear(self) -> dict[Any, Any]:
        page = self.page
        return {
            **dict.fromkeys([page.notice, page.status, page.pieces], ""),
            page.open: gr.Button(visible=False),
            page.result: gr.Column(visible=False),
        }

    # -- looking --------------------------------------------------------------------------------------------

    async def inspect(self, look: Look) -> AsyncIterator[dict[Any, Any]]:
        """One more pass, a step at a time between those of other people's answers."""
        page, request, answer = self.page, look.request, look.answer
        if request is None:
            return
        yield {page.open: gr.Button(visible=False)}
        try:
            async with attended(self.backend.inspect(request, answer)) as stream:
                async for event in stream:
                    if look.request is not request or event.inspection:
                        break
                    yield {page.status: wording.show_status(wording.describe_progress(event), running=True)}
        except Exception as error:
            yield {page.notice: wording.show_notice(error), page.status: "", page.open: gr.Button(visible=True)}
            return
        if look.request is not request or event.inspection is None:
            yield self.clear()
            return
        self.kept.keep(look, event.inspection)
        look.token = 0
        yield self.show(event.inspection)

    def show(self, seen: Inspection) -> dict[Any, Any]:
        """What was collected, for the first token of the answer."""
        page = self.page
        layers = [
            (say(ALL_LAYERS), -1),
            *((say("Layer {number}", number=number + 1), number) for number in range(len(seen.attention))),
        ]
        number = len(seen.layouts)
        return {
            page.status: wording.show_status(say("Choose a part of the answer to see what the model looked at for it")),
            page.pieces: show_pieces(seen.tokens, chosen=0),
            page.result: gr.Column(visible=True),
            page.seen.layer: gr.Dropdown(layers, value=-1),
            page.seen.which: gr.Radio(
                [(f"{place + 1}", place) for place in range(number)], value=0, visible=number > 1
            ),
            page.seen.experts: show_experts(seen),
            page.seen.twins: show_twins(seen),
            page.seen.cost: show_cost(seen),
        }

    def choose(self, look: Look, layer: int, which: int, event: gr.EventData) -> dict[Any, Any]:
        if look.seen is not None:
            look.token = read_index(event, look.seen.tokens)
        return self.draw(look, layer, which)

    def draw(self, look: Look, layer: int, which: int) -> dict[Any, Any]:
        """The heat of the chosen token, in a layer (or all, -1), over a picture."""
        page, seen = self.page, look.seen
        if seen is None or None in (layer, which) or not 0 <= look.token < len(seen.tokens):
            return {page.notice: wording.show_notice()}
        try:
            image = preview(look.images[which])
        except Exception as error:
            return {page.notice: wording.show_notice(error)}
        layout, number = seen.layouts[which], None if layer < 0 else layer
        heat = spread_tokens(layout, seen.image_attention(which, number)[look.token])
        return {
            page.seen.heat: draw_heat(image, heat**0.5),
            page.seen.shares: show_shares(seen, look.token, number, which),
            page.notice: wording.show_notice(),
        }
