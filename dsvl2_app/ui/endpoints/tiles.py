"""The /tiles endpoint: pictures -> their tile layouts as numbers. Runs no model."""

from __future__ import annotations

from typing import Any

import gradio as gr

from dsvl2_app.backend import Backend
from dsvl2_app.errors import ImageError, SettingsError
from dsvl2_app.image.description import describe_layout
from dsvl2_app.image.load import Limits
from dsvl2_app.image.page_ranges import FIRST
from dsvl2_app.image.tiles import are_tiled, lay_out_all
from dsvl2_app.ui.endpoints.arguments import whole_arguments
from dsvl2_app.ui.events import TILING
from dsvl2_app.ui.pages import list_pages
from dsvl2_app.ui.uploads import uploaded_path


class TilesEndpoint:
    """Lays pictures out, as the Tiles tab does."""

    def __init__(self, backend: Backend, limits: Limits) -> None:
        self.card = backend.card
        self.limits = limits

    def build(self) -> None:
        gr.Button().click(
            self.describe_tiles,
            [
                gr.File(label="images", file_count="multiple", type="filepath"),
                gr.Number(label="pictures_in_conversation", value=None, precision=0),
                gr.Textbox(value=FIRST, label="pages"),
            ],
            gr.JSON(label="layouts"),
            api_name="tiles",
            preprocess=False,
            **TILING,
        )

    @whole_arguments
    def describe_tiles(
        self, images: Any, pictures_in_conversation: int | None = None, pages: str = FIRST
    ) -> dict[str, Any]:
        """How pictures are cut into tiles and which tokens they become.

        Args:
            images: A list of handle_file(path or URL).
            pictures_in_conversation: As many as there are images, unless given; with more than two, each picture is
                a single tile.
            pages: Of a PDF, a TIFF or an animation, such as 1-3, 7; the first unless given.

        Returns:
            {"tokens": of all images, "context": of the model, "images": [{"size", "grid": [columns, rows], "canvas",
            "content": [left, top, right, bottom] of the picture on the canvas, "scale", "tokens", "parts": [{"kind",
            "first", "last", ...}], "candidates": [...]}]}, lengths in px, token numbers from 0 within an image.
        """
        files = images if isinstance(images, list) else [images]
        if not files:
            raise ImageError("There is no picture; send at least one.")
        found = list_pages([uploaded_path(file) for file in files], f"{pages}", self.limits)
        count = len(found) if pictures_in_conversation is None else pictures_in_conversation
        if not isinstance(count, int | float) or count < 1:
            raise SettingsError(
                "The {name} is {value!r}; choose a whole number from 1 up.",
                name="pictures_in_conversation",
                value=count,
            )
        layouts = lay_out_all([image.size for image in found], self.card.geometry, are_tiled(count))
        return {
            "tokens": sum(layout.num_tokens for layout in layouts),
            "context": self.card.context,
            "images": [describe_layout(layout) for layout in layouts],
        }
