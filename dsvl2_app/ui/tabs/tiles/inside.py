"""Inside view of the Tiles tab: a question about the pictures, its answer, and what the model did to write it.

Nothing is collected until the visitor asks for it; then one more pass runs over prompt and answer (engine/inspection).
"""

from __future__ import annotations

import json
from asyncio import to_thread
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

import gradio as gr

from dsvl2_app.backend import Backend, Stream
from dsvl2_app.errors import PromptError
from dsvl2_app.image.load import Limits
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.image.tiles import are_tiled, lay_out_all
from dsvl2_app.inspection import Inspection
from dsvl2_app.request import Caller, Request, Sampling, Timings
from dsvl2_app.text.grounding import ALLOWED
from dsvl2_app.text.prompt import place_images
from dsvl2_app.ui.events import LATEST, PRIVATE, QUIET, REFRESH, STREAMING, attended, cancel, download, settle
from dsvl2_app.ui.gradio_quirks import last_update
from dsvl2_app.ui.payloads import read_index
from dsvl2_app.ui.storage import hold
from dsvl2_app.ui.tabs.tiles.inside_branch import Branch
from dsvl2_app.ui.tabs.tiles.inside_figures import (
    estimate_seconds,
    offer_look,
    show_answer,
    show_cost,
    show_experts,
    show_pieces,
    show_shares,
    show_twins,
)
from dsvl2_app.ui.tabs.tiles.inside_files import Files
from dsvl2_app.ui.tabs.tiles.inside_look import Kept, Look
from dsvl2_app.ui.tabs.tiles.inside_pack import pack, pack_attention
from dsvl2_app.ui.tabs.tiles.inside_parts import InsidePage, build_page, show_how_to
from dsvl2_app.ui.tabs.tiles.inside_sides import show_sides
from dsvl2_app.ui.tabs.tiles.inside_tour import PICTURE, QUESTION, show_tour
from dsvl2_app.ui.tabs.tiles.inside_view import show_expert_kinds, show_place, show_view, show_word
from dsvl2_app.ui.unread import is_unread, show_note
from dsvl2_app.ui.uploads import gallery_paths, measure, name_caller, save_preview, save_upload
from dsvl2_app.ui.words import wording
from dsvl2_app.ui.words.translations import say

MOST_TOKENS = 256
HOUR = 3600  # seconds, after which what was seen is forgotten
MOST_SEEN = 2**29  # bytes
HOW_TO_POINT = (
    "Choose a word of the answer to see where the model looked, a place on the picture to see what became of it, or an "
    "expert in the table below."
)


