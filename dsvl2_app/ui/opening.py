"""Pages of a document where a tab takes pictures: a button to open it, and the choice of its pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from dsvl2_app.errors import ImageError
from dsvl2_app.image.load import Limits
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.ui.pages import build_pages, list_pages, offer_pages, read_chosen
from dsvl2_app.ui.uploads import encode_drawing, save_upload, uploaded_path
from dsvl2_app.ui.words.translations import text_label

KINDS = [".pdf", ".tif", ".tiff", ".gif", ".webp", ".mp4", ".webm", ".mov"]  # files of several pages or frames


class Opener:
    """Made within a tab's Blocks, where it is to stand. With `single` one page is chosen at a time."""

    def __init__(self, tab: str, limits: Limits, *, single: bool) -> None:
        self.limits, self.single = limits, single
        self.button = gr.UploadButton(
            text_label("Open a PDF, TIFF, GIF or clip"), size="sm", file_types=KINDS, elem_id=f"{tab}-document"
        )
        self.pages = build_pages(f"{tab}-pages", single=single)

    def open(self, file: Any) -> tuple[Any, list[tuple[str, ImageRef]]]:
        """The choice of pages and, as files to show, those that are chosen: the first. Raises an ImageError."""
        path = uploaded_path(file)
        offered = offer_pages([path], None, self.limits, single=self.single)
        return offered, self.turn(offered or {"documents": [{"key": path, "chosen": "1"}]})

    def offer(self, file: Any) -> Any:
        """The choice of frames where a picture that was added has several, of which the first is shown; else None."""
        return offer_pages([uploaded_path(file)], None, self.limits, first="1", single=self.single)

    def offer_of(self, image: ImageRef) -> Any:
        """The choice of pages of its document, in which this one is chosen."""
        path = str(image.path)
        return offer_pages([path], None, self.limits, {path: [image.frame]}, single=self.single)

    def turn(self, pages: Any) -> list[tuple[str, ImageRef]]:
        """The chosen pages, each as a file of its size that every browser shows."""
        files = [uploaded_path(as_upload(key)) for key in read_chosen(pages)]
        if not files:
            raise ImageError("There is no document; add a PDF or pictures first.")
        return [(save_page(image), image) for image in list_pages(files, pages, self.limits)]


def as_upload(path: str) -> dict[str, Any]:
    """A path that the browser gave back, to be checked as an upload's is."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def save_page(image: ImageRef) -> str:
    """A file in Gradio's cache, named after the document and the page."""
    data, suffix = encode_drawing(image.open())
    return save_upload(data, f"{Path(image.path).stem[:100]}-{image.kind}-{image.frame + 1}.{suffix}")
