"""The Tiles tab: how pictures are cut up before the model sees them, what that costs, and a view inside."""

from __future__ import annotations

from typing import Any, ClassVar

import gradio as gr

from dsvl2_app.backend import Backend
from dsvl2_app.image.cut import cut_tiles
from dsvl2_app.image.geometry import RELEASED_GEOMETRY
from dsvl2_app.image.load import Limits
from dsvl2_app.image.overlay import draw_grid, tile_images
from dsvl2_app.image.tiles import are_tiled, lay_out_all
from dsvl2_app.ui.examples import read_examples
from dsvl2_app.ui.gradio_quirks import gallery_changes
from dsvl2_app.ui.tabs.tiles.budget import show_budget
from dsvl2_app.ui.tabs.tiles.inside import Inside, Look
from dsvl2_app.ui.tabs.tiles.layout_figures import (
    ALL_GRIDS,
    HEADERS,
    explain_choice,
    name_table,
    show_summary,
    tabulate,
)
from dsvl2_app.ui.tabs.tiles.token_map import name_tile, show_tokens
from dsvl2_app.ui.uploads import gallery_paths, measure, save_preview
from dsvl2_app.ui.words import wording
from dsvl2_app.ui.words.translations import label, say

LONGEST_SIDE = 4000  # px, that a picture can be stretched to
HOW_TO = (
    "Add a picture to see which grid is chosen for it, the tiles as the model gets them, and the tokens that they "
    "become."
)


def show_how_to() -> str:
    return f'<p class="empty">{say(HOW_TO)}</p>'


