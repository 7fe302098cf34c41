"""One visitor's last answer in the Grounding tab, and the files that it is downloaded as."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from dsvl2_app.image.reference import ImageRef
from dsvl2_app.request import Event
from dsvl2_app.text.boxes import Box, Parsed
from dsvl2_app.text.exports import FORMATS, Annotation, data_url, encode_jpeg, write_yolo_set
from dsvl2_app.text.grounding import Mode
from dsvl2_app.ui.events import download, download_button
from dsvl2_app.ui.locate import draw
from dsvl2_app.ui.storage import hold
from dsvl2_app.ui.uploads import save_picture, save_upload
from dsvl2_app.ui.words import wording
from dsvl2_app.ui.words.translations import say, text_label

SET = "YOLO set"  # of every picture that was searched
MOST_KEPT = 100  # pictures of it
MOST_PROBLEMS = 10  # shown; a degenerate answer can have hundreds
_SPECIAL = re.compile(r"<\|/?\w+\|>")
FILES = ("PNG", *FORMATS, SET)


@dataclass(eq=False)
class Finding:
    """The picture that was searched last and what was found in it, in a gr.State."""

    image: ImageRef | None = None  # that was searched
    name: str = ""  # that the visitor knows it by
    preview: str = ""  # the file that shows it
    mode: Mode = "find"
    found: tuple[Box, ...] = ()  # by the model, whatever has been corrected since
    annotation: Annotation | None = None
    kept: dict[ImageRef, Annotation] = field(default_factory=dict)  # the last of each picture that was searched
    labels: tuple[str, ...] = ()  # of the pictures before, so that a class has one number in all of them

    def open(self, image: ImageRef, name: str, preview: str, mode: Mode) -> None:
        """Another picture is searched."""
        hold(self)
        self.labels = tuple(self.annotation.labels) if self.annotation else self.labels
        self.image, self.name, self.annotation = image, name, None
        self.preview, self.mode, self.found = preview, mode, ()

    def take(self, boxes: tuple[Box, ...], answer: str) -> None:
        """What the model found on the picture so far."""
        self.found = boxes
        self.annotation = self.annotate(boxes, answer)

    def correct(self, boxes: tuple[Box, ...]) -> None:
        """What a person made of it. A picture on which nothing is left stays in the set: that too is an example."""
        assert self.image and self.annotation
        corrected = boxes != self.found
        self.annotation = replace(self.annotate(boxes, self.annotation.answer), corrected=corrected)
        self.kept[self.image] = self.annotation

    def annotate(self, boxes: tuple[Box, ...], answer: str) -> Annotation:
        assert self.image
        points, page = self.image.points, self.image.frame + 1 if self.image.frame or self.image.points else 0
        size = self.image.size
        found = Annotation(self.name, *size, boxes, answer, names=self.labels, page=page, points=points)
        if boxes:
            self.kept[self.image] = found
            while len(self.kept) > MOST_KEPT:
                del self.kept[next(iter(self.kept))]
        return found

    @property
    def files(self) -> set[Path]:
        searched = {image.path for image in (*self.kept, *filter(None, [self.image]))}
        return searched | ({Path(self.preview)} if self.preview else set())


def build_downloads(finding: gr.State) -> gr.Row:
    """A row of buttons, hidden until there are boxes."""
    with gr.Row(visible=False, elem_id="grounding-exports") as row:
        buttons = [gr.Button(text_label(name), size="sm", min_width=60) for name in FILES]
    file = download_button("grounding-download")
    for name, button in zip(FILES, buttons, strict=True):

        def write(found: Finding, name: str = name) -> Any:
            return save_file(found, name) or gr.skip()

        download(button, write, finding, file)
    return row


def save_file(finding: Finding, name: str) -> str | None:
    found = finding.annotation
    if found is None or finding.image is None:
        return None
    stem = Path(found.picture).stem + (f"-page-{found.page}" if found.page else "")
    if name == "PNG":
        drawn = draw(finding.image.open(), found.boxes, points=finding.mode == "point")
        return save_picture(drawn, f"{stem}-boxes.png")
    if name == SET:
        pictures = ((each, encode_jpeg(image.open())) for image, each in finding.kept.items())
        return save_upload(write_yolo_set([*pictures]), "yolo-set.zip")
    format = FORMATS[name]
    if name == "Label Studio":
        found = replace(found, address=data_url(finding.image.open()))
    return save_upload(format.write(found).encode(), f"{stem}{format.suffix}")


def describe_event(event: Event, parsed: Parsed, text: str) -> str:
    """How far the answer is, or what it came to."""
    if event.finish is None:
        return wording.show_status(wording.describe_progress(event), running=True)
    ending = wording.describe_ending(event.timings, event.finish)
    status = wording.show_status(f"{count_boxes(parsed.boxes)} · {ending}") + show_problems(parsed)
    if parsed.boxes or parsed.problems:
        return status
    return f'{status}<p class="said">{escape(_SPECIAL.sub("", text).strip())}</p>'


def count_boxes(boxes: tuple[Box, ...]) -> str:
    """How many there are, and of each label where there are several."""
    if not boxes:
        return say("Nothing found")
    labels = Counter(box.label.strip() or say("unnamed") for box in boxes)
    each = ", ".join(f"{label}: {number:,}" for label, number in labels.items()) if len(labels) > 1 else ""
    return wording.count(len(boxes), "box", "boxes") + (f" ({each})" if each else "")


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
