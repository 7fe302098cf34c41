"""What the Documents tab shows of a reading: how far it is, and one page beside what was read there."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

import gradio as gr

from dsvl2_app.image.page_kinds import Kind
from dsvl2_app.ui.arrival import describe_time_left
from dsvl2_app.ui.pages import mark_page, name_page
from dsvl2_app.ui.tabs.chat.markup import show_answer, show_literally
from dsvl2_app.ui.tabs.documents.own_text import find_own_text
from dsvl2_app.ui.tabs.documents.parts import CHECK, NO_OWN_TEXT, UNREAD, Answer, Question
from dsvl2_app.ui.tabs.documents.reading import Leaf, Reading
from dsvl2_app.ui.tabs.grounding.linked import show_boxes
from dsvl2_app.ui.uploads import save_preview
from dsvl2_app.ui.words import wording
from dsvl2_app.ui.words.translations import say
from dsvl2_app.ui.words.wording import describe_reason

ENDED = {
    "repetition": "{number:,} began to repeat themselves and were ended there.",
    "length": "{number:,} reached the limit of new tokens.",
}
ALL_READ: dict[Kind | None, str] = {
    "page": "All {total:,} pages are read.",
    "frame": "All {total:,} frames are read.",
    "still": "All {total:,} stills are read.",
    None: "All {total:,} are read.",
}
SOME_READ: dict[Kind | None, str] = {
    "page": "{done:,} of {total:,} pages are read",
    "frame": "{done:,} of {total:,} frames are read",
    "still": "{done:,} of {total:,} stills are read",
    None: "{done:,} of {total:,} are read",
}
# Seconds after a whole page from which a result sets all of it once more. A busy browser takes many results at once.
AGAIN = (0.0, 0.0, 0.0, 1.0, 3.0)


@dataclass(frozen=True)
class Drawn:
    """What stands there: a page, whether it was read to its end, its text, what stays while that grows, and the whole
    page, since when it stands there, and how often a result has set it once more."""

    leaf: Leaf | None = None
    is_read: bool = False
    text: str = ""
    stays: Mapping[Any, Any] = field(default_factory=dict)
    whole: Mapping[Any, Any] = field(default_factory=dict)
    since: float = 0.0
    repeated: int = 0


@dataclass(frozen=True)
class View:
    """The components of a page in a browser; each method returns what some of them become."""

    question: Question
    answer: Answer
    bundled: bool  # the model is the one that comes with the app, whose text is to be checked

    def show(self, reading: Reading) -> dict[Any, Any]:
        """All of it; a page is opened for its preview."""
        page, shown = self.answer, reading.shown
        return {
            **self.show_page(reading),
            page.how: gr.HTML(visible=shown is None),
            self.answer.status: describe(reading),
            page.row: gr.Row(visible=shown is not None),
            **self.show_own(reading),
        }

    def show_choice(self, reading: Reading) -> dict[Any, Any]:
        """The drop-down: all pages of the reading, and which of them is shown."""
        leaves = reading.leaves
        names = [(f"{leaf.name} · {leaf.image.frame + 1}", number) for number, leaf in enumerate(leaves)]
        chosen = next((number for number, leaf in enumerate(leaves) if leaf is reading.shown), None)
        label, is_choice = name_kind(reading.kind), len(leaves) > 1
        return {self.answer.which: gr.Dropdown(names, value=chosen, label=label, visible=is_choice)}

    def show_own(self, reading: Reading) -> dict[Any, Any]:
        """Where the PDF's own text can be taken, and the files that this gives."""
        offered = reading.has_own_text
        return {
            self.question.pdf_text: gr.Button(visible=offered),
            self.answer.source: gr.Radio(visible=offered and reading.shown is not None),
            self.answer.exports: gr.Row(visible=reading.can_be_saved),
        }

    async def show_growth(self, reading: Reading, drawn: Drawn) -> tuple[dict[Any, Any], Drawn]:
        """What has changed since that was drawn, and what is drawn by it. What stays is sent each time, and a whole
        page a few times: of two results that come at once, Gradio's page can lose what only the first one sets (see
        `last_update`). The choice of a page is not sent for ever, or nobody could open it meanwhile."""
        leaf = reading.shown
        now = (leaf, leaf.is_read, leaf.text) if leaf else (None, False, "")
        if now[:2] != (drawn.leaf, drawn.is_read):  # its boxes stand on the picture once there are all
            page, busy = self.answer, self.show_buttons(busy=True)
            shown = await to_thread(self.show, reading)
            stays = busy | {part: shown[part] for part in (page.how, page.row, page.picture)}
            return shown | busy, Drawn(*now, stays, shown | busy, monotonic())
        again = drawn.repeated < len(AGAIN) and monotonic() - drawn.since >= AGAIN[drawn.repeated]
        shown = {**(drawn.whole if again else drawn.stays), self.answer.status: describe(reading)}
        if again or (now[2] != drawn.text and not reading.shows_own_text):
            shown |= self.show_text(reading)
        return shown, replace(drawn, text=now[2], repeated=drawn.repeated + again)

    def show_page(self, reading: Reading) -> dict[Any, Any]:
        """The page itself, its text, and where it is marked as the one that is shown."""
        leaf, picture = reading.shown, ""
        if leaf:
            picture = show_boxes(save_preview(leaf.image), leaf.image.size, leaf.boxes)
        shown = mark_page(leaf and leaf.image)
        page = {self.answer.picture: picture, self.question.pages: shown, **self.show_choice(reading)}
        return {**page, **self.show_text(reading)}

    def show_text(self, reading: Reading) -> dict[Any, Any]:
        """The model's, with a note where it is to be checked; or the PDF's own."""
        leaf, text, note = reading.shown, "", ""
        words = name_page(leaf.image.kind, leaf.image.frame + 1).capitalize() if leaf else ""
        if leaf and reading.shows_own_text:
            lines = find_own_text(leaf).splitlines()
            text = "\n".join(map(show_literally, lines)) or f"*{say(NO_OWN_TEXT, words=words)}*"
        elif leaf and not (leaf.text or leaf.is_read):
            text = f"*{say(UNREAD, words=words)}*"
        elif leaf:
            text = show_answer(leaf.text)
            notes = [describe_reason(leaf.finish), say(CHECK) if self.bundled else ""]
            note = "".join(f'<p class="check" role="note">{each}</p>' for each in notes if each)
        return {self.answer.text: text, self.answer.note: note}

    def show_back(self, reading: Reading) -> dict[Any, Any]:
        """A button that brings back what was taken away last, if anything was."""
        if not reading.removed:
            return {self.question.back: gr.Button(visible=False)}
        first, *others = reading.removed[-1].gone
        words = say("Bring {number:,} documents back", number=len(others) + 1)
        if not others:
            words = say("Bring {name} back", name=Path(first).name)
        return {self.question.back: gr.Button(words, visible=True)}

    def show_buttons(self, *, busy: bool) -> dict[Any, Any]:
        return {self.question.start: gr.Button(visible=not busy), self.question.halt: gr.Button(visible=busy)}


def name_kind(kind: Kind | None) -> str:
    """The label of the choice of one of them."""
    return say("Frame") if kind == "frame" else say("Still") if kind == "still" else say("Page")


def describe(reading: Reading) -> str:
    """How far it is, and how long the rest will take."""
    done, total = len(reading.read), len(reading.leaves)
    if done == total:
        words = say(ALL_READ[reading.kind], total=total)
        for finish, sentence in ENDED.items():
            if number := sum(leaf.finish == finish for leaf in reading.leaves):
                words += " " + say(sentence, number=number)
        return wording.show_status(words) if total else ""
    words = say(SOME_READ[reading.kind], done=done, total=total)
    if reading.stopping:
        return wording.show_status(say("{words}; Read goes on from there.", words=words))
    return wording.show_status(f"{words}{describe_time_left(reading.seconds_left)}", running=True)
