"""One visitor's transcript, and what the Chatbot shows of it.

It lives on the server (in a gr.State); the Chatbot only shows it, because its value comes from the browser and could
say anything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any
from urllib.parse import quote

from dsvl2_app.engine.request import Finish, Timings
from dsvl2_app.engine.worker import Stream
from dsvl2_app.image.load import Limits, load_image
from dsvl2_app.image.overlay import OverlayBox, draw_boxes
from dsvl2_app.text.boxes import parse_boxes
from dsvl2_app.text.prompt import place_images
from dsvl2_app.ui import wording
from dsvl2_app.ui.markup import show_answer, show_question
from dsvl2_app.ui.uploads import save_preview, shrink

_ORDINAL = re.compile(r"\b(first|second|third|fourth)\b", re.IGNORECASE)
_ORDINALS = ("first", "second", "third", "fourth")


@dataclass(frozen=True, slots=True)
class Picture:
    path: str  # the upload
    preview: str  # what the page shows of it
    size: tuple[int, int]  # px, upright

    @classmethod
    def open(cls, path: str, limits: Limits) -> Picture:
        image = load_image(path, limits=limits)
        return cls(path, save_preview(image), image.size)


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and as much of its answer as there is."""

    question: str
    pictures: tuple[Picture, ...]
    answer: str = ""
    progress: str = ""  # in words, while there is no answer yet
    finish: Finish | None = None
    timings: Timings = field(default_factory=Timings)
    dropped: bool = False  # shown, but no longer sent to the model
    marked: int | None = None  # which of the conversation's pictures its boxes are drawn on
    drawing: str = ""  # that picture with the boxes

    @property
    def is_answered(self) -> bool:
        """An answer may be empty; one that was interrupted before its first word is none."""
        return bool(self.answer) or self.finish in ("eos", "length")

    @property
    def is_running(self) -> bool:
        return self.finish is None


class Conversation:
    """The turns and, while an answer is being written, its stream."""

    def __init__(self, turns: Sequence[Turn] = ()) -> None:
        self.turns = list(turns)
        self.raw = False
        self.editing: int | None = None  # the turn that the next question replaces, and with it all after it
        self.stream: Stream | None = None
        self.stopping = False
        self.abandoned = False

    @property
    def kept(self) -> list[Turn]:
        return [turn for turn in self.turns[: self.editing] if not turn.dropped]

    @property
    def pictures(self) -> list[Picture]:
        return [picture for turn in self.turns for picture in turn.pictures]

    def messages(self, limits: Limits, system: str = "") -> list[dict[str, Any]]:
        """For the worker: transformers messages, the last turn waiting for its answer."""
        messages = [{"role": "system", "content": system}] if system.strip() else []
        for turn in self.kept:
            images = [load_image(picture.path, limits=limits) for picture in turn.pictures]
            messages.append({"role": "user", "content": place_images(turn.question, images)})
            messages.append({"role": "assistant", "content": turn.answer})
        return messages[:-1]

    def drop_oldest(self) -> None:
        """The oldest turn that is still sent is sent no more."""
        place = next((place for place, turn in enumerate(self.turns) if not turn.dropped), None)
        if place is not None:
            self.turns[place] = replace(self.turns[place], dropped=True)

    def mark(self, number: int | None = None) -> None:
        """Draw the boxes of the last answer on a picture: the one given, else the one that was spoken of."""
        turn = self.turns[-1]
        boxes = parse_boxes(turn.answer, complete=not turn.is_running).boxes
        if not boxes or not self.pictures:
            return
        place = _choose_picture(turn.question, len(self.pictures)) if number is None else number
        image = load_image(self.pictures[place].path)
        labelled = [OverlayBox(box.label, *box.pixels(*shrink(image).size)) for box in boxes]
        drawing = save_preview(draw_boxes(shrink(image), labelled))
        self.turns[-1] = replace(turn, marked=place, drawing=drawing)

    def stop(self) -> None:
        self.stopping = True
        if self.stream:
            self.stream.cancel()

    def abandon(self) -> None:
        """The visitor has begun another one, or gone."""
        self.abandoned = True
        self.stop()

    def show(self) -> list[dict[str, Any]]:
        """For the Chatbot: Markdown in which both sides' text is only text."""
        last = len(self.turns) if self.editing is None else self.editing
        turns = [*self.turns[:last], *(replace(turn, dropped=True) for turn in self.turns[last:])]
        return [message for turn in turns for message in _show_turn(turn, self.raw)]


def _choose_picture(question: str, count: int) -> int:
    """The only one that the question names by its number, else the last."""
    named = {_ORDINALS.index(word.lower()) for word in _ORDINAL.findall(question)}
    return named.pop() if len(named) == 1 and max(named) < count else count - 1


def _show_turn(turn: Turn, raw: bool) -> list[dict[str, Any]]:
    pictures = [
        {"path": picture.preview, "alt_text": f"Picture {number}"}
        for number, picture in enumerate(turn.pictures, start=1)
    ]
    question = {"type": "text", "text": _strike(turn, show_question(turn.question))}
    if turn.answer:
        answer = show_answer(turn.answer, raw=raw)
    elif turn.finish:
        answer = '<span class="progress">The model had nothing to say.</span>'
    else:
        answer = f'<span class="progress running">{escape(turn.progress)}</span>'
    if turn.drawing and turn.marked is not None:  # within the text, because Gradio copies no message with a file
        source = quote(f"gradio_api/file={turn.drawing}", safe="/=")
        answer += f'\n\n<img class="drawing" alt="Boxes on picture {turn.marked + 1}" src="{source}">'
    if turn.finish and turn.timings != Timings():  # an imported answer has none
        answer += "\n\n" + _show_timings(turn)
    return [
        {"role": "user", "content": [*pictures, question]},
        {"role": "assistant", "content": [{"type": "text", "text": _strike(turn, answer)}]},
    ]


def _strike(turn: Turn, text: str) -> str:
    """The style sheet strikes out what follows the mark."""
    return f'<span class="dropped" title="No longer sent to the model"></span>{text}' if turn.dropped else text


def _show_timings(turn: Turn) -> str:
    """On one line, which is one block of HTML to Markdown."""
    rows = "".join(
        f"<tr><th>{stage}</th><td>{what}</td><td>{seconds}</td></tr>"
        for stage, what, seconds in wording.describe_timings(turn.timings)
    )
    summary = wording.describe_ending(turn.timings, turn.finish)
    return f'<details class="timings"><summary>{summary}</summary><table><tbody>{rows}</tbody></table></details>'
