"""Files of what was seen inside: saved, opened again, and kept to be compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from dsvl2_app.errors import PromptError
from dsvl2_app.image.load import Limits
from dsvl2_app.inspection import Inspection, file
from dsvl2_app.ui.storage import hold
from dsvl2_app.ui.tabs.tiles.inside_look import Kept, Look
from dsvl2_app.ui.tabs.tiles.inside_parts import InsidePage
from dsvl2_app.ui.uploads import measure, preview, save_upload, uploaded_path
from dsvl2_app.ui.words import wording
from dsvl2_app.ui.words.translations import say

HOW_TO_COMPARE = (
    "Kept. Now ask something else, choose another number of tiles, or open a file of another model: both will stand "
    "side by side."
)


class Files:
    """The handlers."""

    def __init__(
        self, page: InsidePage, limits: Limits, kept: Kept, show: Callable[[Look, Inspection], dict[Any, Any]]
    ) -> None:
        """`show` makes what the page shows of an inspection."""
        self.page, self.limits, self.kept, self.show = page, limits, kept, show

    def keep(self, look: Look) -> str:
        """What is seen now stands beside what is seen next."""
        look.kept = look.seen
        return wording.show_status(say(HOW_TO_COMPARE))

    def open(self, upload: Any, look: Look) -> dict[Any, Any]:
        """A file of an inspection, from here or elsewhere, shown as if it had been made now."""
        page = self.page
        try:
            seen, pictures = file.read(uploaded_path(upload))
            images = [measure(save_upload(data, "picture.webp"), self.limits) for data in pictures]
            hold(look)
            look.request, look.images, look.answer, look.token, look.head = None, images, [], 0, None
            self.kept.keep(look, seen)
            return {page.notice: wording.show_notice(), page.open: gr.Button(visible=False), **self.show(look, seen)}
        except Exception as error:
            return {page.notice: wording.show_notice(error)}

    def save(self, kind: str, look: Look) -> str:
        """A file of all that was seen, and of the pictures as they are shown."""
        if look.seen is None:
            raise PromptError("There is nothing here to save; look into an answer first.")
        pictures = [file.encode(preview(image)) for image in look.images]
        return save_upload(file.pack(look.seen, pictures, as_json=kind == "json"), f"inside.{kind}")
