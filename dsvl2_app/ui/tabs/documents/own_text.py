"""The text that a PDF holds itself, in place of what a model read on its pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import groupby
from typing import Any

from dsvl2_app.errors import ImageError, PromptError
from dsvl2_app.image.documents import find_text, is_document, read_texts
from dsvl2_app.image.load import Limits, name_source, read_source
from dsvl2_app.image.page_ranges import FIRST, read_ranges
from dsvl2_app.ui.pages import find_pages, read_chosen
from dsvl2_app.ui.tabs.documents.reading import Leaf


def find_first(files: Iterable[str], pages: Any, limits: Limits) -> tuple[str, int] | None:
    """The first of the pages chosen in `pages`, the value of the choice, that holds text itself: its file, and its
    number from 0. Of a choice that cannot be read all pages count. Raises an ImageError for a file with no pages."""
    chosen = read_chosen(pages)
    for file in files:
        found = find_pages(file, limits)
        try:
            frames = read_ranges(chosen.get(file, FIRST), *found) if found.total > 1 else [0]
        except PromptError:  # Read says so
            frames = range(found.total)
        frame = _find_text(file, tuple(frames), limits)
        if frame is not None:
            return file, frame
    return None


@lru_cache(maxsize=256)
def _find_text(file: str, frames: tuple[int, ...], limits: Limits) -> int | None:
    """Of an upload's file, which never changes. Where text takes too long to find, there counts as being none."""
    data = read_source(file, limits)
    try:
        return find_text(data, name_source(file), frames) if is_document(data) else None
    except ImageError:
        return None


def find_own_text(leaf: Leaf) -> str:
    """ "" of a page that was scanned, and of a picture. It is read once and kept with it. Raises an ImageError."""
    if leaf.own_text is None:
        (found,) = with_own_text([leaf])
        leaf.own_text = found.text
    return leaf.own_text


def with_own_text(leaves: Sequence[Leaf]) -> list[Leaf]:
    """These pages with that text. Raises an ImageError."""
    found: list[Leaf] = []
    for path, group in groupby(leaves, key=lambda leaf: leaf.image.path):
        pages = [*group]
        texts = [""] * len(pages)
        if pages[0].image.points is not None:
            texts = read_texts(pages[0].image.read(), path.name, [leaf.image.frame for leaf in pages])
        found += [replace(leaf, text=text, finish=None) for leaf, text in zip(pages, texts, strict=True)]
    return found
