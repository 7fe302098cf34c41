"""Text -> Markdown that shows it. What a browser makes of it is tested in test_chat.py."""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvl2_app.text.boxes import parse_boxes
from dsvl2_app.ui.tabs.chat import markup
from dsvl2_app.ui.tabs.chat.markup import Links, show_answer, show_literally, show_markdown

OURS = re.compile(r'<code class="inline">|</code>')
texts = st.one_of(st.text(), st.text("<>&`~!\\[]()*_#\n abc/=\"'", max_size=80))


def without_fences(markdown: str) -> str:
    """What Markdown does not see as fenced code; `show_markdown` puts fences at the margin and closes them."""
    prose, fence = [], ""
    for line in markdown.split("\n"):
        if not fence:
            ticks = re.match(r"`{3,}", line)
            fence = ticks.group() if ticks else ""
            prose += [] if fence else [line]
        elif line == fence:
            fence = ""
    assert not fence
    return "\n".join(prose)


@pytest.mark.slow
@given(texts)
def test_typed_text_has_no_markup_and_reads_the_same(text):
    shown = show_literally(text)
    assert not re.search(r"[<>`*_#\[\]!|~$\\\n]", re.sub(r"&#\d{4};", "", shown))
    assert unescape(re.sub(r"&#(\d{4});", lambda match: f"&#{int(match[1])};", shown)) == unescape(
        re.sub(r"[\x00-\x7f]", lambda match: f"&#{ord(match[0])};", text)
    )


@given(texts)
def test_an_answer_has_no_html_of_its_own_outside_code(text):
    prose = OURS.sub("", without_fences(show_markdown(text)))
    assert "<" not in prose
    assert "![" not in prose
    assert re.sub(r"&#\d{4};", "", prose).count("&") == 0


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**bold** and [link](https://example.com)", "**bold** and [link](https://example.com)"),
        ("a < b & c", "a &#0060; b &#0038; c"),
        (r"a \< b \\< c", r"a &#0060; b \\&#0060; c"),
        ("![x](http://a/b.png)", "!&#0091;x](http://a/b.png)"),
        ("`<b>` and ``a`b``", '<code class="inline">&#0060;b&#0062;</code> and <code class="inline">a&#0096;b</code>'),
        ("one ` tick < two", "one &#0096; tick &#0060; two"),
        ("`a\n\nb` <", "&#0096;a\n\nb&#0096; &#0060;"),
        ("```html\n<b>\n```\n<b>", "\n```html\n<b>\n```\n&#0060;b>"),
        ("~~~\n```\n<b>\n~~~", "\n````\n```\n<b>\n````\n"),
        ("- item\n  ```py\n  a < b\n  ```", "- item\n```py\na < b\n```\n"),
        ("```js\nstill <open", "\n```js\nstill <open\n```"),
    ],
)
def test_answers(text, shown):
    assert show_markdown(text) == shown


def test_chips_keep_the_text_that_they_stand_for():
    shown = show_answer('a <|ref|>x "y"<|/ref|><|det|>[[1, 2, 3, 4], [5, 6, 7, 8]]<|/det|> <|grounding|> b')
    assert [unescape(title) for title in re.findall(r'title="([^"]*)"', shown)] == [
        '<|ref|>x "y"<|/ref|>',
        "<|det|>[[1, 2, 3, 4], [5, 6, 7, 8]]<|/det|>",
        "<|grounding|>",
    ]
    assert [unescape(words) for words in re.findall(r"<span[^>]*>(.*?)</span>", shown)] == [
        'x "y"',
        "1, 2, 3, 4 · 5, 6, 7, 8",
        "grounding",
    ]


pieces = st.sampled_from(["<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "<b>", "\ue000", "0", "\ue001", "`"])


@given(st.text() | st.lists(pieces).map("".join))
def test_chips_leave_no_way_for_tags(text):
    chip = re.compile(r'<span class="chip \w+" title="[^"<>]*">[^<>]*</span>')
    assert "<" not in OURS.sub("", chip.sub("", without_fences(show_answer(text))))


def test_raw_is_to_the_letter():
    text = "<|ref|>x<|/ref|> **b**"
    assert unescape(show_answer(text, raw=True)) == text


BOX = "<|ref|>dog<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>"


@pytest.mark.parametrize("code", [f"```json\n{BOX}\n```", f"~~~\n{BOX}", f"    {BOX}\n", f"So:\n\n\t{BOX}\n\nThat."])
def test_in_code_there_are_no_chips(code):
    shown = show_answer(code)
    assert BOX in shown
    assert "chip" not in shown
    assert "chip" not in re.sub("<code.*?</code>", "", show_answer(f"See `{BOX}`."))


def test_indented_code_is_code_and_lists_stay_lists():
    assert show_markdown("So:\n\n    if a < b:\n        c()\n\nThat.") == "So:\n\n```\nif a < b:\n    c()\n```\n\nThat."
    for listed in ("- one\n\n    more of it <b>", "1. one\n    - two\n\n    three"):
        assert "```" not in show_markdown(listed)


def read_buttons(shown: str) -> list[tuple[str, str]]:
    return re.findall(r'<button type="button" value="([\d ]+)"[^>]*>(.*?)</button>', shown)


def test_chips_point_at_the_boxes_that_they_are_of():
    text = (
        "<|ref|>dogs<|/ref|><|det|>[[1, 2, 3, 4],[5, 6, 7, 8]]<|/det|> <|ref|>cat<|/ref|> here: "
        "<|det|>[[9, 9, 9, 9]]<|/det|> <|ref|>none<|/ref|><|det|>[[1, 2, 3]]<|/det|> `<|det|>[[1, 1, 1, 1]]<|/det|>`"
    )
    parsed = parse_boxes(text)
    shown = show_answer(text, links=Links(parsed.starts, ("",) * len(parsed.boxes)))
    assert read_buttons(shown) == [
        ("0 1", "dogs"), ("0", "1, 2, 3, 4"), ("1", "5, 6, 7, 8"), ("2", "cat"), ("2", "9, 9, 9, 9"),
    ]  # fmt: skip
    assert re.sub(r"</?button[^>]*>", "", shown).replace("3, 4 5", "3, 4 · 5") == show_answer(text)
    assert read_buttons(show_answer(text, raw=True, links=Links(parsed.starts, ("",) * 4))) == []


def test_one_more_box_costs_as_much_after_many_as_after_few(monkeypatch):
    boxes = [f"<|ref|>thing {at}<|/ref|><|det|>[[{at}, 2, 3, 4]]<|/det|>" for at in range(202)]
    spelt: list[str] = []
    plain = show_literally
    monkeypatch.setattr(markup, "show_literally", lambda text: spelt.append(text) or plain(text))
    counts = []
    for number in (10, 200):
        show_answer("".join(boxes[:number]))
        spelt.clear()
        show_answer("".join(boxes[: number + 1]))
        counts.append(len(spelt))
    assert counts == [4, 4]  # title and words of the label, and of the box
