"""The parts of the Tiles tab, in their places."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from dsvl2_app.image.geometry import RELEASED_GEOMETRY
from dsvl2_app.image.load import Limits
from dsvl2_app.request import ModelCard
from dsvl2_app.ui.examples import read_examples
from dsvl2_app.ui.gradio_quirks import gallery_changes
from dsvl2_app.ui.opening import Opener
from dsvl2_app.ui.removed import Return
from dsvl2_app.ui.tabs.tiles.layout_figures import ALL_GRIDS, HEADERS
from dsvl2_app.ui.words.translations import label, say

LONGEST_SIDE = 4000  # px, that a picture can be stretched to
HOW_TO = (
    "Add a picture to see which grid is chosen for it, the tiles as the model gets them, and the tokens that they "
    "become."
)


@dataclass(frozen=True)
class WhatIf:
    """Controls that lay a picture out as if it, or the model, were another."""

    limit: gr.Slider  # of tiles
    width: gr.Slider
    height: gr.Slider
    released: gr.Checkbox

    @property
    def all(self) -> list[gr.Slider | gr.Checkbox]:
        return [self.limit, self.width, self.height, self.released]


@dataclass(frozen=True)
class TilesPage:
    """Made by `build_page`: what is asked on the left, what comes of it on the right and below."""

    gallery: gr.Gallery
    back: Return
    opener: Opener
    changes: list[Callable[..., Any]]  # events after which the gallery may hold other pictures
    which: gr.Radio
    count: gr.Slider
    what_if: WhatIf
    notice: gr.HTML
    how: gr.HTML
    summary: gr.HTML
    grid: gr.Image
    budget: gr.HTML
    tokens: gr.HTML
    tiles: gr.Gallery
    candidates: gr.Dataframe

    @property
    def outputs(self) -> list[gr.Component]:
        """What a layout sets."""
        above = [self.which, self.count, self.notice, self.how, self.summary, self.grid, self.budget, self.tokens]
        return [*above, self.tiles, self.candidates]


def build_page(card: ModelCard, limits: Limits) -> TilesPage:
    """Made within the tab's Blocks."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=300):
            gallery, back, opener, which, count = build_pictures(limits)
            what_if = build_what_if(card)
            offered = [[list(example.pictures)] for example in read_examples("tiles")]
            examples = gr.Examples(offered, [gallery], label=label("Examples")) if offered else None
        with gr.Column(scale=3, min_width=300):
            notice = gr.HTML(elem_id="tiles-notice")
            how = gr.HTML(show_how_to(), elem_id="tiles-how")
            summary = gr.HTML(elem_id="tiles-summary")
            grid = gr.Image(
                label=label("Chosen grid"),
                show_label=False,  # it would cover the first tile's number
                interactive=False,
                visible=False,
                buttons=["download", "fullscreen"],
                elem_id="tiles-grid",
            )
            budget = gr.HTML(elem_id="tiles-budget")
    changes = gallery_changes(gallery, examples)
    asked = gallery, back, opener, changes, which, count, what_if
    return TilesPage(*asked, notice, how, summary, grid, budget, *build_cut())


def build_pictures(limits: Limits) -> tuple[gr.Gallery, Return, Opener, gr.Radio, gr.Slider]:
    gallery = gr.Gallery(
        label=label("Pictures"),
        type="filepath",
        interactive=True,
        columns=3,
        fit_columns=False,
        height=240,
        object_fit="contain",
        sources=["upload", "clipboard", "webcam"],
        file_types=["image", ".heic", ".heif", ".avif", ".webp"],
        elem_id="tiles-pictures",
    )
    back = Return("tiles")
    opener = Opener("tiles", limits, single=False)
    which = gr.Radio(label=label("Picture to look at"), visible=False, elem_id="tiles-which")
    count = gr.Slider(
        1,
        8,
        value=1,
        step=1,
        label=label("Pictures in the conversation"),
        info=label("With more than two, each of them is a single tile"),
        elem_id="tiles-count",
    )
    return gallery, back, opener, which, count


def build_what_if(card: ModelCard) -> WhatIf:
    most, its_own = card.geometry.most_tiles, label("px; 0 is its own")
    side: dict[str, Any] = {"minimum": 0, "maximum": LONGEST_SIDE, "value": 0, "step": 10, "info": its_own}
    with gr.Accordion(label("What if"), open=False, elem_id="tiles-what-if"):
        return WhatIf(
            limit=gr.Slider(1, most, value=most, step=1, label=label("Tiles at most"), elem_id="tiles-limit"),
            width=gr.Slider(**side, label=label("Picture's width"), elem_id="tiles-width"),
            height=gr.Slider(**side, label=label("Picture's height"), elem_id="tiles-height"),
            released=gr.Checkbox(
                label=label("Released models' tiles of 384 px"),
                visible=card.geometry != RELEASED_GEOMETRY,
                elem_id="tiles-released",
            ),
        )


def build_cut() -> tuple[gr.HTML, gr.Gallery, gr.Dataframe]:
    """The tokens, the tiles, and the table of grids."""
    tokens = gr.HTML(elem_id="tiles-tokens")
    tiles = gr.Gallery(
        label=label("What the model gets"),
        show_label=False,
        format="png",  # exactly these pixels
        interactive=False,
        visible=False,
        columns=6,
        height="auto",
        object_fit="contain",
        elem_id="tiles-cut",
    )
    candidates = gr.Dataframe(
        headers=HEADERS,
        datatype=["number", "str", "str", "str", "str", "str"],
        type="array",
        label=label(ALL_GRIDS),
        interactive=False,
        visible=False,
        max_height=420,
        elem_id="tiles-candidates",
    )
    return tokens, tiles, candidates


def show_how_to() -> str:
    return f'<p class="empty">{say(HOW_TO)}</p>'
