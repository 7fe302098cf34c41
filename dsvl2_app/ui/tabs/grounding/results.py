"""What a search came to, on the page: shown as it grows, found elsewhere, corrected by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from dsvl2_app.image.reference import ImageRef
from dsvl2_app.request import Event
from dsvl2_app.text.boxes import Box, Parsed
from dsvl2_app.text.grounding import Mode
from dsvl2_app.ui.events import QUIET
from dsvl2_app.ui.tabs.grounding.correcting import BY_HAND, read_correction, show_tools
from dsvl2_app.ui.tabs.grounding.findings import Finding, count_boxes, describe_event
from dsvl2_app.ui.tabs.grounding.linked import show_boxes
from dsvl2_app.ui.tabs.grounding.parts import Answer
from dsvl2_app.ui.uploads import save_preview
from dsvl2_app.ui.words import wording
from dsvl2_app.ui.words.translations import say

MORE = 1.125  # times as many boxes as are shown are shown next


@dataclass
class Shown:
    """What the page shows of a search."""

    preview: str  # the file that shows the picture
    size: tuple[int, int]  # of the original
    mode: Mode = "find"
    phrases: Sequence[str] = ()  # that are looked for
    text: str = ""
    boxes: tuple[Box, ...] = ()

    @property
    def points(self) -> bool:
        return self.mode == "point"  # the centre of each box stands for it

    def show(self, *, tools: bool = False) -> str:
        """With `tools` the boxes can be corrected by hand."""
        labels = [box.label.strip() for box in self.boxes]
        shown = show_tools(labels) if tools else ""
        return show_boxes(self.preview, self.size, self.boxes, points=self.points, tools=shown)


@dataclass(frozen=True)
class Results:
    """The right half of the tab."""

    page: Answer
    finding: gr.State  # holds a Finding

    @property
    def parts(self) -> list[Any]:
        """What changes with a search."""
        page = self.page
        return [page.notice, page.how, page.boxes, page.raw, page.status, page.exports]

    def wire(self) -> None:
        corrected = [self.page.boxes, self.page.exports, self.page.status]
        by_hand: dict[str, Any] = {**QUIET, "trigger_mode": "always_last"}  # each tells of all boxes
        self.page.boxes.correct(self.correct, self.finding, corrected, **by_hand)

    def show_found(self, finding: Finding, image: ImageRef, boxes: tuple[Box, ...], answer: str) -> dict[Any, Any]:
        """What was found elsewhere, as if it had been found here."""
        shown = Shown(save_preview(image), image.size, text=answer, boxes=boxes)
        finding.open(image, image.path.name, shown.preview, "find_all")
        finding.take(boxes, answer)
        status = wording.show_status(count_boxes(boxes))
        return self.show(shown, tools=True) | {self.page.exports: gr.Row(visible=True), self.page.status: status}

    def correct(self, event: gr.EventData, finding: Finding) -> tuple[Any, Any, str]:
        """Boxes were moved, drawn, named or taken away by hand."""
        now = finding.annotation
        if now is None or finding.image is None:
            return gr.skip(), gr.skip(), ""
        finding.correct(read_correction(event, now.boxes, finding.found))
        boxes = finding.annotation.boxes if finding.annotation else ()
        shown = Shown(finding.preview, finding.image.size, finding.mode, boxes=boxes)
        by_hand = sum(BY_HAND in box.notes for box in boxes)
        words = [count_boxes(boxes), *([say("{number:,} by hand", number=by_hand)] if by_hand else [])]
        return shown.show(tools=True), gr.Row(visible=True), wording.show_status(" · ".join(words))

    def show(self, shown: Shown, *, tools: bool = False) -> dict[Any, Any]:
        return {
            self.page.notice: wording.show_notice(),
            self.page.how: gr.HTML(visible=False),
            self.page.boxes: shown.show(tools=tools),
            self.page.raw: gr.Textbox(shown.text, visible=True),
        }

    def go_on(self, shown: Shown, text: str, parsed: Parsed, event: Event) -> dict[Any, Any]:
        """What changes on the page by more of the answer; `shown` becomes that. A page draws all boxes anew for one
        more, so that of many they come several at a time."""
        shown.text = text
        changes: dict[Any, Any] = {self.page.raw: text, self.page.status: describe_event(event, parsed, text)}
        count, before = len(parsed.boxes), len(shown.boxes)
        if count > before and (event.finish is not None or count >= MORE * before):
            shown.boxes = parsed.boxes
            changes[self.page.boxes] = shown.show()
        return changes

    def clear(self) -> dict[Any, Any]:
        """No error stands above what was found before."""
        return {
            self.page.how: gr.HTML(visible=True),
            self.page.boxes: "",
            self.page.status: "",
            self.page.exports: gr.Row(visible=False),
            self.page.raw: gr.Textbox("", visible=False),
        }
