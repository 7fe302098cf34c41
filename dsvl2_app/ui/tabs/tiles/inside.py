"""Inside view of the Tiles tab: a question about the pictures, its answer, and what the model did to write it.

Nothing is collected until the visitor asks for it; then one more pass runs over prompt and answer (engine/inspection).
"""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from dsvl2_app.backend import Backend, Stream
from dsvl2_app.bundled import ASSETS
from dsvl2_app.errors import PromptError
from dsvl2_app.image.heat import draw_heat, spread_tokens
from dsvl2_app.image.load import Limits
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.image.tiles import are_tiled
from dsvl2_app.request import Inspection, Request, Sampling
from dsvl2_app.text.grounding import ALLOWED
from dsvl2_app.text.prompt import place_images
from dsvl2_app.ui.gradio_quirks import last_update
from dsvl2_app.ui.locate import REFRESH
from dsvl2_app.ui.tabs.tiles.inside_figures import (
    show_answer,
    show_cost,
    show_experts,
    show_pieces,
    show_shares,
    show_twins,
)
from dsvl2_app.ui.uploads import gallery_paths, measure, name_owner, preview
from dsvl2_app.ui.words import wording
from dsvl2_app.ui.words.translations import label, say

MOST_TOKENS = 256
HOUR = 3600  # seconds, after which what was seen is forgotten
ALL_LAYERS = "All, averaged"
HOW_TO = (
    "Ask something about the pictures above. Afterwards, look inside: what each word of the answer attended to, "
    "which experts worked, which tiles were encoded once."
)


@dataclass
class Look:
    """One visitor's last question here, its answer, and what was seen inside."""

    request: Request | None = None
    images: list[ImageRef] = field(default_factory=list)
    answer: list[int] = field(default_factory=list)  # token ids
    seen: Inspection | None = None
    token: int = 0  # chosen one of the answer


