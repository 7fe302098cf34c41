"""The Tiles tab: how pictures are cut up before the model sees them, what that costs, and a view inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import gradio as gr
from PIL import Image

from dsvl2_app.backend import Backend
from dsvl2_app.image.cut import cut_tiles
from dsvl2_app.image.geometry import RELEASED_GEOMETRY, TileGeometry
from dsvl2_app.image.load import Limits
from dsvl2_app.image.overlay import draw_grid, tile_images
from dsvl2_app.image.tiles import are_tiled, lay_out_all
from dsvl2_app.ui.events import LATEST, OPENING, PRIVATE, QUIET, TILING, Newest, focus
from dsvl2_app.ui.removed import RemovedPictures
from dsvl2_app.ui.tabs.tiles.budget import show_budget
from dsvl2_app.ui.tabs.tiles.inside import Inside, Look
from dsvl2_app.ui.tabs.tiles.layout_figures import HEADERS, explain_choice, name_table, show_summary, tabulate
from dsvl2_app.ui.tabs.tiles.parts import TilesPage, build_page, show_how_to
from dsvl2_app.ui.tabs.tiles.token_map import name_tile, show_tokens
from dsvl2_app.ui.uploads import gallery_paths, measure, save_preview
from dsvl2_app.ui.words import wording
from dsvl2_app.ui.words.translations import say


class Tiles:
    """Lays pictures out as the model would. The model runs for the view inside alone."""

    title: ClassVar[str] = "Tiles"
    id: ClassVar[str] = "tiles"

    def __init__(self, backend: Backend, limits: Limits) -> None:
        self.card = backend.card
        self.limits = limits
        self.inside = Inside(backend, limits)

    def build(self, demo: gr.Blocks) -> None:
        self.page = build_page(self.card, self.limits)
        self.inside.build(self.page.gallery, self.page.count, self.page.what_if.limit)
        self.wire(self.page)

    def wire(self, page: TilesPage) -> None:
        options = {"preprocess": False, **TILING, **PRIVATE}
        gr.on(None, show_how_to, None, page.how, **QUIET)  # in the visitor's language
        opener, shown = page.opener, [page.gallery, page.notice]
        page.gallery.upload(self.offer_frames, page.gallery, opener.pages, **OPENING)
        opened = opener.button.upload(self.open, opener.button, [opener.pages, *shown], **OPENING)
        back, removed = page.back.button, page.back.removed
        turned = opener.pages.pick(self.turn, [opener.pages, removed], shown, **LATEST, **OPENING)
        returned = back.click(self.bring_back, removed, [page.gallery, back], **PRIVATE)
        returned.success(None, None, None, js=focus("#tiles-document"), **PRIVATE)
        newest = gr.State(Newest())
        # A gallery that is set does not always tell.
        for change in [*page.changes, opened.success, turned.success, returned.success]:
            change(page.back.follow, [page.gallery, removed], back, preprocess=False, **QUIET)
            received = [page.gallery, newest, self.inside.look, *page.what_if.all]
            change(self.receive, received, [*page.outputs, *self.inside.stale], **options)
        gr.on(
            [control.input for control in (page.which, page.count, *page.what_if.all)],
            self.show_number,
            [page.gallery, page.which, page.count, *page.what_if.all],
            page.outputs,
            **LATEST,
            **options,
        )

    def open(self, file: Any) -> tuple[Any, Any, str]:
        """Pages of a document take the place of the pictures."""
        try:
            pages, shown = self.page.opener.open(file)
        except Exception as error:
            return gr.skip(), gr.skip(), wording.show_notice(error)
        return pages, [path for path, _ in shown], wording.show_notice()

    def offer_frames(self, gallery: Any) -> Any:
        """An animation that is alone shows its first frame."""
        try:
            (item,) = gallery
            return self.page.opener.offer(item["image"])
        except Exception:
            return None

    def turn(self, pages: Any, removed: RemovedPictures) -> tuple[Any, str]:
        """Other pages are chosen."""
        try:
            files = [path for path, _ in self.page.opener.turn(pages)]
        except Exception as error:
            return gr.skip(), wording.show_notice(error)
        removed.replace(files)
        return files, wording.show_notice()

    def bring_back(self, removed: RemovedPictures) -> tuple[Any, Any]:
        """The pictures that were taken away last, among the others."""
        return [*removed.bring_back()], self.page.back.offer(removed)

    def receive(self, gallery: Any, newest: Newest, look: Look, *what_if: Any) -> dict[Any, Any]:
        """Pictures were added or removed: look at the last one."""
        run, number = newest.begin(), len(gallery or [])
        choices = [(f"{place}", place) for place in range(1, number + 1)]
        shown = {
            self.page.which: gr.Radio(choices, value=number or None, visible=number > 1),
            self.page.count: max(1, number),
            **self.show_number(gallery, number, max(1, number), *what_if),
            **self.inside.forget(look),
        }
        return shown if run == newest.run else {self.page.notice: gr.skip()}

    def show_number(
        self, gallery: Any, which: int | None, count: int, limit: int, width: int, height: int, released: bool
    ) -> dict[Any, Any]:
        page = self.page
        try:
            paths = gallery_paths(gallery)
            if not paths:
                return {page.notice: wording.show_notice(), page.how: gr.HTML(visible=True), **self.show_nothing()}
            place = (which or 1) - 1
            images = [measure(path, self.limits) for path in paths]
            image = images[place].open()
            if width or height:
                image = image.resize((int(width) or image.width, int(height) or image.height))
            sizes = [image.size if number == place else each.size for number, each in enumerate(images)]
            geometry = RELEASED_GEOMETRY if released else self.card.geometry
            shown = self.show(image, sizes, place, geometry, tiling=are_tiled(count), most=int(limit))
        except Exception as error:
            shown = {page.notice: wording.show_notice(error), **self.show_nothing()}
        return {page.how: gr.HTML(visible=False), **shown}

    def show(
        self,
        image: Image.Image,
        sizes: Sequence[tuple[int, int]],
        place: int,
        geometry: TileGeometry,
        *,
        tiling: bool,
        most: int,
    ) -> dict[Any, Any]:
        """The layout of `image`, which is the one at `place`, among pictures of these sizes in px."""
        page = self.page
        layouts = lay_out_all(sizes, geometry, tiling, most)
        layout = layouts[place]
        tiles = [(tile, name_tile(number)) for number, tile in enumerate(tile_images(cut_tiles(image, layout)))]
        return {
            page.notice: wording.show_notice(),
            page.summary: show_summary(layouts, place, self.card) + explain_choice(layout, tiling=tiling),
            page.grid: gr.Image(draw_grid(image, layout), visible=True),
            page.budget: show_budget(lay_out_all(sizes, RELEASED_GEOMETRY, tiling, most)),
            page.tokens: show_tokens(layout, save_preview(image)),
            page.tiles: gr.Gallery(tiles, visible=True),
            page.candidates: gr.Dataframe(
                {"headers": [*map(say, HEADERS)], "data": tabulate(layout)},
                label=name_table(layout, tiling=tiling, limited=layout.geometry != geometry),
                visible=True,
            ),
        }

    def show_nothing(self) -> dict[Any, Any]:
        page = self.page
        hidden = {part: gr.update(visible=False) for part in (page.grid, page.tiles, page.candidates)}
        return {page.summary: "", page.budget: "", page.tokens: "", **hidden}
