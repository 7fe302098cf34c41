"""Boxes as HTML: their places, their words, and that text of the model is never markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvl2_app.text.boxes import Box
from dsvl2_app.ui.tabs.grounding.linked import show_boxes

SIZE = (2000, 1000)


class Reader(HTMLParser):
    """Tags with their attributes, and the text within each <span class="label"> and <bdi>."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: dict[str, list[str]] = {"span": [], "bdi": []}
        self.inside: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in self.words:
            self.inside = tag
            self.words[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = None

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.words[self.inside][-1] += data


def test_places_are_shares_of_the_picture():
    shown = show_boxes("a b.webp", SIZE, [Box("dog", 0, 333, 999, 666)])
    assert "left:0.00%;top:33.33%;width:100.00%;height:33.33%" in shown
    assert 'aria-label="Box 1, dog: 0, 333, 2000, 667 px"' in shown
    assert 'src="gradio_api/file=a%20b.webp"' in shown
    assert "--width:2000;--height:1000" in shown


def test_small_boxes_lie_on_large_ones_and_rows_keep_the_models_order():
    shown = show_boxes("x", SIZE, [Box("small", 5, 5, 9, 9), Box("large", 0, 0, 999, 999), Box("", 0, 0, 99, 99)])
    assert re.findall(r'class="box" data-index="(\d)"', shown) == ["1", "2", "0"]
    assert Reader(shown).words == {"span": ["large", "", "small"], "bdi": ["small", "large", "unnamed"]}
    assert re.findall(r'data-number="(\d)"', shown) == ["2", "3", "1", "1", "2", "3"]  # on the picture, in the table
    assert re.findall(r'class="(?:box|row)" data-index="(\d)" (?:aria-pressed="false" )?tabindex="0"', shown) == [
        "0",
        "0",
    ]


def test_notes_are_in_the_table():
    assert "<td>clipped, corners swapped</td>" in show_boxes(
        "x", SIZE, [Box("", 0, 0, 1, 1, ("clipped", "corners swapped"))]
    )


def test_without_boxes_there_is_no_table():
    assert "<table" not in show_boxes("x", SIZE, [])


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30), min_size=1, max_size=4))
@pytest.mark.filterwarnings("ignore")
def test_any_label_is_only_text(labels):
    boxes = [Box(label, number, 0, 999, 999) for number, label in enumerate(labels)]
    read = Reader(show_boxes("x", SIZE, boxes))
    assert sorted(read.words["bdi"]) == sorted(label.strip() or "unnamed" for label in labels)
    plain = Reader(show_boxes("x", SIZE, [Box("a", number, 0, 999, 999) for number in range(len(labels))]))
    tags = [tag for tag, _ in read.tags if tag != "span"]
    assert tags == [tag for tag, _ in plain.tags if tag != "span"]
    assert not any(name.startswith("on") for _, attributes in read.tags for name in attributes)