class Inside:
    """The part of the Tiles tab where the model runs, built below the pictures."""

    def __init__(self, backend: Backend, limits: Limits) -> None:
        self.backend = backend
        self.limits = limits
        self.kept = Kept(MOST_SEEN)
        self.pace: float | None = None  # seconds a token, of the last look inside

    def build(self, gallery: gr.Gallery, count: gr.Slider, limit: gr.Slider) -> None:
        """`count` is of pictures in the conversation, `limit` of tiles."""
        self.look = gr.State(Look(), time_to_live=HOUR)
        self.running = gr.State(None)
        self.page = build_page(self.backend.capabilities.inspection, english_only=self.backend.card.bundled)
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
        answering = [page.ask, page.halt, self.running]
        answered = [*self.stale, *answering]
        gr.on([page.ask.click, page.question.submit], self.answer, asked, answered, preprocess=False, **STREAMING)
        page.halt.click(cancel, self.running, None, **QUIET)
        seen = page.seen
        drawn = [seen.reply, seen.shares, seen.others, page.notice]
        shown = [*self.stale, *seen.shown]
        branch = Branch(self.backend, page, self.show_buttons)
        seen.others.fork(branch.go_on, self.look, [*seen.fork, page.notice, *answering], **STREAMING)
        taken = seen.take.click(branch.take, self.look, None, **PRIVATE)
        for begin in (page.open.click, taken.success):
            opened = begin(self.look_inside, self.look, shown, **STREAMING)
            opened.success(None, None, None, js=settle("#inside"), **PRIVATE)
            opened.success(self.draw, self.look, drawn, **PRIVATE)
        toured = page.guide.click(self.begin_tour, self.look, answered, **STREAMING)
        toured = toured.success(self.look_inside, self.look, shown, **STREAMING)
        toured = toured.success(self.draw, self.look, drawn, **PRIVATE)
        toured.success(self.tour, self.look, seen.tour, **PRIVATE)
        files = Files(page, self.limits, self.kept, self.show)
        seen.compare.click(files.keep, self.look, page.status, **PRIVATE)
        opened = page.opener.upload(files.open, [page.opener, self.look], shown, preprocess=False, **PRIVATE)
        opened.success(None, None, None, js=settle("#inside"), **PRIVATE)
        opened.success(self.draw, self.look, drawn, **PRIVATE)
        page.pieces.choose(self.choose, self.look, drawn, **LATEST, **PRIVATE)
        seen.view.attend(self.choose_head, self.look, drawn, **LATEST, **PRIVATE)
        seen.view.place(self.show_place, self.look, seen.place, **LATEST, **PRIVATE)
        for kind, button in seen.keep.items():
            download(button, partial(files.save, kind), self.look, seen.file)

    # -- asking ---------------------------------------------------------------------------------------------

    async def answer(
        self, gallery: Any, question: str, count: int, limit: int, look: Look, visitor: gr.Request
    ) -> AsyncIterator[dict[Any, Any]]:
        async for update in self.ask(look, gallery_paths(gallery), question, count, limit, name_caller(visitor)):
            yield update

    async def begin_tour(self, look: Look, visitor: gr.Request) -> AsyncIterator[dict[Any, Any]]:
        """A real answer about an example, which the tour is about."""
        most = self.backend.card.geometry.most_tiles
        async for update in self.ask(look, [str(PICTURE)], QUESTION, 1, most, name_caller(visitor)):
            yield update

    async def ask(
        self, look: Look, paths: Sequence[str], question: str, count: int, limit: int, caller: Caller
    ) -> AsyncIterator[dict[Any, Any]]:
        page = self.page
        try:
            images, request = await self.compose(paths, question, count, limit, caller)
            stream = self.backend.submit(request)
        except Exception as error:
            yield {page.notice: wording.show_notice(error)}
            return
        hold(look)
        look.request, look.images, look.answer, look.seen, look.token = request, images, [], None, 0
        look.places = self.count_places(images, request)
        text, note = "", show_note(is_unread(self.backend.card, question))
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
                    yield {page.status: status + note, page.pieces: show_answer(text)}
                last[page.open] = self.offer(look, event.timings)
            except Exception as error:
                last = {page.notice: wording.show_notice(error), page.status: ""}
        stays |= {page.pieces: show_answer(text), **last}
        yield last_update(stays if look.request is request else self.give_way(look), self.show_buttons(None))

    async def compose(
        self, paths: Sequence[str], question: str, count: int, limit: int, caller: Caller
    ) -> tuple[list[ImageRef], Request]:
        """The pictures, and what is asked about them."""
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

    def count_places(self, images: Sequence[ImageRef], request: Request) -> int:
        """Tokens of the pictures."""
        sizes, geometry = [image.size for image in images], self.backend.card.geometry
        layouts = lay_out_all(sizes, geometry, request.tiling, request.max_tiles)
        return sum(layout.num_tokens for layout in layouts)

    def offer(self, look: Look, timings: Timings) -> gr.Button:
        """The button that looks inside, and what that will cost."""
        prompt, answer = timings.prompt_tokens, len(look.answer)
        memory = self.backend.card.inspection.count(prompt, answer, look.places)
        tokens = prompt + answer - 1
        words = offer_look(tokens, memory, estimate_seconds(timings, tokens, self.pace))
        return gr.Button(words, visible=answer > 0 and self.backend.capabilities.inspection)

    def show_buttons(self, stream: Stream | None) -> dict[Any, Any]:
        """A stop button for the answer that is running, or else the button that starts one."""
        page, busy = self.page, stream is not None
        return {page.ask: gr.Button(visible=not busy), page.halt: gr.Button(visible=busy), self.running: stream}

    def forget(self, look: Look) -> dict[Any, Any]:
        """What was said and seen goes with the pictures that it is about."""
        look.request, look.seen, look.kept = None, None, None
        return self.clear()

    def clear(self) -> dict[Any, Any]:
        page = self.page
        return {
            **dict.fromkeys([page.notice, page.status, page.pieces], ""),
            page.open: gr.Button(visible=False),
            page.result: gr.Column(visible=False),
        }

    def give_way(self, look: Look) -> dict[Any, Any]:
        """What stays when the question is no longer the last one: the view of a file opened meanwhile, or nothing."""
        return {self.page.open: gr.Button(visible=False)} if look.seen else self.clear()

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
            yield self.give_way(look)
            return
        seen = event.inspection
        self.pace = seen.seconds / (seen.prompt_tokens + len(seen.tokens) - 1)
        self.kept.keep(look, seen)
        look.token, look.head = 0, None
        yield self.show(look, seen)

    def show(self, look: Look, seen: Inspection) -> dict[Any, Any]:
        """What was collected, for the first token of the answer."""
        page, packed = self.page, save_upload(pack(seen), "inside.bin")
        kept, look.kept = look.kept, None
        return {
            page.status: wording.show_status(say(HOW_TO_POINT)),
            page.pieces: show_pieces(seen, chosen=0),
            page.result: gr.Column(visible=True),
            page.seen.view: show_view(seen, packed, [save_preview(image) for image in look.images]),
            **dict.fromkeys([page.seen.place, page.seen.branch, page.seen.tour], ""),
            page.seen.sides: show_sides(kept, seen) if kept else "",
            page.seen.take: gr.Button(visible=False),
            page.seen.experts: show_expert_kinds(seen) + show_experts(seen),
            page.seen.twins: show_twins(seen),
            page.seen.cost: show_cost(seen),
        }

    def tour(self, look: Look) -> str:
        return show_tour(look.seen) if look.seen else ""

    def choose(self, look: Look, event: gr.EventData) -> dict[Any, Any]:
        if look.seen is not None:
            look.token = read_index(event, look.seen.tokens)
        return {**self.draw(look), self.page.notice: wording.show_notice()}

    def choose_head(self, look: Look, event: gr.EventData) -> dict[Any, Any]:
        """0 is all of them, averaged."""
        if look.seen is not None:
            number = read_index(event, range(1 + look.seen.attention.shape[1]))
            look.head = number - 1 if number else None
        return {**self.draw(look), self.page.notice: wording.show_notice()}

    def draw(self, look: Look) -> dict[Any, Any]:
        """The chosen token: its attention in every layer, which the page draws; where that went; its rivals."""
        page, seen = self.page, look.seen
        if seen is None or not 0 <= look.token < len(seen.tokens):
            return {page.seen.reply: gr.skip()}
        return {
            page.seen.reply: json.dumps(pack_attention(seen, look.token, look.head)),
            page.seen.shares: show_shares(seen, look.token, None, 0),
            page.seen.others: show_word(seen, look.token, can_fork=look.request is not None),
        }

    def show_place(self, look: Look, event: gr.EventData) -> str:
        if look.seen is None:
            return ""
        token = read_index(event, look.seen.prompt)
        return show_place(look.seen, token) if look.seen.image_mask[token] else ""
