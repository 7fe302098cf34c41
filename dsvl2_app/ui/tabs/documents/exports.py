"""What was read -> files: Markdown, text, JSON, CSV, and a searchable PDF. Several documents become one .zip."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from io import BytesIO, StringIO
from itertools import groupby
from pathlib import Path
from typing import Any

from dsvl2_app.errors import PromptError
from dsvl2_app.image.sandwich import Leaf as Sheet
from dsvl2_app.image.sandwich import Line, spread, write_searchable
from dsvl2_app.ui.tabs.documents.own_text import with_own_text
from dsvl2_app.ui.tabs.documents.reading import Leaf, Reading
from dsvl2_app.ui.tabs.documents.tasks import OWN, TABLES
from dsvl2_app.ui.uploads import save_upload

_TOKEN = re.compile(r"<\|det\|>.*?<\|/det\|>|<\|/?\w+\|>", re.DOTALL)
_FENCE = re.compile(r"^```\w*\n|\n?```\s*$")


def plain(text: str) -> str:
    """Without boxes and special tokens."""
    return _TOKEN.sub("", text).strip()


def write_markdown(leaves: Sequence[Leaf]) -> bytes:
    pages = [
        f"<!-- {leaf.image.kind} {leaf.image.frame + 1} -->\n\n{plain(_FENCE.sub('', leaf.text.strip()))}"
        for leaf in leaves
    ]
    return ("\n\n".join(pages) + "\n").encode()


def write_text(leaves: Sequence[Leaf]) -> bytes:
    """Pages are parted by form feeds, as pdftotext parts them."""
    return ("\n\f".join(plain(leaf.text) for leaf in leaves) + "\n").encode()


def write_csv(leaves: Sequence[Leaf]) -> bytes:
    """Tables as the model wrote them."""
    tables = [plain(_FENCE.sub("", leaf.text.strip())) for leaf in leaves]
    return ("\n\n".join(filter(None, tables)) + "\n").encode("utf-8-sig")


def write_lines(leaves: Sequence[Leaf]) -> bytes:
    """Of text that is no table: a row for each line, with its page."""
    rows = StringIO()
    lines = ((leaf.image.frame + 1, line) for leaf in leaves for line in plain(leaf.text).splitlines() if line.strip())
    csv.writer(rows, lineterminator="\n").writerows([("page", "text"), *lines])
    return rows.getvalue().encode("utf-8-sig")


def write_json(leaves: Sequence[Leaf]) -> bytes:
    pages: list[dict[str, Any]] = []
    for leaf in leaves:
        width, height = leaf.image.size
        boxes = [{**asdict(box), "pixels": box.pixels(width, height)} for box in leaf.boxes]
        if leaf.image.points:
            boxes = [
                each | {"points": box.pixels(*leaf.image.points)} for each, box in zip(boxes, leaf.boxes, strict=True)
            ]
        page = {"page": leaf.image.frame + 1, "width": width, "height": height, "points": leaf.image.points}
        pages.append({**page, "text": leaf.text, "finish": leaf.finish, "boxes": boxes})
    return (json.dumps({"document": leaves[0].name, "pages": pages}, indent=2, ensure_ascii=False) + "\n").encode()


def write_pdf(leaves: Sequence[Leaf]) -> bytes:
    def sheets() -> Iterator[Sheet]:
        for leaf in leaves:
            boxes = [box for box in leaf.boxes if box.label.strip()]
            placed = [Line(box.label, *(edge / 999 for edge in box.corners)) for box in boxes]
            yield Sheet(leaf.image.open(), leaf.image.points, placed or spread(plain(leaf.text)))

    return write_searchable(sheets(), leaves[0].name)


FORMATS: dict[str, tuple[str, Callable[[Sequence[Leaf]], bytes]]] = {
    "Markdown": (".md", write_markdown),
    "Text": (".txt", write_text),
    "Searchable PDF": ("-searchable.pdf", write_pdf),
    "JSON": (".json", write_json),
    "CSV": (".csv", write_csv),
}


def save_file(reading: Reading, format: str, chosen: Sequence[Leaf] = ()) -> str:
    """A file in Gradio's cache, with the text that is shown: the model's of what is read, or the PDF's own of the pages
    that are `chosen`. Raises PromptError before anything was read, and where no page has a text of its own."""
    written = with_own_text(chosen) if reading.shows_own_text else reading.written
    if not written:
        raise PromptError("Nothing is read yet; press Read first.")
    if not any(leaf.text for leaf in written):
        raise PromptError("None of these has a text of its own; choose the model's.")
    suffix, write = FORMATS[format]
    if format == "CSV" and (reading.shows_own_text or reading.asked[0] not in (TABLES, OWN)):
        write = write_lines
    found = [(name, list(leaves)) for name, leaves in groupby(written, key=lambda leaf: leaf.name)]
    if len(found) == 1:
        name, leaves = found[0]
        return save_upload(write(leaves), f"{Path(name).stem}{suffix}")
    stream, taken = BytesIO(), set[str]()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (name, leaves) in enumerate(found, start=1):
            file = f"{Path(name).stem}{suffix}"
            file = f"{number}-{file}" if file in taken else file
            taken.add(file)
            archive.writestr(file, write(leaves))
    return save_upload(stream.getvalue(), f"documents{suffix}.zip")
