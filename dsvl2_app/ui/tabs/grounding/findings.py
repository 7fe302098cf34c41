"""What one visitor searched in the Grounding tab, and what it came to in words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path

from dsvl2_app.image.reference import ImageRef
from dsvl2_app.image.tiles import PixelBox
from dsvl2_app.request import Event
from dsvl2_app.text.boxes import Box, Parsed
from dsvl2_app.text.exports import Annotation
from dsvl2_app.text.grounding import Mode, split_phrases
from dsvl2_app.ui.storage import hold
from dsvl2_app.ui.words import wording
from dsvl2_app.ui.words.translations import say

MOST_KEPT = 100  # pictures that were searched, and searches that were corrected and set aside
MOST_PROBLEMS = 10  # shown; a degenerate answer can have hundreds
_SPECIAL = re.compile(r"<\|/?\w+\|>")


@dataclass(frozen=True)
class Example:
    """What was marked in another picture, for the mode "in_context"."""

    image: ImageRef
    box: PixelBox


@dataclass(eq=False)
class Search:
    """A picture that was searched, and what was found in it."""

    number: int  # among those of its visitor
    image: ImageRef
    name: str  # that the visitor knows the picture by
    upload: str  # the file that was chosen
    preview: str  # the file that shows it
    mode: Mode
    phrase: str
    example: Example | None = None
    found: tuple[Box, ...] = ()  # by the model, whatever has been corrected since
    annotation: Annotation | None = None

    @property
    def phrases(self) -> list[str]:
        """That are looked for."""
        return split_phrases(self.phrase, self.mode)

    @property
    def boxes(self) -> tuple[Box, ...]:
        return self.annotation.boxes if self.annotation else ()

    @property
    def corrected(self) -> bool:
        """By a person: whatever takes its place, it is kept."""
        return self.annotation is not None and self.annotation.corrected

    @property
    def files(self) -> set[Path]:
        files = {self.image.path, Path(self.upload), Path(self.preview)}
        return files | ({self.example.image.path} if self.example else set())


@dataclass(eq=False)
class Finding:
    """What a visitor searched last, and what they corrected by hand before, in a gr.State."""

    search: Search | None = None
    aside: list[Search] = field(default_factory=list[Search])  # corrected ones that others took the place of
    kept: dict[ImageRef, Annotation] = field(default_factory=dict)  # the last of each picture that was searched
    labels: tuple[str, ...] = ()  # of the searches before, so that a class has one number in all of them
    opened: int = 0  # searches so far

    def open(
        self,
        image: ImageRef,
        name: str,
        upload: str,
        preview: str,
        mode: Mode,
        phrase: str,
        example: Example | None = None,
    ) -> Search:
        """Another search takes the place of the last one."""
        hold(self)
        self.close()
        self.opened += 1
        self.search = Search(self.opened, image, name, upload, preview, mode, phrase, example)
        return self.search

    def close(self) -> None:
        """Nothing is shown any more."""
        self.keep_labels()
        if self.search and self.search.corrected:
            self.set_aside(self.search)
        self.search = None

    def set_aside(self, search: Search) -> None:
        self.aside.append(search)
        del self.aside[:-MOST_KEPT]

    def bring_back(self) -> Search | None:
        """The last that was set aside takes the place of the search that is shown, which, corrected too, is the last
        in turn to come back. None where nothing is aside."""
        if not self.aside:
            return None
        back = self.aside.pop()
        self.keep_labels()
        if self.search and self.search.corrected:
            self.aside.insert(0, self.search)
        assert back.annotation
        back.annotation = replace(back.annotation, names=self.labels)
        self.search, self.kept[back.image] = back, back.annotation
        return back

    def keep_labels(self) -> None:
        shown = self.search.annotation if self.search else None
        self.labels = tuple(dict.fromkeys((*self.labels, *(shown.labels if shown else ()))))

    def take(self, boxes: tuple[Box, ...], answer: str) -> None:
        """What the model found on the picture so far."""
        assert self.search
        self.search.found = boxes
        self.search.annotation = self.annotate(self.search, boxes, answer)

    def correct(self, boxes: tuple[Box, ...]) -> None:
        """What a person made of it. A picture on which nothing is left stays in the set: that too is an example."""
        search = self.search
        assert search and search.annotation
        corrected = boxes != search.found
        search.annotation = replace(self.annotate(search, boxes, search.annotation.answer), corrected=corrected)
        self.kept[search.image] = search.annotation

    def restore(self) -> None:
        """What the model found, in place of what a person made of it."""
        assert self.search
        if self.search.corrected:
            self.set_aside(replace(self.search))
        self.correct(self.search.found)

    def annotate(self, search: Search, boxes: tuple[Box, ...], answer: str) -> Annotation:
        image = search.image
        points, page = image.points, image.frame + 1 if image.frame or image.points else 0
        found = Annotation(
            search.name, *image.size, boxes, answer, names=self.labels, page=page, kind=image.kind, points=points
        )
        if boxes:
            self.kept[image] = found
            while len(self.kept) > MOST_KEPT:
                del self.kept[next(iter(self.kept))]
        return found

    @property
    def files(self) -> set[Path]:
        shown = {path for search in (self.search, *self.aside) if search for path in search.files}
        return shown | {image.path for image in self.kept}


def describe_event(event: Event, parsed: Parsed, text: str, phrases: Sequence[str] = ()) -> str:
    """How far the answer to a search for these is, or what it came to."""
    if event.finish is None:
        return wording.show_status(wording.describe_progress(event), running=True)
    ending = wording.describe_ending(event.timings, event.finish)
    status = wording.show_status(f"{count_boxes(parsed.boxes, phrases)} · {ending}") + show_problems(parsed)
    if parsed.boxes or parsed.problems:
        return status
    return f'{status}<p class="said">{escape(_SPECIAL.sub("", text).strip())}</p>'


def count_labels(boxes: Sequence[Box], phrases: Sequence[str]) -> dict[str, int]:
    """How many there are of each label, and of the `phrases` that nothing was found of, unless the model names what it
    finds otherwise."""
    numbers = Counter(box.label.strip() for box in boxes)
    return {name: numbers[name] for name in (phrases if numbers.keys() <= {*phrases} else numbers)}


def count_boxes(boxes: Sequence[Box], phrases: Sequence[str] = ()) -> str:
    """How many there are, and of each label where there are several or several were looked for."""
    if not boxes:
        return say("Nothing found")
    labels = count_labels(boxes, phrases)
    each = ", ".join(f"{label or say('unnamed')}: {number:,}" for label, number in labels.items())
    return wording.count(len(boxes), "box", "boxes") + (f" ({each})" if len(labels) > 1 else "")


def show_count(boxes: Sequence[Box], phrases: Sequence[str]) -> str:
    """How many there are of each label, in large figures."""
    each = "".join(
        f"<li><strong>{number:,}</strong> <bdi>{escape(name) or say('unnamed')}</bdi></li>"
        for name, number in count_labels(boxes, phrases).items()
    )
    return f'<ul class="count" aria-label="{say("Count")}">{each}</ul>'


def show_problems(parsed: Parsed) -> str:
    """What in the answer is malformed, and where."""
    if not parsed.problems:
        return ""
    items = "".join(
        f"<li>{say('At character {place:,}', place=problem.place)}: {escape(say(problem.sentence, **problem.values))} "
        f"<code>{escape(problem.excerpt)}</code></li>"
        for problem in parsed.problems[:MOST_PROBLEMS]
    )
    more = len(parsed.problems) - MOST_PROBLEMS
    if more > 0:
        items += f"<li>{say('and {more:,} more', more=more)}</li>"
    heading = say("Parts of the answer are not well-formed boxes:")
    return f'<div class="problems"><p>{heading}</p><ul>{items}</ul></div>'
