"""From an answer of the Chat tab to other tabs, with its picture: its boxes, a search, the tiles, the view inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from dsvl2_app.errors import ImageError
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.ui.events import PRIVATE, settle
from dsvl2_app.ui.opening import save_page
from dsvl2_app.ui.tabs.chat.conversation import Conversation
from dsvl2_app.ui.tabs.chat.tab import Chat
from dsvl2_app.ui.tabs.grounding.findings import Finding
from dsvl2_app.ui.tabs.grounding.tab import Grounding
from dsvl2_app.ui.tabs.protocol import Tab
from dsvl2_app.ui.tabs.tiles.tab import Tiles


@dataclass(frozen=True)
class Onward:
    """The handlers of the buttons below a conversation. Each opens another tab, of `tabs`."""

    tabs: gr.Tabs
    chat: Chat
    grounding: Grounding
    tiles: Tiles

    def wire(self) -> None:
        page, inside = self.chat.page, self.tiles.inside.page
        picture, gallery, conversation = self.grounding.question.picture, self.tiles.page.gallery, page.conversation
        asked, shown = [conversation, self.grounding.finding], [self.tabs, *self.grounding.results.restored]
        page.onward.boxes.click(self.show_boxes, asked, shown, **PRIVATE)
        page.onward.find.click(self.find, conversation, [self.tabs, picture], **PRIVATE)
        page.onward.tiles.click(self.show_tiles, conversation, [self.tabs, gallery], **PRIVATE)
        looked = [self.tabs, gallery, inside.panel, inside.question]
        look = page.onward.inside.click(self.look_inside, conversation, looked, **PRIVATE)
        look.success(None, None, None, js=settle("#inside"), **PRIVATE)

    def show_boxes(self, conversation: Conversation, finding: Finding) -> dict[Any, Any]:
        """The last boxes in the Grounding tab, where they can be enlarged, pointed at, corrected and exported. Of
        several pictures the last is shown, and all are in its set of files."""
        if conversation.drawn is None:
            raise ImageError("There are no boxes in this conversation; ask for some first.")
        turn = conversation.turns[conversation.drawn]
        found = turn.found.boxes if turn.found else ()
        for place in dict.fromkeys(turn.places):
            image = conversation.pictures[place].image
            boxes = tuple(box for box, on in zip(found, turn.places, strict=True) if on == place)
            shown = self.grounding.results.show_found(finding, image, as_file(image), boxes, turn.answer)
        return {self.tabs: gr.Tabs(selected=Grounding.id), **shown}

    def find(self, conversation: Conversation) -> tuple[gr.Tabs, str]:
        """Another search in the picture that the last answer is about."""
        if conversation.meant is None:
            raise refuse_without_picture()
        return gr.Tabs(selected=Grounding.id), as_file(conversation.meant)

    def show_tiles(self, conversation: Conversation) -> tuple[gr.Tabs, list[str]]:
        return gr.Tabs(selected=Tiles.id), [*map(as_file, last_pictures(conversation))]

    def look_inside(self, conversation: Conversation) -> tuple[gr.Tabs, list[str], gr.Accordion, str]:
        """The last question, ready to be asked once more where the model can be looked into."""
        files = [*map(as_file, last_pictures(conversation))]
        return gr.Tabs(selected=Tiles.id), files, gr.Accordion(open=True), conversation.turns[-1].question


def connect(tabs: gr.Tabs, built: Sequence[Tab]) -> None:
    """Called within the page's Blocks, once all tabs are made."""
    chat, grounding, tiles = (next(tab for tab in built if isinstance(tab, kind)) for kind in (Chat, Grounding, Tiles))
    assert isinstance(chat, Chat) and isinstance(grounding, Grounding) and isinstance(tiles, Tiles)
    Onward(tabs, chat, grounding, tiles).wire()


def last_pictures(conversation: Conversation) -> list[ImageRef]:
    """Those of the last question that has any. Raises an ImageError without one."""
    for turn in reversed(conversation.turns):
        if images := [picture.image for picture in turn.pictures if not picture.dropped]:
            return images
    raise refuse_without_picture()


def refuse_without_picture() -> ImageError:
    return ImageError("There is no picture in this conversation; ask about one first.")


def as_file(image: ImageRef) -> str:
    """As another tab takes it: the upload itself, or a picture of the page that is meant."""
    return save_page(image) if image.frame or image.points else str(image.path)
