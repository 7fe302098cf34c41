"""Beside an answer stands whether the bundled model could read the question."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from dsvl2_app.backend.scripted import CARD, ScriptedBackend
from dsvl2_app.settings import Settings
from dsvl2_app.ui.unread import is_unread, show_note
from tests.ui.conftest import App, serve_page
from tests.ui.steps import ask, attach, bot

NANO = replace(CARD, bundled=True)


@pytest.mark.parametrize(
    ("question", "unread"),
    [
        ("图中有什么？", True),
        ("What is in the picture?", False),
        ("Où est la forme ronde ?", False),  # which letters do not tell
        ("Где круг?", True),
        ("ما هذا؟", True),
        ("यह क्या है?", True),
        ("请找出所有的 red circle", False),
        ("请找出所有 red 形状", True),
        ("<image>\n<|ref|>三角形<|/ref|>", True),
        ("ＷＨＡＴ？", False),
        ("1 + 1 = ?", False),
        ("😀", False),
        ("", False),
    ],
)
def test_most_letters_are_of_another_script(question: str, unread: bool) -> None:
    assert is_unread(NANO, question) is unread
    assert not is_unread(replace(CARD, bundled=False), question)
    assert ("reads English alone" in show_note(unread)) is unread


@pytest.fixture
def nano() -> Iterator[App]:
    """A page that takes its model for nano."""
    yield from serve_page(ScriptedBackend(card=NANO), Settings.parse([], {}))


@pytest.mark.slow
def test_a_chinese_question_to_nano_is_answered_with_a_note(nano, pictures, open_page):
    page = open_page(nano, locale="zh-CN")
    note = page.locator(".unread:visible")
    attach(page, pictures["wide"])
    ask(page, "图中有什么？")
    expect(bot(page).locator("details.timings")).to_be_visible()
    expect(note).to_have_text("随附的玩具模型只懂英语：它对这个问题的回答只是猜测，请用英语提问。")
    ask(page, "What is in the picture?")
    expect(page.locator("#conversation details.timings")).to_have_count(2)
    expect(note).to_have_count(1)
    page.get_by_role("tab").nth(1).click()
    expect(note).to_have_count(0)
    page.set_input_files("#grounding-picture input[type=file]", pictures["wide"])
    expect(page.locator("#grounding-picture img").first).to_be_visible()  # else it is asked without a picture
    phrase = page.locator("#grounding-phrase textarea")
    for words, notes in (("红色的圆", 1), ("the red circle", 0)):
        phrase.fill(words)
        phrase.press("Enter")
        expect(page.locator("#grounding-start")).to_be_visible()
        expect(note).to_have_count(notes)
    page.goto(f"{nano.url}?tab=tiles#inside")
    page.set_input_files("#tiles-pictures input[type=file]", pictures["wide"])
    expect(page.locator("#tiles-summary .figures")).to_be_visible()  # else it is asked of those before
    page.locator("#inside-question textarea").fill("图中有什么？")
    page.locator("#inside-ask").click()
    expect(page.locator("#inside-open")).to_be_visible()
    expect(note).to_have_count(1)
