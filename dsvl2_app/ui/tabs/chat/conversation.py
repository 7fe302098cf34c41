"""One visitor's conversation, as the server keeps it (in a gr.State).

The Chatbot only shows it (see transcript.py), because its value comes from the browser and could say anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from dsvl2_app.backend import Stream
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.request import Finish, Timings
from dsvl2_app.text.boxes import Parsed, parse_boxes
from dsvl2_app.text.messages import IMAGE_TOKEN, Message
from dsvl2_app.text.prompt import place_images
from dsvl2_app.ui.storage import hold
from dsvl2_app.ui.tabs.chat.choices import Choices
from dsvl2_app.ui.tabs.chat.placing import Placed, Seen, place_boxes
from dsvl2_app.ui.uploads import save_preview


@dataclass(frozen=True, slots=True)
class Attachment:
    """A picture of a question."""

    image: ImageRef  # the upload
    preview: str  # the file that the page shows of it
    dropped: bool = False  # shown, but no longer sent to the model

    @property
    def page(self) -> int:
        """Of a document, counting from 1; 0 for any other picture."""
        return self.image.frame + 1 if self.image.frame or self.image.points else 0

    @classmethod
    def of(cls, image: ImageRef) -> Attachment:
        """Decodes the picture, so that whatever is wrong with it is said before it is asked about."""
        return cls(image, save_preview(image))


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and as much of its answer as there is."""

    question: str
    pictures: tuple[Attachment, ...]
    answer: str = ""
    progress: str = ""  # in words, while there is no answer yet
    finish: Finish | None = None
    timings: Timings = field(default_factory=Timings)
    context: int = 0  # tokens of the model that answers
    unread: bool = False  # the question is in a script that the model has not learnt, see ui/unread.py
    dropped: bool = False  # shown, but no longer sent to the model
    found: Parsed | None = field(default=None, compare=False)  # boxes in its answer that are drawn; None without any
    placed: Placed | None = None  # them on the conversation's pictures, as far as words say
    marked: int | None = None  # place of the picture that a person chose for all of them

    @property
    def is_answered(self) -> bool:
        """An answer may be empty; one that was interrupted before its first word is none."""
        return bool(self.answer) or self.finish in ("eos", "length", "time", "repetition")

    @property
    def is_running(self) -> bool:
        return self.finish is None

    @property
    def places(self) -> tuple[int, ...]:
        """Of each box, the place of the picture that it is drawn on."""
        if self.placed is None:
            return ()
        return self.placed.places if self.marked is None else (self.marked,) * len(self.placed.places)


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """The answering of one question. It is the conversation's `run` until another one begins or a turn is undone.
    It writes to its own `turns`, so that a late write changes nothing of a later run."""

    turn: Turn  # the question
    choices: Choices
    turns: list[Turn]  # the last one is being answered
    before: list[Turn]  # the conversation goes back to these and to `editing` when there is no answer
    editing: int | None


