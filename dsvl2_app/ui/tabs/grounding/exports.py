"""The files that boxes are downloaded as, and what the page says of each."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from typing import Any

import gradio as gr

from dsvl2_app.bundled import read_asset
from dsvl2_app.text.exports import FORMATS, data_url, encode_jpeg, write_yolo_set
from dsvl2_app.ui.events import PRIVATE, download_button
from dsvl2_app.ui.gradio_quirks import download_script
from dsvl2_app.ui.locate import draw
from dsvl2_app.ui.payloads import read_index
from dsvl2_app.ui.tabs.grounding.findings import Finding
from dsvl2_app.ui.uploads import save_picture, save_upload
from dsvl2_app.ui.words.translations import say

PICTURE, SET = "PNG", "YOLO set"  # besides FORMATS; the second is of every picture that was searched
FILES = {  # -> what the page calls it, and what is in it
    PICTURE: ("Picture (PNG)", "The picture with its boxes drawn in it"),
    "JSON": ("JSON", "All there is: boxes in pixels and in 0..999, their notes, and the answer as the model wrote it"),
    "CSV": ("Spreadsheet (CSV)", "A row for each box: its label, its corners in pixels and in 0..999, its notes"),
    "COCO": ("COCO (JSON)", "Picture, categories and boxes in COCO's format, which trains and measures detectors"),
    "YOLO": ("YOLO labels (TXT)", "A line for each box: the number of its class, its centre and size in shares"),
    "data.yaml": ("YOLO classes (YAML)", "The names of the classes that YOLO's labels have numbers for: data.yaml"),
    SET: ("YOLO data set (ZIP)", "Every picture that you searched, with labels and data.yaml, to train YOLO with"),
    "Label Studio": ("Label Studio task (JSON)", "Picture and boxes, to be imported into a project of Label Studio"),
    "Label Studio's labels": (
        "Label Studio interface (XML)",
        "The labelling interface that its project needs: the labels, in their colours",
    ),
}


def build_exports(finding: gr.State) -> gr.HTML:
    """A component whose value is `show_exports`'s where there are boxes. `finding` holds a Finding."""
    exports = gr.HTML(js_on_load=read_asset("cards.js"), apply_default_css=False, elem_id="grounding-exports")
    file = download_button("grounding-download")

    def write(event: gr.EventData, found: Finding) -> Any:
        return save_file(found, [*FILES][read_index(event, [*FILES])]) or gr.skip()

    written = exports.choose(write, finding, file, **PRIVATE)
    written.success(None, None, None, js=download_script("grounding-download"), **PRIVATE)
    return exports


def show_exports() -> str:
    """A button for each file; what is in it, under the pointer and for screen readers."""
    buttons = "".join(
        f'<button type="button" data-index="{index}" title="{escape(say(inside))}">{escape(say(name))}</button>'
        for index, (name, inside) in enumerate(FILES.values())
    )
    return f'<div class="exports" role="group" aria-label="{say("Download")}"><p>{say("Download")}</p>{buttons}</div>'


def save_file(finding: Finding, name: str) -> str | None:
    """The file of that name in FILES, or None where nothing was found yet."""
    search = finding.search
    if search is None or search.annotation is None:
        return None
    found, image = search.annotation, search.image
    stem = found.stem
    if name == PICTURE:
        drawn = draw(image.open(), found.boxes, points=search.mode == "point")
        return save_picture(drawn, f"{stem}-boxes.png")
    if name == SET:
        pictures = ((each, encode_jpeg(picture.open())) for picture, each in finding.kept.items())
        return save_upload(write_yolo_set([*pictures]), "yolo-set.zip")
    format = FORMATS[name]
    if name == "Label Studio":
        found = replace(found, address=data_url(image.open()))
    return save_upload(format.write(found).encode(), f"{stem}{format.suffix}")