class Inside:
    def __init__(self, backend: Backend, limits: Limits) -> None:
        self.backend = backend
        self.limits = limits

    def build(self, gallery: gr.Gallery, count: gr.Slider, limit: gr.Slider) -> None:
        """`count` is of pictures in the conversation, `limit` of tiles."""
        self.look = gr.State(Look(), time_to_live=HOUR)
        self.running = gr.State(None)
        with gr.Accordion(label("Inside view"), open=False, elem_id="inside"):
            how = gr.HTML(show_how_to())
            with gr.Row(elem_id="inside-asking"):
                question = gr.Textbox(
                    label=label("Question"),
                    placeholder=label("What is in the picture?"),
                    max_lines=6,
                    scale=5,
                    min_width=240,
                    elem_id="inside-question",
                )
                self.ask = gr.Button(label("Ask"), variant="primary", min_width=120, elem_id="inside-ask")
                self.halt = gr.Button(
                    label("Stop"), variant="stop", min_width=120, visible=False, elem_id="inside-stop"
                )
            self.notice = gr.HTML(elem_id="inside-notice")
            self.status = gr.HTML(elem_id="inside-status")
            self.pieces = gr.HTML(
                js_on_load=(ASSETS / "inside.js").read_text(encoding="utf-8"),
                apply_default_css=False,
                elem_id="inside-answer",
            )
            self.open = gr.Button(label("Look inside"), visible=False, elem_id="inside-open")
            with gr.Column(visible=False, elem_id="inside-seen") as self.result:
                with gr.Row():
                    self.layer = gr.Dropdown(label=label("Layer"), elem_id="inside-layer")
                    self.which = gr.Radio(label=label("Picture"), visible=False, elem_id="inside-which")
                self.shares = gr.HTML(elem_id="inside-shares")
                self.heat = gr.Image(
                    label=label("Attention of the chosen token"),
                    show_label=False,
                    interactive=False,
                    buttons=["download", "fullscreen"],
                    elem_id="inside-heat",
                )
                self.experts = gr.HTML(elem_id="inside-experts")
                self.twins = gr.HTML(elem_id="inside-twins")
                self.cost = gr.HTML(elem_id="inside-cost")

        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        gr.on(None, show_how_to, None, how, queue=False, **private)  # in the visitor's language
        model: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": None, **private}
        self.stale = [self.notice, self.status, self.pieces, self.open, self.result]
        page = [*self.stale, self.ask, self.halt, self.running]
        seen = [*self.stale, self.layer, self.which]
        drawn = [self.heat, self.shares, self.notice]
        asked = [gallery, question, count, limit, self.look]
        gr.on([self.ask.click, question.submit], self.answer, asked, page, preprocess=False, **model)
        self.halt.click(self.stop, self.running, None, queue=False, **private)
        chosen = [self.look, self.layer, self.which]
        tables = [self.experts, self.twins, self.cost]
        opened = self.open.click(self.inspect, self.look, [*seen, *tables], **model)
        opened.success(self.draw, chosen, drawn, **private)
        gr.on([self.layer.input, self.which.input], self.draw, chosen, drawn, trigger_mode="always_last", **private)
        self.pieces.choose(self.choose, chosen, drawn, trigger_mode="always_last", **private)

    # -- asking ---------------------------------------------------------------------------------------------

    async def answer(
        self, gallery: Any, question: str, count: int, limit: int, look: Look, visitor: gr.Request
    ) -> AsyncIterator[dict[Any, Any]]:
        try:
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
                owner=name_owner(visitor),
            )
            stream = self.backend.submit(request)
        except Exception as error:
            yield {self.notice: wording.show_notice(error)}
            return
        look.request, look.images, look.answer, look.seen, look.token = request, images, [], None, 0
        text = ""
        with stream:
            stays = {self.notice: wording.show_notice(), self.result: gr.Column(visible=False)}
            yield {**stays, self.pieces: "", self.open: gr.Button(visible=False), **self.show_buttons(stream)}
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
                    yield {self.status: status, self.pieces: show_answer(text)}
                tokens = event.timings.prompt_tokens + len(look.answer)
                last[self.open] = gr.Button(
                    say("Look inside: one more pass over {tokens:,} tokens", tokens=tokens),
                    visible=bool(look.answer) and self.backend.capabilities.inspection,
                )
            except Exception as error:
                last = {self.notice: wording.show_notice(error), self.status: ""}
        stays |= {self.pieces: show_answer(text), **last}
        yield last_update(stays if look.request is request else self.clear(), self.show_buttons(None))

    def show_buttons(self, stream: Stream | None) -> dict[Any, Any]:
        busy = stream is not None
        return {self.ask: gr.Button(visible=not busy), self.halt: gr.Button(visible=busy), self.running: stream}

    def forget(self, look: Look) -> dict[Any, Any]:
        """What was said and seen goes with the pictures that it is about."""
        look.request, look.seen = None, None
        return self.clear()

    def clear(self) -> dict[Any, Any]:
        return {
            **dict.fromkeys([self.notice, self.status, self.pieces], ""),
            self.open: gr.Button(visible=False),
            self.result: gr.Column(visible=False),
        }

    def stop(self, running: Stream | None) -> None:
        if running:
            running.cancel()

    # -- looking --------------------------------------------------------------------------------------------

    async def inspect(self, look: Look) -> AsyncIterator[dict[Any, Any]]:
        """One more pass, a step at a time between those of other people's answers."""
        request, answer = look.request, look.answer
        if request is None:
            return
        yield {self.open: gr.Button(visible=False)}
        try:
            with self.backend.inspect(request, answer) as stream:
                async for event in stream:
                    if look.request is not request or event.inspection:
                        break
                    yield {self.status: wording.show_status(wording.describe_progress(event), running=True)}
        except Exception as error:
            yield {self.notice: wording.show_notice(error), self.status: "", self.open: gr.Button(visible=True)}
            return
        if look.request is not request or event.inspection is None:
            yield self.clear()
            return
        look.seen = seen = event.inspection
        look.token = 0
        layers = [
            (say(ALL_LAYERS), -1),
            *((say("Layer {number}", number=number + 1), number) for number in range(len(seen.attention))),
        ]
        number = len(seen.layouts)
        yield {
            self.status: wording.show_status(say("Choose a part of the answer to see what the model looked at for it")),
            self.pieces: show_pieces(seen.tokens, chosen=look.token),
            self.result: gr.Column(visible=True),
            self.layer: gr.Dropdown(layers, value=-1),
            self.which: gr.Radio([(f"{place + 1}", place) for place in range(number)], value=0, visible=number > 1),
            self.experts: show_experts(seen),
            self.twins: show_twins(seen),
            self.cost: show_cost(seen),
        }

    def choose(self, look: Look, layer: int, which: int, event: gr.EventData) -> dict[Any, Any]:
        look.token = int(event.index)
        return self.draw(look, layer, which)

    def draw(self, look: Look, layer: int, which: int) -> dict[Any, Any]:
        """The heat of the chosen token, in a layer (or all, -1), over a picture."""
        seen = look.seen
        if seen is None or not 0 <= look.token < len(seen.tokens):
            return {self.notice: wording.show_notice()}
        try:
            image = preview(look.images[which])
        except Exception as error:
            return {self.notice: wording.show_notice(error)}
        layout, number = seen.layouts[which], None if layer < 0 else layer
        heat = spread_tokens(layout, seen.image_attention(which, number)[look.token])
        return {
            self.heat: draw_heat(image, heat**0.5),
            self.shares: show_shares(seen, look.token, number, which),
            self.notice: wording.show_notice(),
        }


def show_how_to() -> str:
    return wording.show_status(say(HOW_TO))
