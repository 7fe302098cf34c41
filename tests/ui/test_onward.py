"""From an answer of the Chat tab to other tabs, in a browser."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from tests.ui.steps import ask, attach, bot

ANSWER = "<|ref|>dog<|/ref|><|det|>[[100, 200, 500, 700], [600, 300, 900, 999]]<|/det|>"


@pytest.mark.slow
def test_boxes_tiles_and_the_view_inside_are_a_click_from_an_answer(scripted, pictures, open_page):
    scripted.script.say = ANSWER
    page = open_page(scripted)
    expect(page.locator("#chat-onward")).to_be_hidden()
    attach(page, pictures["wide"])
    ask(page, "<|ref|>dog<|/ref|>.")
    expect(bot(page).locator("summary")).to_be_visible()
    page.get_by_role("button", name="The boxes, larger").click()
    expect(page.locator("#grounding-boxes tbody tr")).to_have_count(2)
    expect(page.locator("#grounding-status")).to_contain_text("2 boxes")
    with page.expect_download() as download:
        page.locator("#grounding-exports").get_by_role("button", name="JSON", exact=True).click()
    found = json.loads(download.value.path().read_text())
    assert (found["picture"], found["width"], len(found["boxes"])) == ("wide.png", 1000, 2)
    page.locator("#grounding-phrase textarea").fill("a cat")
    page.get_by_role("button", name="Find", exact=True).click()
    expect(page.locator("#grounding-status")).to_contain_text("2 boxes · ")
    assert len(scripted.script.requests) == 2  # in the picture that came along
    page.get_by_role("tab", name="Chat").click()
    page.get_by_role("button", name="Look inside").first.click()
    expect(page.locator("#inside-question textarea")).to_have_value("<|ref|>dog<|/ref|>.")
    expect(page.locator("#tiles-pictures .thumbnail-item")).to_have_count(1)
    expect(page.locator("#tiles-tokens section")).to_be_visible()
