"""Inside view of the Tiles tab: a question about the pictures, its answer, and what the model did to write it.

Nothing is collected until the visitor asks for it; then one more pass runs over prompt and answer (engine/inspection).
"""

from __future__ import annotations

import json
import threading
import weakref
from asyncio import to_thread
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from dsvl2_app.backend import Backend, Stream
from dsvl2_app.errors import PromptError
from dsvl2_app.image.load import Limits
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.image.tiles import are_tiled
from dsvl2_app.inspection import Inspection, file
from dsvl2_app.request import Caller, Request, Sampling
from dsvl2_app.text.grounding import ALLOWED
from dsvl2_app.text.prompt import place_images
from dsvl2_app.ui.events import PRIVATE, QUIET, REFRESH, STREAMING, attended, cancel, download
from dsvl2_app.ui.gradio_quirks import encode_picture, last_update
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
from dsvl2_app.ui.tabs.tiles.inside_pack import pack, pack_attention
from dsvl2_app.ui.tabs.tiles.inside_parts import InsidePage, build_page, show_how_to
from dsvl2_app.ui.tabs.tiles.inside_view import show_expert_kinds, show_place, show_view, show_word
from dsvl2_app.ui.uploads import gallery_paths, measure, name_caller, preview, save_preview, save_upload
from dsvl2_app.ui.words import wording
from dsvl2_app.ui.words.translations import say

MOST_TOKENS = 256
HOUR = 3600  # seconds, after which what was seen is forgotten
MOST_SEEN = 2**29  # bytes
HOW_TO_POINT = (
    "Choose a word of the answer to see where the model looked, a place on the picture to see what became of it, or an "
    "expert in the table below."
)


@dataclass(eq=False)
class Look:
    """One visitor's last question here, its answer, and what was seen inside."""

    request: Request | None = None
    images: list[ImageRef] = field(default_factory=list)
    answer: list[int] = field(default_factory=list)  # token ids
    seen: Inspection | None = None
    token: int = 0  # chosen one of the answer
    head: int | None = None  # chosen one of the attention; None: all of them

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
        self.page = build_page(self.backend.capabilities.inspection)
        self.wire(self.page, [gallery, self.page.question, count, limit, self.look])

    @property
    def stale(self) -> list[gr.Component | gr.Column]:
        """What `forget` sets."""
        page = self.page
        return [page.notice, page.status, page.pieces, page.open, page.result]

    def wire(self, page: InsidePage, asked: list[gr.Component]) -> None:
        gr.on(
            None, lambda: show_how_to(self.backend.capabilities.inspection), None, page.how, **QUIET
        )  # in the visitor's language
        answered = [*self.stale, page.ask, page.halt, self.running]
        gr.on([page.ask.click, page.question.submit], self.answer, asked, answered, preprocess=False, **STREAMING)
        page.halt.click(cancel, self.running, None, **QUIET)
        seen = page.seen
        drawn = [seen.reply, seen.shares, seen.others, page.notice]
        shown = [*self.stale, seen.view, seen.place, seen.experts, seen.twins, seen.cost]
        opened = page.open.click(self.look_inside, self.look, shown, **STREAMING)
        opened.success(self.draw, self.look, drawn, **PRIVATE)
        latest = {"trigger_mode": "always_last", **PRIVATE}
        page.pieces.choose(self.choose, self.look, drawn, **latest)
        seen.view.attend(self.choose_head, self.look, drawn, **latest)
        seen.view.place(self.show_place, self.look, seen.place, **latest)
        for kind, button in seen.keep.items():
            download(button, partial(self.save, kind), self.look, seen.file)

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

    async def look_inside(self, look: Look) -> AsyncIterator[dict[Any, Any]]:
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
        look.token, look.head = 0, None
        yield self.show(look, event.inspection)

    def show(self, look: Look, seen: Inspection) -> dict[Any, Any]:
        """What was collected, for the first token of the answer."""
        page, packed = self.page, save_upload(pack(seen), "inside.bin")
        return {
            page.status: wording.show_status(say(HOW_TO_POINT)),
            page.pieces: show_pieces(seen, chosen=0),
            page.result: gr.Column(visible=True),
            page.seen.view: show_view(seen, packed, [save_preview(image) for image in look.images]),
            page.seen.place: "",
            page.seen.experts: show_expert_kinds(seen) + show_experts(seen),
            page.seen.twins: show_twins(seen),
            page.seen.cost: show_cost(seen),
        }

    def choose(self, look: Look, event: gr.EventData) -> dict[Any, Any]:
        if look.seen is not None:
            look.token = read_index(event, look.seen.tokens)
        return self.draw(look)

    def choose_head(self, look: Look, event: gr.EventData) -> dict[Any, Any]:
        """0 is all of them, averaged."""
        if look.seen is not None:
            number = read_index(event, range(1 + look.seen.attention.shape[1]))
            look.head = number - 1 if number else None
        return self.draw(look)

    def draw(self, look: Look) -> dict[Any, Any]:
        """The chosen token: its attention in every layer, which the page draws; where that went; its rivals."""
        page, seen = self.page, look.seen
        if seen is None or not 0 <= look.token < len(seen.tokens):
            return {page.notice: wording.show_notice()}
        return {
            page.seen.reply: json.dumps(pack_attention(seen, look.token, look.head)),
            page.seen.shares: show_shares(seen, look.token, None, 0),
            page.seen.others: show_word(seen, look.token),
            page.notice: wording.show_notice(),
        }

    def show_place(self, look: Look, event: gr.EventData) -> str:
        if look.seen is None:
            return ""
        token = read_index(event, look.seen.prompt)
        return show_place(look.seen, token) if look.seen.image_mask[token] else ""

    def save(self, kind: str, look: Look) -> str:
        """A file of all that was seen, and of the pictures as they are shown."""
        if look.seen is None:
            raise PromptError("There is nothing here to save; look into an answer first.")
        pictures = [encode_picture(preview(image), "webp") for image in look.images]
        return save_upload(file.pack(look.seen, pictures, as_json=kind == "json"), f"inside.{kind}")