class Conversation:
    """The turns and, while an answer is being written, its stream."""

    def __init__(self, turns: Sequence[Turn] = (), before: Conversation | None = None) -> None:
        """`before` is what the page showed before it, until the next question."""
        self.turns = list(turns)
        self.before = before if before and before.turns else None
        if self.before:
            self.before.before = None
            hold(self)
        self.raw = False
        self.written: dict[int, Any] = {}  # what the transcript has written of each turn, see transcript.py
        self.returned: Turn | None = None  # the turn whose question went back to where it was typed, last
        self.editing: int | None = None  # the turn that the next question replaces, and with it all after it
        self.run: Run | None = None
        self.asked: Run | None = None  # the run whose answer has not begun yet
        self.stream: Stream | None = None
        self.stopping = False
        self.abandoned = False
        self.successor: Conversation | None = None  # what the page shows in place of it

    @property
    def is_running(self) -> bool:
        return bool(self.turns) and self.turns[-1].is_running

    @property
    def shown(self) -> list[Turn]:
        """All turns; those that the edited question will replace count as dropped."""
        stays = len(self.turns) if self.editing is None else self.editing
        return [*self.turns[:stays], *(replace(turn, dropped=True) for turn in self.turns[stays:])]

    @property
    def frames(self) -> dict[str, list[int]]:
        """Of each file of the question that went back, the pages that were shown."""
        frames: dict[str, list[int]] = {}
        for picture in self.returned.pictures if self.returned else ():
            frames.setdefault(str(picture.image.path), []).append(picture.image.frame)
        return frames

    @property
    def kept(self) -> list[Turn]:
        return [turn for turn in self.shown if not turn.dropped]

    @property
    def pictures(self) -> list[Attachment]:
        return [picture for turn in self.turns for picture in turn.pictures]

    @property
    def files(self) -> set[Path]:
        """All that the page shows of it, while it is shown; see ui/storage."""
        if self.abandoned:
            return set()
        if self.before and not self.turns:
            return self.before.list_files()
        return self.list_files()

    def list_files(self) -> set[Path]:
        return {path for each in self.pictures for path in (each.image.path, Path(each.preview))}

    @property
    def numbers(self) -> list[int | None]:
        """For each of the pictures its number, counting from 1 those that the model gets; None for the others."""
        number = count(1)
        return [
            None if turn.dropped or picture.dropped else next(number)
            for turn in self.shown
            for picture in turn.pictures
        ]

    def messages(self, system: str = "", asking: Turn | None = None) -> list[Message]:
        """For the backend: transformers messages, the last turn, or else `asking`, waiting for its answer."""
        messages: list[Message] = [{"role": "system", "content": system}] if system.strip() else []
        for turn in [*self.kept, asking] if asking else self.kept:
            images = [picture.image for picture in turn.pictures if not picture.dropped]
            messages.append({"role": "user", "content": place_images(_without_dropped(turn), images)})
            messages.append({"role": "assistant", "content": turn.answer})
        return messages[:-1]

    def begin(self, turn: Turn, choices: Choices) -> Run:
        """Put a question at the end, or in place of the edited turn and all after it. Ends the run before."""
        hold(self)
        self.stopping, self.before = False, None
        self.interrupt()
        turns = [*self.turns[: self.editing], turn]
        self.run = self.asked = Run(turn, choices, turns, before=self.turns, editing=self.editing)
        self.turns, self.editing = turns, None
        return self.run

    def undo(self, number: int) -> Turn:
        """The turn of that number goes, and all after it."""
        turn = self.turns[number]
        self.turns, self.editing, self.run = self.turns[:number], None, None
        return turn

    def drop_oldest(self) -> None:
        """The oldest turn that is still sent is sent no more."""
        place = next((place for place, turn in enumerate(self.turns) if not turn.dropped), None)
        if place is not None:
            self.turns[place] = replace(self.turns[place], dropped=True)

    @property
    def drawn(self) -> int | None:
        """The number of the last turn with boxes on a picture."""
        return next((number for number in reversed(range(len(self.turns))) if self.turns[number].placed), None)

    def shown_until(self, number: int) -> int:
        """How many pictures there are up to the turn of that number, its own among them."""
        return sum(len(turn.pictures) for turn in self.turns[: number + 1])

    def drop_picture(self, place: int) -> None:
        """The picture at that place among all of the conversation is sent no more, or is again."""
        for number, turn in enumerate(self.turns):
            if place < len(turn.pictures):
                pictures = list(turn.pictures)
                pictures[place] = replace(pictures[place], dropped=not pictures[place].dropped)
                self.turns[number] = replace(turn, pictures=tuple(pictures))
                return
            place -= len(turn.pictures)

    def mark(self, number: int = -1, marked: int | None = None, placed: Placed | None = None) -> None:
        """Draw the boxes of an answer, the last one unless a number is given: on the picture that a person chose, at
        the place `marked`, else where they were `placed` before, else where words say. Whatever is no place of a
        picture until then counts as None."""
        number = number % len(self.turns) if self.turns else 0
        turn, until = self.turns[number] if self.turns else Turn("", ()), self.shown_until(number)
        parsed = parse_boxes(turn.answer, complete=not turn.is_running)
        if not parsed.boxes or not until:
            return
        if placed is None or not placed.fits(len(parsed.boxes), until):
            placed = self._place(number, parsed.starts)
        marked = marked if marked is not None and 0 <= marked < until else None
        self.turns[number] = replace(turn, found=parsed, placed=placed, marked=marked)

    def _place(self, number: int, starts: Sequence[int]) -> Placed:
        """What words say of boxes that begin there in the answer of that number, with a picture until then."""
        turn, until = self.turns[number], self.shown_until(number)
        seen = [
            Seen(sent, picture.page) for sent, picture in zip(self.numbers[:until], self.pictures[:until], strict=True)
        ]
        return place_boxes(turn.question, turn.answer, starts, seen, until - len(turn.pictures))

    @property
    def meant(self) -> ImageRef | None:
        """The picture that the last answer is about: the one that its boxes are drawn on, of several the last; else the
        one that its words or those of the question name; else the last one. None without a picture."""
        if not self.pictures:
            return None
        last = self.turns[-1]
        places = last.places or self._place(len(self.turns) - 1, [len(last.answer)]).places
        return self.pictures[[*dict.fromkeys(places)][-1]].image

    def stop(self) -> None:
        self.stopping = True
        if self.stream:
            self.stream.cancel()

    def interrupt(self) -> None:
        """End the run. What there is of its answer stays, as one that was stopped."""
        self.run = None
        if self.stream:
            self.stream.cancel()
        if self.is_running:
            self.turns = [*self.turns[:-1], replace(self.turns[-1], finish="cancelled")]

    def revive(self) -> Conversation:
        """One with the same turns, to go on with."""
        ended = [replace(turn, finish="cancelled") if turn.is_running else turn for turn in self.turns]
        revived = Conversation([turn for turn in ended if turn.is_answered])
        hold(revived)
        return revived

    def abandon(self, successor: Conversation | None = None) -> None:
        """The visitor has begun another one, or gone."""
        self.abandoned, self.successor = True, successor
        self.stop()


def _without_dropped(turn: Turn) -> str:
    """The question without the `<image>` of each picture that is sent no more: the last pictures have one each, see
    text.prompt.place_images."""
    pieces = turn.question.split(IMAGE_TOKEN)
    placed = min(len(pieces) - 1, len(turn.pictures))
    dropped = [picture.dropped for picture in turn.pictures[len(turn.pictures) - placed :]]
    dropped += [False] * (len(pieces) - 1 - placed)
    marks = ["" if gone else IMAGE_TOKEN for gone in dropped]
    return pieces[0] + "".join(mark + piece for mark, piece in zip(marks, pieces[1:], strict=True))
