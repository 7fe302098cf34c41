"""The text that a PDF holds itself, in place of what a model read on its pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import groupby

from dsvl2_app.image.documents import read_texts
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.ui.tabs.documents.reading import Leaf


@lru_cache(maxsize=64)
def find_own_text(image: ImageRef) -> str:
    """ "" of a page that was scanned, and of a picture. Raises an ImageError."""
    if image.points is None:
        return ""
    (text,) = read_texts(image.read(), image.path.name, [image.frame])
    return text


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
