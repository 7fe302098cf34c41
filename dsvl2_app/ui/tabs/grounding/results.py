"""What a search came to, on the page: shown as it grows, found elsewhere, corrected by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from dsvl2_app.image.reference import ImageRef
from dsvl2_app.request import Event
from dsvl2_app.text.boxes import Box, Parsed
from dsvl2_app.text.grounding import MOST_PHRASES
from dsvl2_app.ui.events import LATEST, PRIVATE, QUIET, focus
from dsvl2_app.ui.tabs.grounding.correcting import BY_HAND, read_correction, show_hint, show_tools
from dsvl2_app.ui.tabs.grounding.exports import show_exports
from dsvl2_app.ui.tabs.grounding.findings import Finding, Search, count_boxes, describe_event, show_count
from dsvl2_app.ui.tabs.grounding.linked import show_boxes
from dsvl2_app.ui.tabs.grounding.marking import offer
from dsvl2_app.ui.tabs.grounding.parts import Answer, Question
from dsvl2_app.ui.unread import show_note
from dsvl2_app.ui.uploads import save_preview
from dsvl2_app.ui.words import wording
from dsvl2_app.ui.words.translations import say

MORE = 1.125  # times as many boxes as are shown are shown next


@dataclass
class Shown:
    """What the page shows of a search."""

    search: Search
    text: str = ""
    boxes: tuple[Box, ...] = ()
    unread: bool = False  # see ui/unread.py

    def show(self, *, tools: bool = False) -> str:
        """With `tools` the boxes can be corrected by hand."""
        search, labels = self.search, [box.label.strip() for box in self.boxes]
        shown = show_tools(labels, search.number) if tools else ""
        points = search.mode == "point"  # the centre of each box stands for it
        counted = search.mode == "count" and (tools or self.boxes)  # nothing is no count yet
        above = (show_count(self.boxes, search.phrases) if counted else "") + (show_hint() if tools else "")
        return show_boxes(search.preview, search.image.size, self.boxes, points=points, above=above, tools=shown)


@dataclass(frozen=True)
class Results:
    """The right half of the tab."""

    page: Answer
    asked: Question
    finding: gr.State  # holds a Finding

    @property
    def parts(self) -> list[Any]:
        """What changes with a search."""
        page = self.page
        return [page.notice, page.how, page.boxes, page.raw, page.status, page.exports, page.aside, page.back]

    @property
    def restored(self) -> list[Any]:
        """What changes with a search that comes whole from elsewhere."""
        asked = self.asked
        fields = [asked.picture, asked.phrase, asked.mode, asked.example, asked.marking, asked.opener.pages]
        return [*self.parts, *fields]

    def wire(self) -> None:
        page = self.page
        page.boxes.correct(self.correct, self.finding, self.parts, **LATEST, **QUIET)  # each tells of all boxes
        back = page.back.click(self.bring_back, self.finding, self.restored, **PRIVATE)
        back.success(None, None, None, js=focus("#grounding-boxes .correct"), **PRIVATE)
        page.discard.click(self.discard, self.finding, [page.aside, page.back], **QUIET)

    def show_found(
        self, finding: Finding, image: ImageRef, upload: str, boxes: tuple[Box, ...], answer: str
    ) -> dict[Any, Any]:
        """What was found elsewhere, as if it had been found here by its labels."""
        labels = [*dict.fromkeys(filter(None, (box.label.strip() for box in boxes)))]
        phrase = "; ".join(labels[:MOST_PHRASES])
        search = finding.open(image, image.path.name, upload, save_preview(image), "find_all", phrase)
        finding.take(boxes, answer)
        return self.show_whole(search) | self.offer(finding)

    def correct(self, event: gr.EventData, finding: Finding) -> dict[Any, Any]:
        """Boxes were moved, drawn, named or taken away by hand, or are wanted as the model found them."""
        search = finding.search
        if search is None or search.annotation is None:
            return {self.page.status: ""}
        boxes = read_correction(event, search.number, search.boxes, search.found)
        if boxes is None:
            finding.restore()
        else:
            finding.correct(boxes)
        shown = Shown(search, boxes=search.boxes)
        corrected = {self.page.boxes: shown.show(tools=True), self.page.status: describe_boxes(search)}
        return corrected | {self.page.exports: show_exports()} | self.offer(finding)

    def bring_back(self, finding: Finding) -> dict[Any, Any]:
        """Boxes that were set aside, with their picture and what was looked for in it."""
        search = finding.bring_back()
        return (self.show_whole(search) if search else {}) | self.offer(finding)

    def discard(self, finding: Finding) -> dict[Any, Any]:
        del finding.aside[-1:]
        return self.offer(finding)

    def offer(self, finding: Finding) -> dict[Any, Any]:
        """A button that brings back what was set aside last, if anything was."""
        page = self.page
        if not finding.aside:
            return {page.aside: gr.Row(visible=False)}
        search = finding.aside[-1]
        boxes = wording.count(len(search.boxes), "box", "boxes")
        words = say("Bring your boxes back: {boxes}, {name}", boxes=boxes, name=search.name)
        return {page.aside: gr.Row(visible=True), page.back: gr.Button(words)}

    def show_whole(self, search: Search) -> dict[Any, Any]:
        """A search that is at its end, and in the fields what was asked."""
        asked, answer = self.asked, search.annotation.answer if search.annotation else ""
        fields: dict[Any, Any] = {asked.picture: search.upload, asked.phrase: search.phrase, asked.mode: search.mode}
        if search.example:
            marking = offer(search.example.image, search.example.box)
            fields |= {asked.example: str(search.example.image.path), asked.marking: marking}
        shown = Shown(search, text=answer, boxes=search.boxes)
        ended = {self.page.exports: show_exports(), self.page.status: describe_boxes(search)}
        return self.show(shown, tools=True) | ended | fields | {asked.opener.pages: None}

    def begin(self, shown: Shown) -> dict[Any, Any]:
        """A search that has found nothing yet."""
        return self.show(shown) | {self.page.exports: "", self.page.aside: gr.Row(visible=False)}

    def end(self, finding: Finding, shown: Shown, failure: Exception | None) -> dict[Any, Any]:
        """What a search came to; nothing, where something else has taken its place."""
        if finding.search is not shown.search:
            return {}
        failed = {self.page.notice: wording.show_notice(failure), self.page.status: ""} if failure else {}
        found = {self.page.exports: show_exports() if shown.boxes else ""}
        return self.show(shown, tools=True) | failed | found | self.offer(finding)

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
        status = describe_event(event, parsed, text, shown.search.phrases) + show_note(shown.unread)
        changes: dict[Any, Any] = {self.page.raw: text, self.page.status: status}
        count, before = len(parsed.boxes), len(shown.boxes)
        if count > before and (event.finish is not None or count >= MORE * before):
            shown.boxes = parsed.boxes
            changes[self.page.boxes] = shown.show()
        return changes

    def refuse(self, finding: Finding, error: Exception) -> dict[Any, Any]:
        """No error stands above what was found before."""
        return {
            self.page.notice: wording.show_notice(error),
            self.page.how: gr.HTML(visible=True),
            self.page.boxes: "",
            self.page.status: "",
            self.page.exports: "",
            self.page.raw: gr.Textbox("", visible=False),
            **self.offer(finding),
        }


def describe_boxes(search: Search) -> str:
    """How many there are, and how many of them a person made."""
    by_hand = sum(BY_HAND in box.notes for box in search.boxes)
    found = count_boxes(search.boxes, search.phrases)
    return wording.show_status(found + (" · " + say("{number:,} by hand", number=by_hand) if by_hand else ""))
