"""The text that a PDF holds itself, in place of what a model read on its pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from dsvl2_app.image.documents import read_texts
from dsvl2_app.ui.tabs.documents.reading import Leaf


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