class Tiles:
    title: ClassVar[str] = "Tiles"
    id: ClassVar[str] = "tiles"

    def __init__(self, backend: Backend, limits: Limits) -> None:
        self.card = backend.card
        self.limits = limits
        self.inside = Inside(backend, limits)

    def build(self, demo: gr.Blocks) -> None:
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=300):
                self.gallery = gr.Gallery(
                    label=label("Pictures"),
                    type="filepath",
                    interactive=True,
                    columns=3,
                    fit_columns=False,
                    height=240,
                    object_fit="contain",
                    sources=["upload", "clipboard"],
                    elem_id="tiles-pictures",
                )
                self.which = gr.Radio(label=label("Picture to look at"), visible=False, elem_id="tiles-which")
                self.count = gr.Slider(
                    1,
                    8,
                    value=1,
                    step=1,
                    label=label("Pictures in the conversation"),
                    info=label("With more than two, each of them is a single tile"),
                    elem_id="tiles-count",
                )
                with gr.Accordion(label("What if"), open=False, elem_id="tiles-what-if"):
                    most = self.card.geometry.most_tiles
                    limit = gr.Slider(1, most, value=most, step=1, label=label("Tiles at most"), elem_id="tiles-limit")
                    side: dict[str, Any] = {"minimum": 0, "maximum": LONGEST_SIDE, "value": 0, "step": 10}
                    width = gr.Slider(
                        **side, label=label("Picture's width"), info=label("px; 0 is its own"), elem_id="tiles-width"
                    )
                    height = gr.Slider(
                        **side, label=label("Picture's height"), info=label("px; 0 is its own"), elem_id="tiles-height"
                    )
                    released = gr.Checkbox(
                        label=label("Released models' tiles of 384 px"),
                        visible=self.card.geometry != RELEASED_GEOMETRY,
                        elem_id="tiles-released",
                    )
                self.what_if = [limit, width, height, released]
                examples = [[list(example.pictures)] for example in read_examples("tiles")]
                shown = gr.Examples(examples, [self.gallery], label=label("Examples")) if examples else None
            with gr.Column(scale=3, min_width=300):
                self.notice = gr.HTML(elem_id="tiles-notice")
                self.how = gr.HTML(show_how_to(), elem_id="tiles-how")
                self.summary = gr.HTML(elem_id="tiles-summary")
                self.grid = gr.Image(
                    label=label("Chosen grid"),
                    show_label=False,  # it would cover the first tile's number
                    interactive=False,
                    visible=False,
                    buttons=["download", "fullscreen"],
                    elem_id="tiles-grid",
                )
                self.budget = gr.HTML(elem_id="tiles-budget")
        self.tokens = gr.HTML(elem_id="tiles-tokens")
        self.tiles = gr.Gallery(
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
        self.candidates = gr.Dataframe(
            headers=HEADERS,
            datatype=["number", "str", "str", "str", "str", "str"],
            type="array",
            label=label(ALL_GRIDS),
            interactive=False,
            visible=False,
            max_height=420,
            elem_id="tiles-candidates",
        )
        self.inside.build(self.gallery, self.count, limit)

        page = [self.which, self.count, self.notice, self.how, self.summary, self.grid, self.budget, self.tokens]
        page += [self.tiles, self.candidates]
        options: dict[str, Any] = {
            "preprocess": False,
            "api_visibility": "private",
            "concurrency_limit": 4,
            "concurrency_id": "tiles",
            "show_progress": "hidden",
        }
        quiet: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
        gr.on(None, show_how_to, None, self.how, **quiet)  # in the visitor's language
        for change in gallery_changes(self.gallery, shown):
            change(
                self.receive,
                [self.gallery, self.inside.look, *self.what_if],
                [*page, *self.inside.stale],
                **options,
            )
        gr.on(
            [control.input for control in (self.which, self.count, *self.what_if)],
            self.inspect,
            [self.gallery, self.which, self.count, *self.what_if],
            page,
            trigger_mode="always_last",
            **options,
        )

    def receive(self, gallery: Any, look: Look, *what_if: Any) -> dict[Any, Any]:
        """Pictures were added or removed: look at the last one."""
        number = len(gallery or [])
        choices = [(f"{place}", place) for place in range(1, number + 1)]
        return {
            self.which: gr.Radio(choices, value=number or None, visible=number > 1),
            self.count: max(1, number),
            **self.inspect(gallery, number, max(1, number), *what_if),
            **self.inside.forget(look),
        }

    def inspect(
        self, gallery: Any, which: int | None, count: int, limit: int, width: int, height: int, released: bool
    ) -> dict[Any, Any]:
        shown = [self.grid, self.tiles, self.candidates]
        empty = {
            self.summary: "",
            self.budget: "",
            self.tokens: "",
            **{part: gr.update(visible=False) for part in shown},
        }
        try:
            paths = gallery_paths(gallery)
            if not paths:
                return {self.notice: wording.show_notice(), self.how: gr.HTML(visible=True), **empty}
            place = (which or 1) - 1
            images = [measure(path, self.limits) for path in paths]
            image = images[place].open()
            if width or height:
                image = image.resize((int(width) or image.width, int(height) or image.height))
            sizes = [image.size if number == place else each.size for number, each in enumerate(images)]
            geometry = RELEASED_GEOMETRY if released else self.card.geometry
            tiling, most = are_tiled(count), int(limit)
            layouts = lay_out_all(sizes, geometry, tiling, most)
            layout = layouts[place]
            tiles = tile_images(cut_tiles(image, layout))
            return {
                self.notice: wording.show_notice(),
                self.how: gr.HTML(visible=False),
                self.summary: show_summary(layouts, place, self.card) + explain_choice(layout, tiling=tiling),
                self.grid: gr.Image(draw_grid(image, layout), visible=True),
                self.budget: show_budget(lay_out_all(sizes, RELEASED_GEOMETRY, tiling, most)),
                self.tokens: show_tokens(layout, save_preview(image)),
                self.tiles: gr.Gallery(
                    [(tile, name_tile(number)) for number, tile in enumerate(tiles)],
                    visible=True,
                ),
                self.candidates: gr.Dataframe(
                    {"headers": [*map(say, HEADERS)], "data": tabulate(layout)},
                    label=name_table(layout, tiling=tiling, limited=layout.geometry != geometry),
                    visible=True,
                ),
            }
        except Exception as error:
            return {self.notice: wording.show_notice(error), self.how: gr.HTML(visible=False), **empty}
