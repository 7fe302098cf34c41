"""The Tiles tab and the /tiles endpoint: how pictures are cut up before the model sees them. Runs no model."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import gradio as gr

from dsvl2_app.engine.request import ModelCard
from dsvl2_app.errors import ImageError, SettingsError
from dsvl2_app.image.load import Limits, load_image
from dsvl2_app.image.overlay import draw_grid, tile_images
from dsvl2_app.image.tiles import TileGeometry, TileLayout, cut_tiles, lay_out
from dsvl2_app.ui import wording
from dsvl2_app.ui.budget import show_budget
from dsvl2_app.ui.examples import read_examples
from dsvl2_app.ui.token_map import show_tokens, token_parts
from dsvl2_app.ui.uploads import gallery_paths, save_preview, uploaded_path

LONGEST_SIDE = 4000  # px, that a picture can be stretched to
MOST_TILED = 2  # with more pictures in the conversation every one is a single tile
HEADERS = ["Rank", "Grid", "Canvas px", "Scale", "Effective px", "Wasted px"]
HOW_TO = (
    '<p class="empty">Add a picture to see which grid is chosen for it, the tiles as the model gets them, '
    "and the tokens that they become.</p>"
)


class Tiles:
    def __init__(self, card: ModelCard, limits: Limits) -> None:
        self.card = card
        self.limits = limits

    def build(self) -> None:
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=300):
                self.gallery = gr.Gallery(
                    label="Pictures",
                    type="filepath",
                    interactive=True,
                    columns=3,
                    fit_columns=False,
                    height=240,
                    object_fit="contain",
                    sources=["upload", "clipboard"],
                    elem_id="tiles-pictures",
                )
                self.which = gr.Radio(label="Picture to look at", visible=False, elem_id="tiles-which")
                self.count = gr.Slider(
                    1,
                    8,
                    value=1,
                    step=1,
                    label="Pictures in the conversation",
                    info="With more than two, each of them is a single tile",
                    elem_id="tiles-count",
                )
                with gr.Accordion("What if", open=False, elem_id="tiles-what-if"):
                    most = max(width * height for width, height in self.card.geometry.candidates)
                    most //= self.card.geometry.tile**2
                    limit = gr.Slider(1, most, value=most, step=1, label="Tiles at most", elem_id="tiles-limit")
                    side = {"minimum": 0, "maximum": LONGEST_SIDE, "value": 0, "step": 10}
                    width = gr.Slider(**side, label="Picture's width", info="px; 0 is its own", elem_id="tiles-width")
                    height = gr.Slider(
                        **side, label="Picture's height", info="px; 0 is its own", elem_id="tiles-height"
                    )
                    released = gr.Checkbox(
                        label="Released models' tiles of 384 px",
                        visible=self.card.geometry != TileGeometry(),
                        elem_id="tiles-released",
                    )
                self.what_if = [limit, width, height, released]
                examples = [[list(example.pictures)] for example in read_examples("tiles")]
                if examples:
                    gr.Examples(examples, [self.gallery])
            with gr.Column(scale=3, min_width=300):
                self.notice = gr.HTML(elem_id="tiles-notice")
                self.summary = gr.HTML(HOW_TO, elem_id="tiles-summary")
                self.grid = gr.Image(
                    label="Chosen grid",
                    show_label=False,  # it would cover the first tile's number
                    interactive=False,
                    visible=False,
                    buttons=["download", "fullscreen"],
                    elem_id="tiles-grid",
                )
                self.budget = gr.HTML(elem_id="tiles-budget")
        self.tokens = gr.HTML(elem_id="tiles-tokens")
        self.tiles = gr.Gallery(
            label="What the model gets",
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
            label="All grids that the model knows, best first",
            interactive=False,
            visible=False,
            max_height=420,
            elem_id="tiles-candidates",
        )

        page = [self.which, self.count, self.notice, self.summary, self.grid, self.budget, self.tokens]
        page += [self.tiles, self.candidates]
        options: dict[str, Any] = {
            "preprocess": False,
            "api_visibility": "private",
            "concurrency_limit": 4,
            "concurrency_id": "tiles",
            "show_progress": "hidden",
        }
        self.gallery.change(self.receive, [self.gallery, *self.what_if], page, **options)
        gr.on(
            [control.input for control in (self.which, self.count, *self.what_if)],
            self.inspect,
            [self.gallery, self.which, self.count, *self.what_if],
            page,
            trigger_mode="always_last",
            **options,
        )

    def receive(self, gallery: Any, *what_if: Any) -> dict[Any, Any]:
        """Pictures were added or removed: look at the last one."""
        number = len(gallery or [])
        choices = [(f"{place}", place) for place in range(1, number + 1)]
        return {
            self.which: gr.Radio(choices, value=number or None, visible=number > 1),
            self.count: max(1, number),
            **self.inspect(gallery, number, max(1, number), *what_if),
        }

    def inspect(
        self, gallery: Any, which: int | None, count: int, limit: int, width: int, height: int, released: bool
    ) -> dict[Any, Any]:
        shown = [self.grid, self.tiles, self.candidates]
        empty = {
            self.summary: HOW_TO,
            self.budget: "",
            self.tokens: "",
            **{part: gr.update(visible=False) for part in shown},
        }
        try:
            paths = gallery_paths(gallery)
            if not paths:
                return {self.notice: wording.show_notice(), **empty}
            image = load_image(paths[(which or 1) - 1], limits=self.limits)
            if width or height:
                image = image.resize((int(width) or image.width, int(height) or image.height))
            geometry = TileGeometry() if released else self.card.geometry
            layout = lay_out(*image.size, geometry, tiling=count <= MOST_TILED, max_tiles=int(limit))
            tiles = tile_images(cut_tiles(image, layout))
            return {
                self.notice: wording.show_notice(),
                self.summary: show_summary(layout, self.card, tiling=count <= MOST_TILED),
                self.grid: gr.Image(draw_grid(image, layout), visible=True),
                self.budget: show_budget(layout),
                self.tokens: show_tokens(layout, save_preview(image)),
                self.tiles: gr.Gallery(
                    [(tile, f"Tile {number}" if number else "Global view") for number, tile in enumerate(tiles)],
                    visible=True,
                ),
                self.candidates: gr.Dataframe(tabulate(layout), visible=True),
            }
        except Exception as error:
            return {self.notice: wording.show_notice(error), **empty, self.summary: ""}

    def lay_out(self, size: tuple[int, int], count: int) -> TileLayout:
        return lay_out(*size, self.card.geometry, tiling=count <= MOST_TILED)

    def build_endpoint(self) -> None:
        gr.Button().click(
            self.describe,
            [
                gr.File(label="images", file_count="multiple", type="filepath"),
                gr.Number(label="pictures_in_conversation", value=None, precision=0),
            ],
            gr.JSON(label="layouts"),
            api_name="tiles",
            preprocess=False,
            concurrency_id="tiles",
            concurrency_limit=4,
        )

    def describe(self, images: Any, pictures_in_conversation: int | None = None) -> dict[str, Any]:
        """How pictures are cut into tiles and which tokens they become.

        Args:
            images: A list of handle_file(path or URL).
            pictures_in_conversation: As many as there are images, unless given; with more than two, each picture is
                a single tile.

        Returns:
            {"tokens": of all images, "context": of the model, "images": [{"size", "grid": [columns, rows], "canvas",
            "content": [left, top, right, bottom] of the picture on the canvas, "scale", "tokens", "parts": [{"kind",
            "first", "last", ...}], "candidates": [...]}]}, lengths in px, token numbers from 0 within an image.
        """
        with wording.errors_for_clients():
            files = images if isinstance(images, list) else [images]
            if not files:
                raise ImageError("There is no picture; send at least one.")
            count = len(files) if pictures_in_conversation is None else pictures_in_conversation
            if not isinstance(count, int | float) or count < 1:
                raise SettingsError(f"pictures_in_conversation is {count!r}; choose a whole number from 1 up.")
            layouts = [
                self.lay_out(load_image(uploaded_path(file), limits=self.limits).size, int(count)) for file in files
            ]
            return {
                "tokens": sum(layout.num_tokens for layout in layouts),
                "context": self.card.context,
                "images": [describe_layout(layout) for layout in layouts],
            }


def describe_layout(layout: TileLayout) -> dict[str, Any]:
    return {
        "size": layout.image_size,
        "grid": layout.grid,
        "canvas": layout.canvas,
        "content": layout.content,
        "scale": layout.scale,
        "tiles": layout.num_tiles,
        "tokens": layout.num_tokens,
        "parts": token_parts(layout),
        "candidates": [asdict(candidate) for candidate in sorted(layout.candidates, key=lambda each: each.rank)],
    }


def tabulate(layout: TileLayout) -> list[list[Any]]:
    return [
        [
            candidate.rank,
            f"{candidate.grid[0]} × {candidate.grid[1]}" + (" (chosen)" if candidate.chosen else ""),
            f"{candidate.resolution[0]:,} × {candidate.resolution[1]:,}",
            f"{candidate.scale:.3f}",
            f"{candidate.effective:,}",
            f"{candidate.wasted:,}",
        ]
        for candidate in sorted(layout.candidates, key=lambda each: each.rank)
    ]


def show_summary(layout: TileLayout, card: ModelCard, tiling: bool) -> str:
    columns, rows = layout.grid
    (width, height), (canvas_width, canvas_height) = layout.image_size, layout.canvas
    left, top, right, bottom = layout.content
    padding = 1 - (right - left) * (bottom - top) / (canvas_width * canvas_height)
    figures = [
        (f"{columns} × {rows}", "grid of tiles, columns by rows" if tiling else "one tile, with so many pictures"),
        (f"{layout.num_tokens:,}", f"tokens, {layout.num_tokens / card.context:.0%} of {card.name}'s context"),
        (f"{layout.scale:.3g}×", f"from {width:,} × {height:,} px to {right - left:,} × {bottom - top:,} px"),
        (f"{padding:.0%}", f"of the {canvas_width:,} × {canvas_height:,} px canvas is padding"),
    ]
    return (
        '<dl class="figures">'
        + "".join(f"<div><dt>{what}</dt><dd>{figure}</dd></div>" for figure, what in figures)
        + "</dl>"
    )
