"""The Chat tab in a browser: conversations to and from the disk."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.ui.steps import ask, attach, bot

pytestmark = pytest.mark.slow

BOXES = "See <|ref|>the <b>dog</b><|/ref|><|det|>[[100, 200, 500, 700]]<|/det|>."


def test_a_conversation_is_exported_and_imported(scripted, pictures, open_page, tmp_path):
    scripted.script.say = BOXES
    page = open_page(scripted)
    attach(page, pictures["turned"])
    ask(page, "Where is the dog?")
    expect(bot(page).locator("img")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    download.value.save_as(tmp_path / "conversation.zip")
    with page.expect_download() as download:
        page.get_by_role("button", name="Markdown").click()
    assert "| the <b>dog</b> | 100 | 200 | 500 | 700 |" in download.value.path().read_text()

    other = open_page(scripted)
    other.set_input_files("input[type=file][accept*=zip]", tmp_path / "conversation.zip")
    expect(bot(other).locator("img")).to_have_attribute("alt", "Boxes on picture 1")
    ask(other, "And the cat?")
    expect(other.locator("#conversation .bot-row")).to_have_count(2)
    expect(other.locator("#conversation summary")).to_have_count(2)  # what the first cost came with it
    question, answer, _ = scripted.script.requests[-1].messages
    assert question["content"][0]["image"].size == (400, 1000)
    assert answer["content"] == BOXES
